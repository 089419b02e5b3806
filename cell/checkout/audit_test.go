package checkout_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/payment"
	"guichet/cell/stripe/sandbox"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

const (
	unbalanced  = `SELECT count(*) FROM (SELECT entry_id FROM payment.posting GROUP BY entry_id HAVING sum(amount) <> 0 OR count(DISTINCT currency) <> 1) AS e`
	brokenSagas = `SELECT count(*) FROM saga.run WHERE status = 'failed'`
	balances    = `SELECT account, sum(amount)::bigint FROM payment.posting GROUP BY account`
	allOrders   = `SELECT order_id FROM checkout.orders`
	stockOfAll  = `SELECT coalesce(sum(held), 0)::bigint, coalesce(sum(sold), 0)::bigint FROM booking.quota`
	heldByAll   = `SELECT coalesce(sum((i.item->>'quantity')::bigint), 0)::bigint FROM booking.hold AS h CROSS JOIN LATERAL jsonb_array_elements(h.items) AS i (item) WHERE h.state = 'active'`
	validOfAll  = `SELECT count(*) FROM checkout.ticket WHERE state IN ('valid', 'checked_in', 'revoked')`
	handedOn    = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE kind = 'onward' AND account <> 'provider'`
	takenBack   = `SELECT coalesce(sum(reverse), 0)::bigint FROM payment.refund WHERE state IN ('in_transit', 'done')`
	openRefunds = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.refund WHERE state IN ('created', 'failed')`
)

// audit holds the books, the provider and the stock to each other, whatever the
// test did. P2: counters are what holds and tickets say. P3: a paid order has its
// tickets, any other has none. P4: postings sum to zero; what the provider has of
// us is what the ledger says and what the valid orders are worth, plus what is on
// its way back. It runs after every test, in whatever state that left the town.
func (tw *town) audit(t *testing.T) {
	t.Helper()
	if tw.unaudited || t.Failed() {
		return
	}
	tw.faults(t, sandbox.Faults{WebhookBlackout: true}) // nothing moves while it is counted
	eventually(t, "the last webhook", func() bool { return tw.inFlight.Load() == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db := tw.stores[0].DB.Pool
	number := func(sql string) (n int64) {
		if err := db.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := number(gapsInPapers); n != 0 {
		t.Errorf("%d series of papers have gaps", n)
	}
	if n := number(brokenSagas); n != 0 {
		t.Errorf("%d sagas failed", n)
	}
	if n := number(unbalanced); n != 0 {
		t.Errorf("%d entries do not sum to zero", n)
	}
	account, err := accounts(ctx, tw.stores[0].DB)
	if err != nil {
		t.Fatal(err)
	}
	worth := tw.auditOrders(ctx, t)
	atProvider, unheard, err := tw.providerHas(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if booked := account[string(payment.AtProvider)]; booked+unheard != atProvider {
		t.Errorf("the provider has %d of ours, the ledger says %d and %d were not heard of yet", atProvider, booked, unheard)
	}
	if owed := -account[string(payment.OwedToBuyer)]; owed != number(openRefunds) {
		t.Errorf("the ledger owes %d to buyers, %d are on their way", owed, number(openRefunds))
	}
	organizer := account[string(payment.OwedTo(tw.shop.Organizer))] - number(handedOn)
	if ours := -organizer - account[string(payment.Fees)] - account[string(payment.TaxOf(tw.shop.Organizer))]; ours != worth {
		t.Errorf("organizer and fees have %d, the valid orders are worth %d", ours, worth)
	}
	var held, sold int64
	if err := db.QueryRow(ctx, stockOfAll).Scan(&held, &sold); err != nil {
		t.Fatal(err)
	}
	if h, v := number(heldByAll), number(validOfAll); held != h || sold != v {
		t.Errorf("counters: %d held, %d sold; there are holds for %d and %d valid tickets", held, sold, h, v)
	}
}

func accounts(ctx context.Context, db *sqldb.DB) (map[string]int64, error) {
	rows, err := db.Pool.Query(ctx, balances)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var sum int64
		if err := rows.Scan(&name, &sum); err != nil {
			return nil, err
		}
		out[name] = sum
	}
	return out, rows.Err()
}

// auditOrders looks at each order and adds up what the valid ones are worth.
func (tw *town) auditOrders(ctx context.Context, t *testing.T) (worth int64) {
	t.Helper()
	rows, err := tw.stores[0].DB.Pool.Query(ctx, allOrders)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		order, err := id.ParseOrder(text)
		if err != nil {
			t.Fatal(err)
		}
		o, err := tw.stores[0].Order(ctx, txn.None, order)
		if err != nil {
			t.Fatal(err)
		}
		backs, err := tw.stores[0].Refunds(ctx, txn.None, order)
		if err != nil {
			t.Fatal(err)
		}
		var valid, canceled, given int64
		for _, k := range o.Tickets {
			blocked := k.State == checkout.TicketRevoked && o.Payment.State == payment.Disputed
			if k.State == checkout.TicketValid || blocked {
				valid++
			}
			if k.State == checkout.TicketCanceled {
				canceled++
			}
			if c, err := ticket.Verify(k.Barcode, ticket.KeysOf([]topology.Key{tw.signer.Public()})); err != nil || c.Ticket != k.ID || c.Type != k.Type {
				t.Errorf("the barcode of %s: %v", k.ID, err)
			}
		}
		for _, b := range backs {
			given += b.Amount.Amount
		}
		want := int64(0)
		if o.State == checkout.Paid {
			for _, item := range o.Items {
				want += item.Quantity
			}
			if slices.ContainsFunc(o.Timeline, func(m checkout.Moment) bool { return m.What == "tickets_refunded" }) {
				want -= canceled
			}
			worth += o.Total.Amount - given
		} else if captured := o.Payment != nil && o.Payment.State == payment.Captured; captured && given+o.Kept != o.Payment.Received {
			t.Errorf("%s is %s, %d were taken and %d given back, %d kept", o.ID, o.State, o.Payment.Received, given, o.Kept)
		}
		if o.State != checkout.Paid { // what a policy kept of it was sold, and stays so
			worth += o.Kept
		}
		if valid != want {
			t.Errorf("%s is %s and has %d valid tickets, want %d", o.ID, o.State, valid, want)
		}
		tw.auditMails(ctx, t, o, backs)
		tw.auditPapers(ctx, t, o, backs)
		if o.Payment != nil && o.State == checkout.Paid && o.Payment.State != payment.Captured && o.Payment.State != payment.Disputed {
			t.Errorf("%s is paid, its payment is %s", o.ID, o.Payment.State)
		}
	}
	return worth
}

const gapsInPapers = `SELECT count(*) FROM (SELECT p.organizer_id, p.kind, p.series FROM checkout.paper AS p
	JOIN checkout.paper_counter AS c ON c.organizer_id = p.organizer_id AND c.kind = p.kind AND c.series = p.series
	GROUP BY p.organizer_id, p.kind, p.series HAVING count(*) <> max(c.last) OR max(p.number) <> count(*) OR min(p.number) <> 1) AS g`

// auditPapers: whoever paid has an invoice, and what he got back is on credit notes.
func (tw *town) auditPapers(ctx context.Context, t *testing.T, o checkout.Order, backs []payment.Back) {
	t.Helper()
	sold := slices.ContainsFunc(o.Timeline, func(m checkout.Moment) bool { return m.What == "paid" }) && o.Total.Amount > 0
	invoice, err := tw.stores[0].Paper(ctx, txn.None, o.ID, checkout.Invoice, 1)
	if sold != (err == nil) || err != nil && !errors.Is(err, checkout.ErrPaperNotFound) {
		t.Errorf("%s was sold: %v; invoice: %v", o.ID, sold, err)
		return
	}
	if !sold {
		return
	}
	sums := func(p checkout.Paper) (gross int64) {
		for _, x := range p.Content.Taxes {
			gross += x.Gross
		}
		return gross
	}
	if invoice.Total != o.Total || sums(invoice) != o.Total.Amount || invoice.Content.Buyer != o.Buyer.Name || len(invoice.Content.Lines) != len(o.Items) {
		t.Errorf("the invoice of %s: %+v", o.ID, invoice)
	}
	var given, noted int64
	n := 0
	for _, b := range backs {
		if b.Source == payment.ByLatePayment {
			continue
		}
		given += b.Amount.Amount
		n++
		note, err := tw.stores[0].Paper(ctx, txn.None, o.ID, checkout.CreditNote, n)
		if err != nil || sums(note) != note.Total.Amount || note.Content.Invoice != invoice.Title() {
			t.Errorf("credit note %d of %s: %+v, %v", n, o.ID, note, err)
		}
		noted += note.Total.Amount
	}
	if _, err := tw.stores[0].Paper(ctx, txn.None, o.ID, checkout.CreditNote, n+1); given != noted || !errors.Is(err, checkout.ErrPaperNotFound) {
		t.Errorf("%s: %d went back, credit notes say %d: %v", o.ID, given, noted, err)
	}
}

const mailsOf = `SELECT kind, count(*) FROM notify.message WHERE order_id = $1 GROUP BY kind`

// auditMails: of everything that happened to an order its buyer was told once (P5).
func (tw *town) auditMails(ctx context.Context, t *testing.T, o checkout.Order, backs []payment.Back) {
	t.Helper()
	want := map[string]int64{}
	for _, m := range o.Timeline {
		if kind, told := map[string]notify.Kind{
			"paid": notify.OrderPaid, "expired": notify.OrderExpired, "canceled": notify.OrderCanceled, "too_many_declines": notify.OrderCanceled, "late_payment_refunded": notify.LatePaymentRefund,
		}[m.What]; told {
			want[string(kind)] = 1
		}
	}
	reissued := slices.ContainsFunc(o.Timeline, func(m checkout.Moment) bool { return m.What == "tickets_reissued" }) // with new barcodes
	if reissued && slices.ContainsFunc(o.Tickets, func(k checkout.Ticket) bool { return k.Owned() }) {
		want[string(notify.OrderPaid)]++
	}
	for _, k := range o.Tickets { // each time it was given on, both were told; and who has it now, when it is void
		for kind, n := range map[notify.Kind]int64{notify.TicketGiven: k.Transfers, notify.TicketReceived: k.Transfers} {
			if n > 0 {
				want[string(kind)] += n
			}
		}
		if k.Transfers > 0 && reissued {
			want[string(notify.TicketReceived)]++
		}
		if k.Transfers > 0 && k.State == checkout.TicketCanceled {
			want[string(notify.TicketVoid)]++
		}
	}
	parts := int64(0)
	for _, b := range backs {
		if b.Source != payment.ByLatePayment && (b.Source != payment.External || b.ProviderID != "") {
			parts++
		}
	}
	voided := slices.ContainsFunc(backs, func(b payment.Back) bool { return b.Source == payment.External && b.ProviderID == "" }) // by a bank
	if parts > 0 && want[string(notify.OrderCanceled)] == 1 && !voided {                                                          // the last one is told with the cancellation
		parts--
	}
	if parts > 0 {
		want[string(notify.Refund)] = parts
	}
	if !slices.ContainsFunc(o.Timeline, func(m checkout.Moment) bool { return m.What == "paid" || m.What == "too_many_declines" }) {
		delete(want, string(notify.OrderCanceled)) // who cancels what he never paid knows it
	}
	rows, err := tw.stores[0].DB.Pool.Query(ctx, mailsOf, o.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int64{}
	for rows.Next() {
		var kind string
		var n int64
		if err := rows.Scan(&kind, &n); err != nil {
			t.Fatal(err)
		}
		got[kind] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if tw.eventCanceled.Load() && got[string(notify.EventCanceled)] == 1 { // he was told so instead
		delete(want, string(notify.OrderCanceled))
		want[string(notify.EventCanceled)] = 1
	}
	delete(got, string(notify.EventRescheduled)) // the tests that move an event count these
	delete(got, string(notify.TicketRescheduled))
	if !maps.Equal(got, want) {
		t.Errorf("%s is %s; mails: %v, want %v", o.ID, o.State, got, want)
	}
}

// providerHas is what the provider captured and has not given back, and how much of
// it belongs to payments of which the cell was not told yet.
func (tw *town) providerHas(ctx context.Context) (has, unheard int64, err error) {
	intents, err := list[intent](ctx, tw, "payment_intents")
	if err != nil {
		return 0, 0, err
	}
	for _, in := range intents {
		has += in.AmountReceived
		if in.TransferData != nil && in.AmountReceived > 0 {
			has -= in.AmountReceived - in.Fee
		}
		order, err := id.ParseOrder(in.Metadata["order_id"])
		if err != nil {
			return 0, 0, err
		}
		o, err := tw.stores[0].Order(ctx, txn.None, order)
		if err != nil {
			return 0, 0, err
		}
		if !o.Payment.Settled {
			unheard += in.AmountReceived
		}
	}
	refunds, err := list[refunded](ctx, tw, "refunds")
	if err != nil {
		return 0, 0, err
	}
	for _, r := range refunds {
		if r.Status != "failed" {
			has -= r.Amount
		}
	}
	disputes, err := list[disputeAtProvider](ctx, tw, "disputes")
	if err != nil {
		return 0, 0, err
	}
	for _, d := range disputes {
		for _, m := range d.Movements {
			has += m.Net
		}
	}
	var back int64
	if err := tw.stores[0].DB.Pool.QueryRow(ctx, takenBack).Scan(&back); err != nil {
		return 0, 0, err
	}
	return has + back, unheard, nil
}
