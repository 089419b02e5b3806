package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

var answerTests = map[string]func(t *testing.T, s *store.Store){
	"Answer_isReplayedAndTheEffectHappensOnce":  answerReplayed,
	"Answer_ofAnotherBodyIsRefused":             answerOtherBody,
	"Answer_isNotRememberedWhenItFailed":        answerFailed,
	"Answer_inFlightHereIsSaidAtOnce":           answerInFlightHere,
	"Answer_inFlightElsewhereIsWaitedForOrSaid": answerInFlightElsewhere,
	"Answer_ofAKilledSessionIsNotStored":        answerKilled,
	"Answer_isForgottenAfterADay":               answerForgotten,
}

const scope = "POST /v1/events/x/holds"

// answered runs a request for a ticket under a key.
func (b shop) answered(ctx context.Context, key string) (body string, replayed bool, err error) {
	leave, err := b.store.Enter(scope, key)
	if err != nil {
		return "", false, err
	}
	defer leave()
	_, raw, replayed, err := b.store.AnswerOnce(ctx, txn.None, scope, key, "print", holdOnce(b))
	return string(raw), replayed, err
}

func answerReplayed(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	other := b.at(twin(t, s))
	first, replayed, err := b.answered(t.Context(), "k")
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	for _, box := range []shop{b, other, b} {
		status, body, replayed, err := box.store.AnswerOnce(t.Context(), txn.None, scope, "k", "print", func(context.Context, txn.Tx) (int, []byte, error) {
			t.Error("the effect happened again")
			return 0, nil, nil
		})
		if err != nil || !replayed || status != 201 || string(body) != first {
			t.Errorf("%d %s, replayed %t, %v; want 201 %s", status, body, replayed, err, first)
		}
	}
	// Another scope is another caller's or another call's key.
	if _, _, replayed, err := s.AnswerOnce(t.Context(), txn.None, "POST /v1/orders", "k", "print", holdOnce(b)); replayed || err != nil {
		t.Error(replayed, err)
	}
	b.wantCounters(t, [4]int64{2, 0, 0, 0})
}

func answerOtherBody(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	if _, _, err := b.answered(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := twin(t, s).AnswerOnce(t.Context(), txn.None, scope, "k", "another print", holdOnce(b))
	wantErr(t, err, store.ErrKeyReused)
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

const countAnswers = `SELECT count(*) FROM booking.answer WHERE key = $1`

func answerFailed(t *testing.T, s *store.Store) {
	b := openShop(t, s, 1, 1)
	_, _, replayed, err := s.AnswerOnce(t.Context(), txn.None, scope, "k", "print", func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
		if _, _, err := holdOnce(b)(ctx, tx); err != nil {
			return 0, nil, err
		}
		_, err := b.within(ctx, tx, b.floor, 1)
		return 0, nil, err
	})
	wantErr(t, err, booking.ErrSoldOut)
	if n := b.number(t, countAnswers, "k"); n != 0 || replayed {
		t.Errorf("%d answers are kept, replayed %t", n, replayed)
	}
	b.wantCounters(t, [4]int64{0, 0, 0, 0})
	if _, replayed, err := b.answered(t.Context(), "k"); err != nil || replayed {
		t.Errorf("the key is spoiled: %t, %v", replayed, err)
	}
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// slow is an effect that takes until told; its session is never idle for long, so
// that the database does not end it.
func slow(b shop, begun chan<- struct{}, end <-chan struct{}) func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
	return func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
		close(begun)
		for {
			if _, err := sqlOf(b.store, tx).Exec(ctx, selectNow); err != nil {
				return 0, nil, err
			}
			select {
			case <-end:
				return holdOnce(b)(ctx, tx)
			case <-ctx.Done():
				return 0, nil, ctx.Err()
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

func answerInFlightHere(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	begun, end := make(chan struct{}), make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		leave, err := s.Enter(scope, "k")
		if err != nil {
			t.Error(err)
			return
		}
		defer leave()
		if _, _, _, err := s.AnswerOnce(t.Context(), txn.None, scope, "k", "print", slow(b, begun, end)); err != nil {
			t.Error(err)
		}
	})
	wait(t, begun, "the first request")
	for range 3 {
		_, _, err := b.answered(t.Context(), "k")
		wantErr(t, err, store.ErrInFlight)
		if e := kind.As(err); e == nil || e.Retry == 0 {
			t.Errorf("it does not say when to come back: %v", err)
		}
	}
	if _, _, err := b.answered(t.Context(), "another"); err != nil {
		t.Errorf("another key has to wait too: %v", err)
	}
	close(end)
	first.Wait()
	if _, replayed, err := b.answered(t.Context(), "k"); err != nil || !replayed {
		t.Errorf("afterwards: replayed %t, %v", replayed, err)
	}
	b.wantCounters(t, [4]int64{2, 0, 0, 0})
}

func answerInFlightElsewhere(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	other := b.at(twin(t, s))
	begun, end := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	var first string
	running.Go(func() {
		_, body, _, err := s.AnswerOnce(t.Context(), txn.None, scope, "k", "print", slow(b, begun, end))
		if err != nil {
			t.Error(err)
		}
		first = string(body)
	})
	wait(t, begun, "the first request")
	_, _, err := other.answered(t.Context(), "k") // waits for lock_timeout, then says so
	wantErr(t, err, store.ErrInFlight)

	var second string
	asked := make(chan struct{})
	running.Go(func() {
		close(asked)
		var replayed bool
		err := retried(t, func(int) (err error) {
			second, replayed, err = other.answered(t.Context(), "k")
			return err
		})
		if err != nil || !replayed {
			t.Errorf("the one who waited: replayed %t, %v", replayed, err)
		}
	})
	wait(t, asked, "the second request")
	close(end)
	running.Wait()
	if first != second || first == "" {
		t.Errorf("two answers: %s and %s", first, second)
	}
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// P5: the session dies after the effect and before the answer: both are gone.
func answerKilled(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	end := killer(t, s)
	runs := 0
	_, _, replayed, err := s.AnswerOnce(t.Context(), txn.None, scope, "k", "print", func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
		runs++
		status, body, err := holdOnce(b)(ctx, tx)
		end(ctx, tx)
		return status, body, err
	})
	if err == nil || replayed || kind.Of(err) != kind.Unavailable || runs != 2 {
		t.Errorf("after %d runs: replayed %t, %v", runs, replayed, err)
	}
	if n := b.number(t, countAnswers, "k"); n != 0 {
		t.Errorf("%d answers are kept", n)
	}
	b.wantCounters(t, [4]int64{0, 0, 0, 0})
	if _, replayed, err := b.answered(t.Context(), "k"); err != nil || replayed {
		t.Errorf("the repeated request: replayed %t, %v", replayed, err)
	}
	b.wantCounters(t, [4]int64{1, 0, 0, 0})
}

// killer ends the session that runs the transaction tx, from another one.
func killer(t *testing.T, s *store.Store) func(ctx context.Context, tx txn.Tx) {
	t.Helper()
	other := connectAs(t, s, s.DB.Pool.Config().ConnString(), "") // the cell's role may end nobody's session
	if isCockroach(t, s) {
		return func(ctx context.Context, tx txn.Tx) {
			var session string
			if err := sqlOf(s, tx).QueryRow(ctx, `SHOW session_id`).Scan(&session); err != nil {
				t.Error(err)
			}
			if _, err := other.DB.Pool.Exec(ctx, `CANCEL SESSION $1`, session); err != nil {
				t.Error(err)
			}
		}
	}
	return func(ctx context.Context, tx txn.Tx) {
		var pid int64
		if err := sqlOf(s, tx).QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Error(err)
		}
		if _, err := other.DB.Pool.Exec(ctx, `SELECT pg_terminate_backend($1, 10000)`, pid); err != nil {
			t.Error(err)
		}
	}
}

const ageAnswer = `UPDATE booking.answer SET created_at = created_at - INTERVAL '25 hours' WHERE key = $1`

func answerForgotten(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	for _, key := range []string{"old", "young"} {
		if _, _, err := b.answered(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	b.exec(t, ageAnswer, "old")
	if n, err := s.ForgetAnswers(t.Context()); n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if _, replayed, err := b.answered(t.Context(), "young"); !replayed || err != nil {
		t.Error(replayed, err)
	}
	if _, replayed, err := b.answered(t.Context(), "old"); replayed || err != nil {
		t.Error(replayed, err)
	}
	b.wantCounters(t, [4]int64{3, 0, 0, 0})
}
