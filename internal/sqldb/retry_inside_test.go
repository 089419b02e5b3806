package sqldb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// The worst case of the loop, as its comment states it: 12 attempts on two sessions, and
// 1.9 s of pauses between them.
func TestRepeat_hasTheWorstCaseThatItStates(t *testing.T) {
	t.Parallel()
	var longest time.Duration
	for n := 1; n < maxAttempts; n++ {
		longest += pauseAfter(n) * 3 / 2 // jittered is shorter
	}
	if longest > 1900*time.Millisecond || longest < 1800*time.Millisecond || lostPause > pauseAfter(maxAttempts) {
		t.Errorf("it pauses for %v at worst", longest)
	}
	for range 1000 {
		if d := jittered(maxPause); d < maxPause/2 || d >= maxPause*3/2 {
			t.Fatalf("a pause of %v", d)
		}
	}
	conflict := &pgconn.PgError{Code: "40001"}
	attempts, renewed := 0, 0
	began := time.Now()
	err := repeat(t.Context(), func() error {
		if attempts++; attempts == 3 {
			return ErrUnavailable // this session was lost
		}
		return conflict
	}, func() { renewed++ })
	if took := time.Since(began); took < longest/4 || !errors.Is(err, ErrBusy) || attempts != 12 || renewed != 1 {
		t.Errorf("%v after %d attempts on %d further sessions and %v", err, attempts, renewed, took)
	}
}

func TestRepeat_losesOneSessionAndNoneWhoseCommitWasSent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err      error
		renew    func()
		attempts int
	}{
		"a second session is lost too":    {ErrUnavailable, func() {}, 2},
		"there is no other session":       {ErrUnavailable, nil, 1},
		"the commit's answer was lost":    {errors.Join(ErrOutcomeUnknown, ErrUnavailable), func() {}, 1},
		"the caller's own refusal":        {errors.New("no"), func() {}, 1},
		"the caller waits no longer":      {context.Canceled, func() {}, 1},
		"what was asked for is not there": {ErrNoRow, func() {}, 1},
	} {
		attempts := 0
		if err := repeat(t.Context(), func() error { attempts++; return c.err }, c.renew); !errors.Is(err, c.err) || attempts != c.attempts {
			t.Errorf("%s: %v after %d attempts, want %d", name, err, attempts, c.attempts)
		}
	}
}
