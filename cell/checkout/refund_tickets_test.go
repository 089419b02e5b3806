package checkout_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/internal/txn"
)

// Regression 4 for single attendees: each ticket's price and place come back
// exactly once, however many ask at once.
func TestRefundTickets_givesPriceAndPlaceBackOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o := tw.paid(t, tw.odd, 3) // 34.34 each
	first := []id.Ticket{o.Tickets[1].ID}
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := tw.desks[i%2].RefundTickets(t.Context(), txn.None, o.ID, first, payment.ByOrganizer, "ill"); err == nil {
				done.Add(1)
			}
		})
	}
	all.Wait()
	if done.Load() != 1 {
		t.Errorf("one ticket was given back %d times", done.Load())
	}
	tw.wantStock(t, 0, 2)
	now := tw.look(t, o.ID)
	wantTickets(t, now, checkout.TicketCanceled, checkout.TicketValid, checkout.TicketValid)
	gone, stay := now, now
	gone.Tickets, stay.Tickets = nil, nil
	for _, k := range now.Tickets {
		if k.State == checkout.TicketCanceled {
			gone.Tickets = append(gone.Tickets, k)
		} else {
			stay.Tickets = append(stay.Tickets, k)
		}
	}
	tw.wantRevoked(t, gone, true)
	tw.wantRevoked(t, stay, false)
	if now.State != checkout.Paid || now.Refund != checkout.PartialRefund || -tw.balance(t, payment.OwedToBuyer) != 3434 {
		t.Errorf("%s, %s, %d owed", now.State, now.Refund, -tw.balance(t, payment.OwedToBuyer))
	}
	for _, bad := range [][]id.Ticket{nil, {id.NewTicket(tw.shop.ID)}} {
		_, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, bad, payment.ByOrganizer, "")
		wantErr(t, err, checkout.ErrTicketNotFound)
	}
	_, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[0].ID, o.Tickets[0].ID}, payment.ByOrganizer, "")
	wantErr(t, err, checkout.ErrInvalidOrder)
	// Some goodwill first; the last tickets bring back no more than is left.
	if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, 5000, payment.ByOrganizer, "goodwill"); err != nil {
		t.Fatal(err)
	}
	now, err = tw.desks[1].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[0].ID, o.Tickets[2].ID}, payment.ByOrganizer, "")
	if err != nil || now.State != checkout.Canceled || now.Refund != checkout.FullRefund {
		t.Errorf("%s, %s, %v", now.State, now.Refund, err)
	}
	tw.wantStock(t, 0, 0)
	tw.mustReconcile(t)
	if tw.balance(t, payment.AtProvider) != 0 || tw.balance(t, payment.Fees) != 0 {
		t.Errorf("the provider has %d, fees %d", tw.balance(t, payment.AtProvider), tw.balance(t, payment.Fees))
	}
}

func TestRefundTickets_ofFreeTicketsMovesNoMoney(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	h := tw.hold(t, tw.free, 2)
	o, err := tw.desks[0].Create(t.Context(), txn.None, checkout.Request{Hold: h.ID, Buyer: buyer})
	if err != nil {
		t.Fatal(err)
	}
	now, err := tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[0].ID}, payment.ByOrganizer, "")
	if err != nil || now.State != checkout.Paid || now.Refund != checkout.NoRefund {
		t.Errorf("%s, %s, %v", now.State, now.Refund, err)
	}
	tw.wantStock(t, 0, 1)
	if now, err = tw.desks[0].RefundTickets(t.Context(), txn.None, o.ID, []id.Ticket{o.Tickets[1].ID}, payment.ByOrganizer, ""); err != nil || now.State != checkout.Canceled {
		t.Errorf("%s, %v", now.State, err)
	}
	tw.wantStock(t, 0, 0)
}

// payee is an account connected to the cell's, and the organizer's.
func (tw *town) payee(t *testing.T) {
	t.Helper()
	var made struct{ ID string }
	if err := json.Unmarshal(tw.atProvider(t, "/v1/accounts", url.Values{"type": {"express"}}), &made); err != nil || made.ID == "" {
		t.Fatal(made, err)
	}
	if err := tw.stores[0].SetPayee(t.Context(), txn.None, tw.shop.Organizer, payment.Payee{Account: made.ID, Country: "FR", Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
}

// Connect: the provider hands the organizer's share on at once, and takes it back in
// step with every refund; the audit holds ledger and provider to each other.
func TestConnect_handsOnAndTakesBackWithRefunds(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	tw.desks[0].BasisPoints = 250
	tw.payee(t)
	o := tw.paid(t, tw.odd, 3) // 103.02, of which 3.03 + 2.50 are ours
	if o.Fees != 553 || o.Payment.Fee != 553 || o.Payment.Destination == "" {
		t.Fatalf("fees %d, %+v", o.Fees, o.Payment)
	}
	org := payment.OwedTo(tw.shop.Organizer)
	if tw.balance(t, org) != 0 || tw.balance(t, payment.AtProvider) != 553 {
		t.Errorf("the organizer is owed %d, the provider has %d", -tw.balance(t, org), tw.balance(t, payment.AtProvider))
	}
	for _, amount := range []int64{1, 999, 4567, 0} {
		if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, amount, payment.ByOrganizer, ""); err != nil {
			t.Fatal(err)
		}
		tw.mustReconcile(t)
		if tw.balance(t, org) != 0 {
			t.Errorf("after %d the organizer is owed %d", amount, -tw.balance(t, org))
		}
	}
	if tw.balance(t, payment.AtProvider) != 0 || tw.balance(t, payment.Fees) != 0 {
		t.Errorf("the provider has %d, fees %d", tw.balance(t, payment.AtProvider), tw.balance(t, payment.Fees))
	}
	if page := tw.page(t); !strings.Contains(page, "<td>0.00 EUR</td>") {
		t.Errorf("the organizer's own account is not empty: %s", page[strings.Index(page, "Connected"):])
	}
	sums, err := tw.stores[0].AccountsOf(t.Context(), tw.shop.Organizer)
	if err != nil {
		t.Fatal(err)
	}
	if b := payment.Balances(sums); len(b) != 1 || b[0] != (payment.Balance{Currency: "EUR", Sold: 9749, Refunded: 9749}) {
		t.Errorf("his statement: %+v", b)
	}
}

// page is the sandbox's own page.
func (tw *town) page(t *testing.T) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tw.url+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// Late money that was handed on comes back from there too.
func TestConnect_lateMoneyComesBackFromTheOrganizer(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	tw.payee(t)
	o := tw.expired(t, 1)
	tw.hold(t, tw.floor, 1)
	tw.mustConfirm(t, o, visa)
	eventually(t, "the late money to be decided on", func() bool { return tw.look(t, o.ID).Refund == checkout.FullRefund })
	tw.mustReconcile(t)
	if tw.balance(t, payment.OwedTo(tw.shop.Organizer)) != 0 || tw.balance(t, payment.AtProvider) != 0 {
		t.Errorf("organizer %d, provider %d", tw.balance(t, payment.OwedTo(tw.shop.Organizer)), tw.balance(t, payment.AtProvider))
	}
}

// Currencies of 0 and 3 decimals are sold, refunded in part and in whole.
func TestRefund_inCurrenciesOfZeroAndThreeDecimals(t *testing.T) {
	t.Parallel()
	for currency, c := range map[string]struct{ price, part, odd int64 }{"JPY": {7001, 1234, 0}, "KWD": {12_340, 5_010, 5_005}} {
		tw := openTown(t, 1)
		tw.desks[0].BasisPoints = 333
		e, err := tw.box.DraftEvent(t.Context(), txn.None, tw.shop.Organizer, booking.Draft{
			Name: "Far", Venue: booking.Venue{Name: "Hall", City: "Paris", Country: "FR"}, TimeZone: "Europe/Paris", Currency: currency,
			StartsAt: tw.shop.StartsAt, Quotas: []booking.DraftQuota{{Name: "hall", Size: 5}},
			Types: []booking.DraftType{{Name: "Floor", Price: money.Money{Amount: c.price, Currency: currency}, Quotas: []string{"hall"}}},
		}, true)
		if err != nil {
			t.Fatal(err)
		}
		tw.shop, tw.floor = e, e.Types[0].ID
		tw.payee(t)
		o := tw.paid(t, tw.floor, 1)
		if c.odd > 0 {
			_, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, c.odd, payment.ByOrganizer, "")
			wantErr(t, err, checkout.ErrInvalidOrder)
		}
		for _, amount := range []int64{c.part, 0} {
			if _, err := tw.desks[0].Refund(t.Context(), txn.None, o.ID, amount, payment.ByOrganizer, ""); err != nil {
				t.Fatal(currency, err)
			}
			tw.mustReconcile(t)
		}
		now := tw.look(t, o.ID)
		if now.Refund != checkout.FullRefund || tw.balance(t, payment.OwedToBuyer) != 0 || tw.balance(t, payment.AtProvider) != 0 {
			t.Errorf("%s: %s, %d owed, %d at the provider", currency, now.Refund, tw.balance(t, payment.OwedToBuyer), tw.balance(t, payment.AtProvider))
		}
	}
}

// An off-step price is refused where it is set, not where it is paid.
func TestDraft_refusesPricesThatNoCardPays(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 1)
	_, err := tw.box.DraftEvent(t.Context(), txn.None, tw.shop.Organizer, booking.Draft{
		Name: "Far", Venue: booking.Venue{Name: "Hall", City: "Kuwait", Country: "KW"}, TimeZone: "Asia/Kuwait", Currency: "KWD",
		StartsAt: tw.shop.StartsAt, Quotas: []booking.DraftQuota{{Name: "hall", Size: 5}},
		Types: []booking.DraftType{{Name: "Floor", Price: money.Money{Amount: 1234, Currency: "KWD"}, Quotas: []string{"hall"}}},
	}, true)
	wantErr(t, err, money.ErrNotChargeable)
}

// What the provider keeps is booked once, behind everything else, and nobody waits for it.
func TestBookFees_booksWhatTheProviderKeptOnce(t *testing.T) {
	t.Parallel()
	tw := openTown(t, 10)
	o, unpaid := tw.paid(t, tw.floor, 2), tw.order(t, tw.floor, 1) // 85.00
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), `UPDATE payment.payment SET next_check_at = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	tw.faults(t, sandbox.Faults{Error500Percent: 100})
	if err := tw.desks[0].BookFees(t.Context()); err != nil || tw.balance(t, payment.ProviderFees) != 0 {
		t.Errorf("while the provider is away: %v, %d", err, tw.balance(t, payment.ProviderFees))
	}
	tw.faults(t, sandbox.Faults{})
	for range 2 {
		if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), `UPDATE payment.payment SET next_check_at = clock_timestamp()`); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for _, desk := range tw.desks {
			both.Go(func() {
				if err := desk.BookFees(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
	if fees, at := tw.balance(t, payment.ProviderFees), tw.balance(t, payment.AtProvider); fees != 152 || at != 8500-152 {
		t.Errorf("fees %d, at the provider %d", fees, at)
	}
	var entries int64
	if err := tw.stores[0].DB.Pool.QueryRow(t.Context(), `SELECT count(DISTINCT entry_id) FROM payment.posting WHERE order_id = ANY($1)`, []string{o.ID.String(), unpaid.ID.String()}).Scan(&entries); err != nil || entries != 2 {
		t.Errorf("%d entries, %v", entries, err)
	}
	if _, err := tw.stores[0].DB.Pool.Exec(t.Context(), `UPDATE payment.payment SET next_check_at = clock_timestamp()`); err != nil {
		t.Fatal(err)
	}
	if due, err := tw.stores[0].ClaimUnbooked(t.Context(), 10, time.Minute); err != nil || len(due) != 0 {
		t.Errorf("%d fees are still to be asked for, %v", len(due), err)
	}
	tw.unaudited = true // the audit knows intents, refunds and disputes, not fees
}
