package payment_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
)

// books are entries as a store keeps them: once by id.
type books struct {
	t       *testing.T
	entries map[string]payment.Entry
	balance map[string]int64 // by account and currency
	sums    map[payment.Sum]int64
}

func (b *books) post(e payment.Entry) {
	b.t.Helper()
	if err := e.Check(); err != nil {
		b.t.Fatal(err)
	}
	if old, ok := b.entries[e.ID]; ok {
		if !slices.Equal(old.Postings, e.Postings) {
			b.t.Fatalf("%s is posted as %v and as %v", e.ID, old.Postings, e.Postings)
		}
		return
	}
	b.entries[e.ID] = e
	for _, p := range e.Postings {
		b.balance[string(p.Account)+" "+e.Currency] += p.Amount
		b.sums[payment.Sum{Currency: e.Currency, Account: p.Account, Kind: e.Kind}] += p.Amount
	}
}

func (b *books) has(a payment.Account, currency string) int64 {
	return b.balance[string(a)+" "+currency]
}

// provider is what the provider would say of its own account.
type provider map[string]int64

// history lives one order through whatever may happen to it, and keeps count
// without the ledger.
func history(b *books, r *rand.Rand, at provider, org id.Organizer, event id.Event, currency string) (worth int64) {
	step := money.CardStep(currency)
	total := money.Money{Amount: step * (1 + r.Int64N(payment.MaxCharge/step)), Currency: currency}
	fees := payment.PlatformShare(total, r.Int64N(total.Amount+1), r.Int64N(2000))
	tax := r.Int64N(total.Amount - fees + 1)
	p := payment.Payment{Amount: total, Fee: fees}
	if r.IntN(2) == 0 {
		p.Destination = "acct_1"
	}
	order := id.NewOrder(event)
	at[currency] += total.Amount
	if r.IntN(8) == 0 { // too late: all goes back
		late, back := payment.Late(order, total), id.NewRefund(event)
		b.post(late)
		b.post(late.Onward(org, p.Onward()))
		payback := payment.Payback(back, order, total)
		b.post(payback)
		b.post(payback.Onward(org, -p.Onward()))
		at[currency] -= total.Amount
		return 0
	}
	sale := payment.Sale(order, org, total, fees).Taxed(org, tax)
	b.post(sale)
	b.post(sale.Onward(org, p.Onward()))
	at[currency] -= p.Onward()
	charge := money.Money{Amount: r.Int64N(total.Amount/10 + 1), Currency: currency}
	b.post(payment.ChargeFee(order, charge))
	at[currency] -= charge.Amount
	given, left := int64(0), total.Amount
	for left > 0 && r.IntN(3) > 0 {
		part := step * (1 + r.Int64N(left/step))
		back := id.NewRefund(event)
		amount := money.Money{Amount: part, Currency: currency}
		b.post(payment.Promise(back, order, org, amount, payment.InStep(fees, given, part, total.Amount)).Taxed(org, -payment.InStep(tax, given, part, total.Amount)))
		if r.IntN(4) > 0 { // else it is decided and not sent yet
			reverse := int64(0)
			if p.Destination != "" {
				reverse = part - payment.InStep(fees, given, part, total.Amount)
			}
			payback := payment.Payback(back, order, amount)
			b.post(payback)
			b.post(payback.Onward(org, -reverse))
			at[currency] += reverse - part
		}
		given, left = given+part, left-part
	}
	if r.IntN(3) == 0 {
		disputed(b, r, at, payment.Dispute{ID: "dp_" + order.String(), Order: order, Organizer: org, Amount: total}, total.Amount, &given, fees)
	}
	return total.Amount - given
}

// disputed lives a dispute to its end, with its notices in any order and repeated.
func disputed(b *books, r *rand.Rand, at provider, d payment.Dispute, total int64, given *int64, fees int64) {
	currency := d.Amount.Currency
	taken := payment.Movement{ID: "txn_1", Amount: money.Money{Amount: -d.Amount.Amount, Currency: currency}, Fee: 1500}
	end := payment.DisputeLost
	moves := []payment.Movement{taken}
	if r.IntN(2) == 0 {
		end = payment.DisputeWon
		moves = append(moves, payment.Movement{ID: "txn_2", Amount: d.Amount, Fee: -r.Int64N(1501)})
	}
	for _, m := range moves {
		at[currency] += m.Amount.Amount - m.Fee
	}
	said := []payment.Dispute{
		{State: payment.DisputeWarning},
		{State: payment.DisputeOpen, Movements: moves[:1]},
		{State: payment.DisputeOpen, Movements: moves[:1]},
		{State: end, Movements: moves[:1]},
		{State: end, Movements: moves},
	}
	r.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
	for _, s := range said {
		changed := d.See(s)
		for _, m := range d.Movements {
			b.post(d.Moved(m))
		}
		if changed && d.State == payment.DisputeLost {
			entry, own := d.Lose(total, *given, fees)
			b.post(entry)
			*given += own
		}
	}
	if d.State != end {
		b.t.Fatalf("the dispute is %s, not %s", d.State, end)
	}
}

// P4 over random histories: every entry balances, whatever is at the provider is
// booked there, what organizer and platform have of sales is what the orders are
// worth, and the organizer's statement is his account.
func TestBooks_ofRandomHistoriesBalance(t *testing.T) {
	t.Parallel()
	currencies := []string{"EUR", "JPY", "KWD"} // 2, 0 and 3 decimals
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		b := &books{t: t, entries: map[string]payment.Entry{}, balance: map[string]int64{}, sums: map[payment.Sum]int64{}}
		event, org := id.NewEvent("euw3"), id.NewOrganizer("euw3")
		at, worth := provider{}, map[string]int64{}
		for range 20 {
			currency := currencies[r.IntN(len(currencies))]
			worth[currency] += history(b, r, at, org, event, currency)
		}
		for _, currency := range currencies {
			var all int64
			for account, n := range b.balance {
				if account[len(account)-3:] == currency {
					all += n
				}
			}
			if all != 0 {
				t.Fatalf("seed %d: all accounts in %s sum to %d", seed, currency, all)
			}
			if booked := b.has(payment.AtProvider, currency); booked != at[currency] {
				t.Fatalf("seed %d: the provider has %d %s, booked are %d", seed, at[currency], currency, booked)
			}
			if n := b.has(payment.Disputes, currency); n != 0 {
				t.Fatalf("seed %d: %d %s are in question after every bank has decided", seed, n, currency)
			}
		}
		statement(t, seed, b, org, worth)
	}
}

func statement(t *testing.T, seed uint64, b *books, org id.Organizer, worth map[string]int64) {
	t.Helper()
	var sums []payment.Sum
	for s, n := range b.sums {
		if s.Account == payment.OwedTo(org) || s.Account == payment.TaxOf(org) {
			s.Amount = n
			sums = append(sums, s)
		}
	}
	for _, s := range payment.Balances(sums) {
		owed := -b.has(payment.OwedTo(org), s.Currency) - b.has(payment.TaxOf(org), s.Currency)
		if s.Owed != owed || s.Sold-s.Refunded-s.Lost-s.PaidOut != owed {
			t.Fatalf("seed %d: %+v, the accounts owe %d", seed, s, owed)
		}
		if ours := s.Sold - s.Refunded - s.Lost - b.has(payment.Fees, s.Currency); ours != worth[s.Currency] {
			t.Fatalf("seed %d: organizer and platform have %d %s of sales, the orders are worth %d", seed, ours, s.Currency, worth[s.Currency])
		}
	}
}

func TestLose_beyondTheOrderIsOwedByTheBuyer(t *testing.T) {
	t.Parallel()
	org := id.NewOrganizer("euw3")
	order := id.NewOrder(id.NewEvent("euw3"))
	d := payment.Dispute{ID: "dp_1", Order: order, Organizer: org, Amount: money.Money{Amount: 1000, Currency: "EUR"}}
	for given, want := range map[int64][4]int64{ // organizer, platform, buyer, the order's own
		0:    {900, 100, 0, 1000},
		400:  {540, 60, 400, 600},
		1000: {0, 0, 1000, 0},
	} {
		entry, own := d.Lose(1000, given, 100)
		got := map[payment.Account]int64{}
		for _, p := range entry.Postings {
			got[p.Account] += p.Amount
		}
		if err := entry.Check(); err != nil || own != want[3] || got[payment.OwedTo(org)] != want[0] || got[payment.Fees] != want[1] ||
			got[payment.Receivable] != want[2] || got[payment.Disputes] != -1000 {
			t.Errorf("after %d were given back: %v, own %d, %v", given, got, own, err)
		}
	}
}

// A bank's decision stays whatever older news comes after it.
func TestDispute_isDecidedInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, end := range []payment.DisputeState{payment.DisputeWon, payment.DisputeLost, payment.DisputeClosed} {
		news := []payment.DisputeState{payment.DisputeWarning, payment.DisputeOpen, payment.DisputeOpen, end, end}
		for seed := range uint64(100) {
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
			d, changes := payment.Dispute{State: news[0]}, 0
			for _, s := range news[1:] {
				if d.See(payment.Dispute{State: s}) {
					changes++
				}
			}
			if d.State != end || changes > 2 {
				t.Fatalf("%v: %s after %d changes", news, d.State, changes)
			}
		}
	}
}

func TestBalances_keepCurrenciesApart(t *testing.T) {
	t.Parallel()
	org := id.NewOrganizer("euw3")
	var sums []payment.Sum
	for i, currency := range []string{"EUR", "JPY"} {
		n := int64(i+1) * 1000
		sums = append(sums, payment.Sum{Currency: currency, Account: payment.OwedTo(org), Kind: payment.KindSale, Amount: -n},
			payment.Sum{Currency: currency, Account: payment.TaxOf(org), Kind: payment.KindSale, Amount: -n / 10},
			payment.Sum{Currency: currency, Account: payment.OwedTo(org), Kind: payment.KindPromise, Amount: n / 2},
			payment.Sum{Currency: currency, Account: payment.OwedTo(org), Kind: payment.KindOnward, Amount: n / 4})
	}
	got := payment.Balances(sums)
	want := []payment.Balance{
		{Currency: "EUR", Sold: 1100, Refunded: 500, PaidOut: 250, Owed: 350, Tax: 100},
		{Currency: "JPY", Sold: 2200, Refunded: 1000, PaidOut: 500, Owed: 700, Tax: 200},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got := strconv.Itoa(len(payment.Balances(nil))); got != "0" {
		t.Errorf("of nothing there are %s", got)
	}
}
