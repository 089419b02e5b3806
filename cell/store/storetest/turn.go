package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/bus"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var turnTests = map[string]func(t *testing.T, s *store.Store){
	"turns share one transaction and one stock":                       turnsShare,
	"a turn that refuses and changed nothing leaves the others alone": turnRefuses,
	"a turn that refuses after a change is decided alone":             turnUndone,
	"what a turn has changed is seen wherever it is":                  turnUndoneByPart,
	"a turn that the database refuses fails alone":                    turnBreaks,
	"the last ticket goes to one of the turns of a batch":             turnsAtTheLastTicket,
	"a turn sells what ended with its codes alone":                    turnWithCounters,
	"a turn cannot read stock past the shared one":                    turnPastTheStock,
	"a turn's key has one answer":                                     turnAnswers,
	"turns number their papers without gaps and book once":            turnsWithPapers,
	"turns and holds of two processes are counted once":               turnsOfTwoProcesses,
}

// asked is something that waits at the desk for its turn.
type asked struct {
	subject string
	holds   []id.Hold
	do      func(ctx context.Context, tx txn.Tx) error
}

// together asks all of it while the desk is kept busy, so that it meets in one batch.
func (b shop) together(t *testing.T, all ...asked) []error {
	t.Helper()
	began, open := make(chan struct{}), make(chan struct{})
	errs := make([]error, len(all))
	var crowd sync.WaitGroup
	crowd.Go(func() {
		if err := b.Desks.Turn(t.Context(), b.event.ID, func(context.Context, txn.Tx) error { close(began); <-open; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-began
	for i, a := range all {
		crowd.Go(func() { errs[i] = b.Desks.Share(t.Context(), b.event.ID, a.subject, a.holds, a.do) })
	}
	for b.Desks.Waiting() < int64(len(all)+1) {
		if t.Context().Err() != nil {
			t.Fatal("they did not come")
		}
		time.Sleep(time.Millisecond)
	}
	close(open)
	crowd.Wait()
	return errs
}

// sells converts a hold and says so.
func (b shop) sells(hold id.Hold) asked {
	return asked{subject: hold.String(), do: func(ctx context.Context, tx txn.Tx) error { return b.convert(ctx, tx, hold) }}
}

func (b shop) convert(ctx context.Context, tx txn.Tx, hold id.Hold) error {
	err := b.store.WithStock(ctx, tx, b.event.ID, ttl, []id.Hold{hold}, func(stock *booking.Stock) error { return stock.Convert(stock.Holds[hold]) })
	if err != nil {
		return err
	}
	event := b.event.ID.String()
	return b.store.Publish(ctx, tx, store.Outgoing{Key: event, Subject: bus.Catalog(b.store.Cell, event), Payload: []byte("{}")})
}

const (
	countLedger  = `SELECT count(*) FROM booking.ledger WHERE event_id = $1`
	countUngiven = `SELECT count(*) FROM bus.outbox AS o JOIN bus.bucket AS b ON b.bucket = o.bucket WHERE o.seq > b.last_seq`
)

func turnsShare(t *testing.T, s *store.Store) {
	b := openShop(t, s, 1000, 10)
	const turns = 30
	var all []asked
	for i := range turns {
		hold := b.mustHold(t, b.floor, 2).ID
		a := b.sells(hold)
		if i%2 == 0 { // read with the stock; the others' when they ask for it
			a.holds = []id.Hold{hold}
		}
		all = append(all, a)
	}
	event := b.event.ID.String()
	rows, told := b.number(t, countLedger, event), b.number(t, countOutbox, event)
	if err := errors.Join(b.together(t, all...)...); err != nil {
		t.Fatal(err)
	}
	b.wantCounters(t, [4]int64{0, 2 * turns, 0, 0})
	if n := b.number(t, countLedger, event) - rows; n != 1 {
		t.Errorf("%d rows of the ledger: not one transaction", n)
	}
	if n := b.number(t, countOutbox, event) - told; n != turns {
		t.Errorf("the world was told %d times, want %d", n, turns)
	}
	if n := b.number(t, countUngiven); n != 0 {
		t.Errorf("%d rows of the outbox have numbers that were not given out", n)
	}
}

var errNo = errors.New("no")

func turnRefuses(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	one, two := b.mustHold(t, b.floor, 1).ID, b.mustHold(t, b.floor, 1).ID
	runs := 0
	refuses := asked{do: func(ctx context.Context, tx txn.Tx) error {
		runs++
		return b.store.WithStock(ctx, tx, b.event.ID, ttl, []id.Hold{two}, func(stock *booking.Stock) error {
			if stock.Holds[two].State != booking.HoldActive {
				t.Errorf("the hold is %s", stock.Holds[two].State)
			}
			return errNo
		})
	}}
	errs := b.together(t, refuses, b.sells(one))
	wantErr(t, errs[0], errNo)
	wantErr(t, errs[1], nil)
	if runs != 1 {
		t.Errorf("ran %d times", runs)
	}
	b.wantCounters(t, [4]int64{1, 1, 0, 0})
}

func turnUndone(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	one, two := b.mustHold(t, b.floor, 1).ID, b.mustHold(t, b.floor, 1).ID
	var shared []bool
	refuses := asked{do: func(ctx context.Context, tx txn.Tx) error {
		shared = append(shared, sharing(tx))
		return txn.In(ctx, b.store, tx, func(ctx context.Context, tx txn.Tx) error { return errors.Join(b.convert(ctx, tx, two), errNo) })
	}}
	errs := b.together(t, refuses, b.sells(one))
	wantErr(t, errs[0], errNo)
	wantErr(t, errs[1], nil)
	if fmt.Sprint(shared) != "[true false]" {
		t.Errorf("its transactions were shared: %v, want once, and then not", shared)
	}
	b.wantCounters(t, [4]int64{1, 1, 0, 0})
	if h, err := b.Look(t.Context(), two); err != nil || h.State != booking.HoldActive {
		t.Errorf("the hold is %s, %v", h.State, err)
	}
}

// What a turn has changed is seen wherever it is: in the hold alone, or in the ledger alone.
func turnUndoneByPart(t *testing.T, s *store.Store) {
	for name, change := range map[string]func(stock *booking.Stock, h *booking.Hold){
		"the hold": func(stock *booking.Stock, h *booking.Hold) {
			_ = stock.Enter(h, id.NewOrder(stock.ID), stock.Now.Add(time.Hour))
		},
		"the ledger": func(stock *booking.Stock, h *booking.Hold) {
			stock.Return(h.Order, map[id.TicketType]int64{stock.Types[0].ID: 1})
		},
	} {
		b := openShop(t, s, 10, 4)
		sold, held, other := b.mustHold(t, b.floor, 1).ID, b.mustHold(t, b.floor, 1).ID, b.mustHold(t, b.floor, 1).ID
		wantErr(t, b.together(t, b.sells(sold))[0], nil)
		of := held
		if name == "the ledger" {
			of = sold
		}
		runs := 0
		errs := b.together(t, b.sells(other), asked{do: func(ctx context.Context, tx txn.Tx) error {
			runs++
			return txn.In(ctx, b.store, tx, func(ctx context.Context, tx txn.Tx) error {
				return b.store.WithStock(ctx, tx, b.event.ID, ttl, []id.Hold{of}, func(stock *booking.Stock) error {
					change(stock, stock.Holds[of])
					return errNo
				})
			})
		}})
		wantErr(t, errs[0], nil)
		wantErr(t, errs[1], errNo)
		if h, err := b.Look(t.Context(), of); err != nil || !h.Order.IsZero() || runs != 2 {
			t.Errorf("%s: its order is %s, %v, in %d runs", name, h.Order, err, runs)
		}
		b.wantCounters(t, [4]int64{1, 2, 0, 0})
	}
}

func turnBreaks(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	var all []asked
	for range 5 {
		all = append(all, b.sells(b.mustHold(t, b.floor, 1).ID))
	}
	all = append(all, asked{do: func(ctx context.Context, tx txn.Tx) error {
		_, err := sqlOf(b.store, tx).Exec(ctx, `UPDATE booking.quota SET held = -1 WHERE quota_id = $1`, b.hall.String())
		return err
	}})
	errs := b.together(t, all...)
	wantErr(t, errors.Join(errs[:5]...), nil)
	if !sqldb.Violates(errs[5], "quota_held_check") {
		t.Errorf("the guilty one was told %v", errs[5])
	}
	b.wantCounters(t, [4]int64{0, 5, 0, 0})
}

// Two holds ended, one place is left for both: who comes first takes it again.
func turnsAtTheLastTicket(t *testing.T, s *store.Store) {
	b := openShop(t, s, 2, 2)
	var all []asked
	for range 2 {
		hold := b.mustHold(t, b.floor, 1).ID
		if _, err := b.Release(t.Context(), hold); err != nil {
			t.Fatal(err)
		}
		all = append(all, b.sells(hold))
	}
	b.mustHold(t, b.floor, 1)
	errs := b.together(t, all...)
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), booking.ErrSoldOut) {
		t.Errorf("they were told %v", errs)
	}
	b.wantCounters(t, [4]int64{1, 1, 0, 0})
}

func turnWithCounters(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	if _, err := s.PutCode(t.Context(), txn.None, b.event.ID, "SPRING", func(*booking.Event, *booking.Code) (booking.Code, error) {
		return booking.Code{Code: "SPRING", Kind: booking.PromoCode, MaxUses: new(int64(2)), Terms: booking.CodeTerms{Percent: 1000}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	want := b.want(b.floor, 2)
	want.Promo = "spring"
	h, err := b.Hold(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Release(t.Context(), h.ID); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.together(t, b.sells(h.ID), b.sells(b.mustHold(t, b.floor, 1).ID))...); err != nil {
		t.Fatal(err)
	}
	b.wantCounters(t, [4]int64{0, 3, 0, 0})
	if c, err := s.Code(t.Context(), txn.None, b.event.ID, "SPRING"); err != nil || c.Uses != 2 {
		t.Errorf("the code was used %d times, %v", c.Uses, err)
	}
}

func turnPastTheStock(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	change := asked{do: func(ctx context.Context, tx txn.Tx) error {
		if !sharing(tx) {
			return nil
		}
		_, err := s.ChangeEvent(ctx, tx, b.event.ID, func(*booking.Event, time.Time) error { return nil })
		return err
	}}
	aside := asked{do: func(ctx context.Context, tx txn.Tx) error {
		return s.WithAside(ctx, tx, b.event.ID, ttl, nil, func(*booking.Stock) (*booking.Named, error) { return nil, nil }) //nolint:nilnil // nobody's hold
	}}
	for i, err := range b.together(t, change, aside) {
		if err == nil {
			t.Errorf("turn %d read stock that others were changing", i)
		}
	}
}

func turnAnswers(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	hold := b.mustHold(t, b.floor, 1).ID
	ran := 0
	ask := func(fingerprint string, replayed *bool) asked {
		return asked{subject: hold.String(), do: func(ctx context.Context, tx txn.Tx) error {
			_, _, again, err := s.AnswerOnce(ctx, tx, "POST /v1/orders", "k", fingerprint, func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
				ran++
				return 201, []byte(`{}`), b.convert(ctx, tx, hold)
			})
			*replayed = again
			return err
		}}
	}
	var first, second, third bool
	if err := errors.Join(b.together(t, ask("print", &first), ask("print", &second))...); err != nil {
		t.Fatal(err)
	}
	wantErr(t, b.together(t, ask("another", &third))[0], store.ErrKeyReused)
	if ran != 1 || first == second || third {
		t.Errorf("ran %d times; replayed %v, %v, %v", ran, first, second, third)
	}
	b.wantCounters(t, [4]int64{0, 1, 0, 0})
}

// What the turns of a batch write of a kind is one statement: their invoices are numbered one
// after the other, each organizer's and kind's by itself, and what was there stays as it was.
func turnsWithPapers(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	org, other := id.NewOrganizer(s.Cell), id.NewOrganizer(s.Cell)
	papers := make([]checkout.Paper, 14)
	for i := range papers {
		papers[i] = invoiceOf(id.NewOrder(b.event.ID), org)
		switch {
		case i >= 12:
			papers[i].Kind, papers[i].Cause = checkout.CreditNote, "ref_1"
		case i >= 8:
			papers[i].Organizer = other
		}
	}
	booked := func(o id.Order, amounts ...int64) payment.Entry {
		e := payment.Entry{ID: o.String() + ":sale", Kind: payment.KindSale, Order: o, Currency: "EUR"}
		for _, amount := range amounts {
			e.Postings = append(e.Postings, payment.Posting{Account: payment.Fees, Amount: amount}, payment.Posting{Account: payment.AtProvider, Amount: -amount})
		}
		return e
	}
	was := papers[3].Order
	if err := errors.Join(s.IssuePaper(t.Context(), txn.None, papers[3]), s.Post(t.Context(), txn.None, booked(was, 7))); err != nil {
		t.Fatal(err)
	}
	ran, turns := 0, make([]asked, len(papers))
	for i, p := range papers {
		turns[i] = asked{subject: p.Order.String(), do: func(ctx context.Context, tx txn.Tx) error {
			ran++
			return errors.Join(s.IssuePaper(ctx, tx, p), s.Post(ctx, tx, booked(p.Order, 90, 10)))
		}}
	}
	if err := errors.Join(b.together(t, turns...)...); err != nil {
		t.Fatal(err)
	}
	if ran != len(turns) {
		t.Errorf("%d turns ran %d times: they were not stored together", len(turns), ran)
	}
	numbers := map[string][]int64{}
	for i, p := range papers {
		got, err := s.Paper(t.Context(), txn.None, p.Order, p.Kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		if i == 3 && got.Number != 1 {
			t.Errorf("the paper that was there has the number %d now", got.Number)
		}
		counter := p.Organizer.String() + string(p.Kind)
		numbers[counter] = append(numbers[counter], got.Number)
	}
	for counter, given := range numbers {
		slices.Sort(given)
		for i, n := range given {
			if n != int64(i)+1 {
				t.Fatalf("%s: numbers %v", counter, given)
			}
		}
	}
	if n := b.number(t, sumProvider, b.event.ID.String()); n != -13*100-7 {
		t.Errorf("the provider owes %d", n)
	}
}

const sumProvider = `SELECT coalesce(sum(amount), 0)::bigint FROM payment.posting WHERE account = 'provider' AND event_id = $1`

// Both processes sell what buyers hold and grant holds to others, all at once.
func turnsOfTwoProcesses(t *testing.T, s *store.Store) {
	b := openShop(t, s, 1000, 10)
	const each = 40
	var crowd sync.WaitGroup
	for _, at := range []shop{b, b.at(twin(t, s))} {
		for range each {
			hold := b.mustHold(t, b.floor, 1).ID
			sell := at.sells(hold)
			crowd.Go(func() {
				if err := at.Desks.Share(t.Context(), b.event.ID, sell.subject, nil, sell.do); err != nil {
					t.Error(err)
				}
			})
			crowd.Go(func() { at.mustHold(t, b.floor, 1) })
		}
	}
	crowd.Wait()
	b.wantCounters(t, [4]int64{2 * each, 2 * each, 0, 0})
	if n := b.number(t, countUngiven); n != 0 {
		t.Errorf("%d rows of the outbox have numbers that were not given out", n)
	}
}
