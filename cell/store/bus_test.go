package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

func migrateBus(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

func openBus(t *testing.T) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateBus), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, "euw3")
}

func fact(key, payload string) store.Outgoing {
	return store.Outgoing{Key: key, Subject: bus.Catalog("euw3", "evt_euw3_k3v9x2m4q7rt"), Payload: []byte(payload)}
}

// drainOutbox relays by hand: everything behind the cursors, in order.
func drainOutbox(t *testing.T, s *store.Store) []bus.Record {
	t.Helper()
	var out []bus.Record
	for {
		spans, err := s.Moved(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(spans) == 0 {
			return out
		}
		for _, sp := range spans {
			batch, err := s.Read(t.Context(), sp.Bucket, sp.After, 7)
			if err != nil || len(batch) == 0 {
				t.Fatalf("read %+v: %d rows, %v", sp, len(batch), err)
			}
			out = append(out, batch...)
			if err := s.Advance(t.Context(), sp.Bucket, sp.After, batch[len(batch)-1].Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPublish_rowsAreThereExactlyWhenTheTransactionCommitted(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	rolledBack := errors.New("changed my mind")
	err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if err := s.Publish(ctx, tx, fact("k", "never")); err != nil {
			t.Fatal(err)
		}
		return rolledBack
	})
	if !errors.Is(err, rolledBack) {
		t.Fatal(err)
	}
	if got := drainOutbox(t, s); len(got) != 0 {
		t.Fatalf("rolled back, and yet %v", got)
	}
	if err := s.Publish(t.Context(), txn.None, fact("k", "one"), fact("k", "two"), fact("other", "three")); err != nil {
		t.Fatal(err)
	}
	got := drainOutbox(t, s)
	if len(got) != 3 {
		t.Fatalf("%d rows", len(got))
	}
	for _, r := range got {
		if r.MessageID != fmt.Sprintf("euw3-%d-%d", r.Bucket, r.Seq) || r.Subject == "" {
			t.Errorf("got %+v", r)
		}
	}
}

func TestPublish_concurrentTransactionsLeaveNoGapAndKeepEachOnesOrder(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	const writers, each = 20, 25
	stop := make(chan struct{})
	relayed := make(chan []bus.Record)
	go func() { // a relay at the same time: a row that commits late must not be skipped
		var all []bus.Record
		for done := false; ; {
			select {
			case <-stop:
				done = true
			default:
			}
			all = append(all, drainOutbox(t, s)...)
			if done {
				relayed <- all
				return
			}
		}
	}()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Two buckets per transaction, named in either order.
				a, b := fact(fmt.Sprint("a", w%4), fmt.Sprintf("%d:%d", w, i)), fact(fmt.Sprint("b", w%3), "x")
				msgs := []store.Outgoing{a, b}
				if w%2 == 0 {
					msgs = []store.Outgoing{b, a}
				}
				for {
					err := s.Publish(t.Context(), txn.None, msgs...)
					if err == nil {
						break
					}
					if !errors.Is(err, sqldb.ErrBusy) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	got := <-relayed
	if len(got) != 2*writers*each {
		t.Errorf("%d rows relayed, want %d", len(got), 2*writers*each)
	}
	lastSeq, lastOf := map[int]int64{}, map[int]int{}
	for _, r := range got {
		if r.Seq != lastSeq[r.Bucket]+1 {
			t.Fatalf("bucket %d: %d after %d", r.Bucket, r.Seq, lastSeq[r.Bucket])
		}
		lastSeq[r.Bucket] = r.Seq
		var w, i int
		if n, _ := fmt.Sscanf(string(r.Payload), "%d:%d", &w, &i); n == 2 {
			if i != lastOf[w] {
				t.Fatalf("writer %d: %d after %d", w, i, lastOf[w]-1)
			}
			lastOf[w] = i + 1
		}
	}
}

func TestPublish_refusesWhatTheRelayCouldNeverSend(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	foreign := fact("k", "x")
	foreign.Subject = bus.Catalog("use1", "evt_use1_k3v9x2m4q7rt")
	large := fact("k", "x")
	large.Payload = make([]byte, bus.MaxPayload+1)
	for _, m := range []store.Outgoing{foreign, large, {}} {
		if err := s.Publish(t.Context(), txn.None, fact("k", "good"), m); !errors.Is(err, bus.ErrUnfit) {
			t.Errorf("got %v", err)
		}
	}
	if err := s.Publish(t.Context(), txn.None, make([]store.Outgoing, bus.MaxAtOnce+1)...); !errors.Is(err, bus.ErrUnfit) {
		t.Errorf("got %v", err)
	}
	if got := drainOutbox(t, s); len(got) != 0 {
		t.Errorf("stored %v", got)
	}
}

func TestAdvance_movesOnlyFromWhereTheCursorIs(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	if err := s.Publish(t.Context(), txn.None, fact("k", "1"), fact("k", "2"), fact("k", "3")); err != nil {
		t.Fatal(err)
	}
	b := bus.BucketOf("k")
	for _, step := range []struct{ from, to, want int64 }{{0, 2, 2}, {0, 3, 2}, {1, 3, 2}, {2, 3, 3}} {
		if err := s.Advance(t.Context(), b, step.from, step.to); err != nil {
			t.Fatal(err)
		}
		rest, err := s.Read(t.Context(), b, step.want, 10)
		spans, merr := s.Moved(t.Context())
		if err != nil || merr != nil {
			t.Fatal(err, merr)
		}
		if at := 3 - int64(len(rest)); at != step.want || (step.want < 3) != (len(spans) == 1) || len(spans) == 1 && spans[0].After != step.want {
			t.Errorf("%+v: cursor is wrong: %v", step, spans)
		}
	}
}

func TestRewind_sendsAgainWhatIsStillKept(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	before := time.Now().Add(-time.Hour)
	for i := range 30 {
		if err := s.Publish(t.Context(), txn.None, fact(fmt.Sprint(i), fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	first := drainOutbox(t, s)
	if n, err := s.Rewind(t.Context(), time.Now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("nothing is that young: %d %v", n, err)
	}
	if n, err := s.Rewind(t.Context(), before); err != nil || n == 0 {
		t.Fatalf("%d buckets, %v", n, err)
	}
	again := drainOutbox(t, s)
	if len(again) != len(first) {
		t.Errorf("%d rows again, %d before", len(again), len(first))
	}
	ids := map[string]bool{}
	for _, r := range first {
		ids[r.MessageID] = true
	}
	for _, r := range again {
		if !ids[r.MessageID] {
			t.Errorf("%s is a new id for an old row", r.MessageID)
		}
	}
}

func TestOnce_ofManyAtOnceOneIsFirst(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	firsts := 0
	for range 30 {
		wg.Go(func() {
			var first bool
			err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) (err error) {
				first, err = s.Once(ctx, tx, "indexer", "use1-3-7")
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			} else if first {
				firsts++
			}
		})
	}
	wg.Wait()
	if firsts != 1 {
		t.Errorf("%d were first", firsts)
	}
	other, err := s.Once(t.Context(), txn.None, "mailer", "use1-3-7")
	if err != nil || !other {
		t.Errorf("another consumer has its own inbox: %v %v", other, err)
	}
}

func TestOnce_rolledBackIsForgotten(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	effectFailed := errors.New("effect failed")
	err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if first, err := s.Once(ctx, tx, "indexer", "m"); err != nil || !first {
			t.Error(first, err)
		}
		return effectFailed
	})
	if !errors.Is(err, effectFailed) {
		t.Fatal(err)
	}
	if first, err := s.Once(t.Context(), txn.None, "indexer", "m"); err != nil || !first {
		t.Errorf("the effect did not happen, the message is not done: %v %v", first, err)
	}
}

func TestPark_keepsTheMessageOnceAndPrintsAnyReason(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	p := bus.Parked{Consumer: "indexer", Reason: "bad\x00 bytes", Message: bus.Message{ID: "use1-3-7", Subject: bus.Catalog("use1", "evt_use1_k3v9x2m4q7rt"), Payload: []byte{0, 255}, Delivery: 10}}
	for range 2 {
		if err := s.Park(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Parked(t.Context(), 10)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got := rows[0]
	if got.Consumer != "indexer" || got.Reason != "bad bytes" || got.Message.Cell != "use1" || got.Message.Delivery != 10 || len(got.Message.Payload) != 2 || got.At.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestSweepBus_takesOldRowsBehindTheCursorOnly(t *testing.T) {
	t.Parallel()
	s := openBus(t)
	for i := range 5 {
		if err := s.Publish(t.Context(), txn.None, fact("k", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if _, err := s.Once(t.Context(), txn.None, "indexer", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	b := bus.BucketOf("k")
	if err := s.Advance(t.Context(), b, 0, 3); err != nil {
		t.Fatal(err)
	}
	age := func(sql string) {
		if err := s.DB.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.SweepBus(t.Context()); err != nil || n != 0 {
		t.Fatalf("all is young: %d %v", n, err)
	}
	age(`UPDATE bus.outbox SET created_at = now() - INTERVAL '2 days' WHERE seq <> 2`)
	age(`UPDATE bus.inbox SET seen_at = now() - INTERVAL '30 days' WHERE message_id = '1'`)
	if n, err := s.SweepBus(t.Context()); err != nil || n != 3 {
		t.Fatalf("outbox 1 and 3, inbox 1: %d rows went, %v", n, err)
	}
	rest, err := s.Read(t.Context(), b, 0, 10)
	if err != nil || len(rest) != 3 || rest[0].Seq != 2 || rest[1].Seq != 4 {
		t.Errorf("left %+v, %v", rest, err)
	}
	if first, err := s.Once(t.Context(), txn.None, "indexer", "0"); err != nil || first {
		t.Errorf("a young inbox row was taken: %v %v", first, err)
	}
}
