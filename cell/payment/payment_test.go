package payment_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
)

var (
	born     = payment.Intent{ID: "pi_1", ClientSecret: "s", State: payment.Created}
	refused  = payment.Intent{ID: "pi_1", ClientSecret: "s", State: payment.Created, Decline: "generic_decline"}
	asked    = payment.Intent{ID: "pi_1", ClientSecret: "s", State: payment.Pending}
	captured = payment.Intent{ID: "pi_1", ClientSecret: "s", State: payment.Captured, Received: 4250}
	canceled = payment.Intent{ID: "pi_1", ClientSecret: "s", State: payment.Canceled}
)

func TestSee_takesNewsAsItComes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		news    []payment.Intent
		want    payment.State
		settled bool
	}{
		"just born":                        {[]payment.Intent{born}, payment.Pending, false},
		"declined":                         {[]payment.Intent{refused}, payment.Failed, false},
		"declined, then told of its birth": {[]payment.Intent{refused, born}, payment.Failed, false},
		"declined, then tried again":       {[]payment.Intent{refused, asked}, payment.Pending, false},
		"paid":                             {[]payment.Intent{captured}, payment.Captured, true},
		"paid at the second try":           {[]payment.Intent{refused, asked, captured}, payment.Captured, true},
		"all in the wrong order":           {[]payment.Intent{captured, asked, refused, born}, payment.Captured, true},
		"canceled":                         {[]payment.Intent{canceled}, payment.Canceled, true},
		"canceled, then an old decline":    {[]payment.Intent{canceled, refused, asked, born}, payment.Canceled, true},
		"canceled, and money all the same": {[]payment.Intent{canceled, captured, canceled}, payment.Captured, true},
	} {
		p := payment.Payment{State: payment.Pending, IntentID: "pi_1"}
		for _, n := range c.news {
			p.See(n)
		}
		if p.State != c.want || p.Settled != c.settled {
			t.Errorf("%s: %s, settled %t; want %s, %t", name, p.State, p.Settled, c.want, c.settled)
		}
		if (p.State == payment.Captured) != (p.Received == 4250) {
			t.Errorf("%s: %s with %d received", name, p.State, p.Received)
		}
	}
}

// The order in which news arrive must not decide about money: captured is captured.
func TestSee_moneyIsNeverForgottenInAnyOrder(t *testing.T) {
	t.Parallel()
	news := []payment.Intent{born, refused, asked, asked, captured, captured, canceled}
	for seed := range uint64(500) {
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
		p := payment.Payment{State: payment.Created}
		for _, n := range news {
			p.See(n)
		}
		if p.State != payment.Captured || !p.Settled || p.Received != 4250 || p.IntentID != "pi_1" {
			t.Fatalf("after %v: %+v", news, p)
		}
	}
}

func TestSee_findsTheIntentWhereTheMoneyIs(t *testing.T) {
	t.Parallel()
	p := payment.Payment{State: payment.Pending, IntentID: "pi_2", ClientSecret: "other"}
	p.See(asked)
	if p.IntentID != "pi_2" {
		t.Error("another intent took its place without money")
	}
	p.See(captured)
	if p.IntentID != "pi_1" || p.ClientSecret != "s" {
		t.Errorf("%+v", p)
	}
}

// P4: every kind of entry balances, and together they end at nothing when all is
// given back.
func TestEntries_balance(t *testing.T) {
	t.Parallel()
	event, org := id.NewEvent("euw3"), id.NewOrganizer("euw3")
	order := id.NewOrder(event)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		total := money.Money{Amount: 1 + r.Int64N(1_000_000), Currency: "EUR"}
		fees := r.Int64N(total.Amount + 1)
		entries := []payment.Entry{payment.Sale(order, org, total, fees), payment.Late(id.NewOrder(event), total)}
		for left, leftFees := total.Amount, fees; left > 0; {
			part := money.Money{Amount: 1 + r.Int64N(left), Currency: "EUR"}
			share := min(leftFees, part.Amount)
			if part.Amount == left {
				share = leftFees
			}
			back := id.NewRefund(event)
			entries = append(entries, payment.Promise(back, order, org, part, share), payment.Payback(back, order, part))
			left, leftFees = left-part.Amount, leftFees-share
		}
		late := id.NewRefund(event)
		entries = append(entries, payment.Payback(late, order, total))
		balance, seen := map[payment.Account]int64{}, map[string]bool{}
		for _, e := range entries {
			if err := e.Check(); err != nil {
				t.Fatal(err)
			}
			if seen[e.ID] || e.Currency != "EUR" {
				t.Fatalf("entry %s (%s) is there twice: %t", e.ID, e.Currency, seen[e.ID])
			}
			seen[e.ID] = true
			for _, p := range e.Postings {
				balance[p.Account] += p.Amount
			}
		}
		for account, sum := range balance {
			if sum != 0 {
				t.Fatalf("all is given back and %s has %d", account, sum)
			}
		}
	}
}

func TestCheck_refusesWhatDoesNotBalance(t *testing.T) {
	t.Parallel()
	e := payment.Entry{ID: "x", Postings: []payment.Posting{{Account: payment.AtProvider, Amount: 5}, {Account: payment.Fees, Amount: -4}}}
	if err := e.Check(); !errors.Is(err, payment.ErrUnbalanced) {
		t.Error(err)
	}
}
