package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

var stockTests = map[string]func(t *testing.T, s *store.Store){
	"Regression01_lastTicketGoesToOneOfHundreds":             lastTicket,
	"Regression16_quotaSharedByTwoTypesHoldsUnderACrowd":     sharedQuota,
	"Regression02_stalledWorkerCannotCommitAfterTheNextSale": stalledWorker,
	"Stock_crowdOfEverythingAddsUp":                          everything,
}

// retried runs do until it is neither busy nor in flight, as a client would, each
// time at the next process.
func retried(t *testing.T, do func(try int) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for try := 0; ; try++ {
		err := do(try)
		e := kind.As(err)
		if e == nil || e.Retry == 0 || errors.Is(err, booking.ErrMoved) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

const countHolds = `SELECT count(*) FROM booking.hold WHERE event_id = $1`

// Regression 1: hundreds of buyers, one ticket, two processes of the cell, and a
// storm of retries with the same keys: exactly one hold. P2, P5.
func lastTicket(t *testing.T, s *store.Store) {
	b := openShop(t, s, 1, 1)
	boxes := []shop{b, b.at(twin(t, s))}
	crowd := buyers
	if isCockroach(t, s) {
		crowd = fewBuyers
	}
	const attempts = 2 // of each buyer, at the same time, with one key
	var all sync.WaitGroup
	var mu sync.Mutex // guards won
	won := map[string]int{}
	start := make(chan struct{})
	for buyer := range crowd {
		for attempt := range attempts {
			all.Go(func() {
				<-start
				var hold string
				err := retried(t, func(try int) error {
					box := boxes[(buyer+attempt+try)%len(boxes)]
					key := &booking.Key{Scope: "POST holds", Key: fmt.Sprint("buyer-", buyer), Fingerprint: "same"}
					op, err := box.HoldOnce(t.Context(), box.event.ID, box.want(box.floor, 1), key, func(h booking.Hold) (int, []byte, error) { return 201, []byte(h.ID.String()), nil })
					if err == nil {
						hold = string(op.Body)
					}
					return err
				})
				switch {
				case err == nil:
					mu.Lock()
					won[hold]++
					mu.Unlock()
				case !errors.Is(err, booking.ErrSoldOut):
					t.Errorf("buyer %d: %v", buyer, err)
				}
			})
		}
	}
	close(start)
	all.Wait()
	if len(won) != 1 {
		t.Errorf("%d holds were granted: %v", len(won), won)
	}
	for hold, times := range won {
		if times != attempts {
			t.Errorf("the winner's key was answered with %s %d times, want %d", hold, times, attempts)
		}
	}
	if n := b.number(t, countHolds, b.event.ID.String()); n != 1 {
		t.Errorf("%d holds are stored", n)
	}
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// holdOnce is the effect of a request for one ticket: its answer is the hold's id.
func holdOnce(b shop) func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
	return func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
		h, err := b.within(ctx, tx, b.floor, 1)
		if err != nil {
			return 0, nil, err
		}
		body, err := json.Marshal(h.ID)
		return 201, body, err
	}
}

// Regression 16: two types draw on one quota; each has room of its own.
func sharedQuota(t *testing.T, s *store.Store) {
	b := openShop(t, s, 20, 20)
	boxes := []shop{b, b.at(twin(t, s))}
	var all sync.WaitGroup
	granted := make(chan int64, 100)
	for i := range 60 {
		of := []id.TicketType{b.floor, b.gallery}[i%2]
		all.Go(func() {
			n := int64(1 + i%3)
			err := retried(t, func(try int) error {
				_, err := boxes[(i/2+try)%2].ask(t.Context(), of, n)
				return err
			})
			if err == nil {
				granted <- n
			} else if !errors.Is(err, booking.ErrSoldOut) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(granted)
	var sum int64
	for n := range granted {
		sum += n
	}
	e, err := s.Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	if e.Quotas[0].Held != sum || sum != 20 || e.Quotas[1].Held > sum {
		t.Errorf("granted %d of 20; the hall has %d held, the gallery %d", sum, e.Quotas[0].Held, e.Quotas[1].Held)
	}
	b.wantHoldsToAddUp(t, e)
}

// Regression 2: a worker has decided to sell a hold, then stalls in mid-transaction
// beyond the session's idle_in_transaction timeout. The database takes its locks
// away, the other process sweeps the hold that fell due and sells the ticket to
// the next buyer; when the stalled worker wakes up its work is gone, and deciding
// again it finds the ticket gone too.
func stalledWorker(t *testing.T, s *store.Store) {
	b := openShop(t, s, 1, 1)
	other := b.at(twin(t, s))
	hold := b.mustHold(t, b.floor, 1)
	b.expire(t, hold.ID, 300*time.Millisecond)

	decided, wake := make(chan struct{}), make(chan struct{})
	outcome := make(chan error, 1)
	runs := 0
	go func() {
		outcome <- s.WithStock(t.Context(), txn.None, b.event.ID, ttl, []id.Hold{hold.ID}, func(stock *booking.Stock) error {
			if runs++; runs > 1 { // its session was cut: it decides again, on what is there by now
				return stock.Convert(stock.Holds[hold.ID])
			}
			err := stock.Convert(stock.Holds[hold.ID])
			close(decided)
			<-wake
			return err
		})
	}()
	wait(t, decided, "the worker's decision")
	var next booking.Hold
	err := retried(t, func(int) error {
		var err error
		if next, err = other.ask(t.Context(), b.floor, 1); errors.Is(err, booking.ErrSoldOut) {
			return sqldb.ErrBusy.After(time.Millisecond) // not due yet: ask again
		}
		return err
	})
	close(wake)
	if err != nil {
		t.Fatalf("the next buyer: %v", err)
	}
	if err := <-outcome; !errors.Is(err, booking.ErrSoldOut) || runs != 2 {
		t.Errorf("the stalled worker, after %d runs: %v", runs, err)
	}
	b.wantState(t, hold.ID, booking.HoldExpired)
	b.wantState(t, next.ID, booking.HoldActive)
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// everything: a crowd that holds, extends, releases, lets expire, sweeps and
// resizes at two processes; whatever the order, the counters are the holds'.
func everything(t *testing.T, s *store.Store) {
	b := openShop(t, s, 30, 10)
	boxes := []shop{b, b.at(twin(t, s))}
	may := []error{booking.ErrSoldOut, booking.ErrHoldExpired, booking.ErrExtendLimit, booking.ErrQuotaTooSmall, booking.ErrInvalidEvent, sqldb.ErrBusy}
	fine := func(err error) {
		for _, m := range may {
			if errors.Is(err, m) {
				return
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	for i := range 40 {
		box := boxes[i%2]
		all.Go(func() {
			ctx := t.Context()
			for round := range 4 {
				of := []id.TicketType{b.floor, b.gallery}[(i/2+round)%2]
				h, err := box.ask(ctx, of, int64(1+(i+round)%3))
				fine(err)
				if err != nil {
					continue
				}
				switch (i + round) % 5 {
				case 0:
					_, err = boxes[(i+1)%2].Release(ctx, h.ID)
				case 1:
					b.expire(t, h.ID, 0)
					_, err = box.Sweep(ctx)
				case 2:
					_, err = box.Extend(ctx, h.ID)
				case 3:
					_, err = box.Change(ctx, txn.None, b.event.ID, b.event.Organizer, 0, func(e *booking.Event, _ time.Time) error {
						return e.Resize(b.upper, "gallery", int64(5+round))
					})
				}
				fine(err)
			}
		})
	}
	all.Wait()
	e, err := s.Event(t.Context(), txn.None, b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	if e.Quotas[0].Held == 0 {
		t.Error("nothing is held: the crowd did nothing")
	}
	b.wantHoldsToAddUp(t, e)
}
