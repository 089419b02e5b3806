package sqldb

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Bounds of the retry loop; the context's deadline may end it earlier.
const (
	maxAttempts = 12
	firstPause  = 2 * time.Millisecond
	maxPause    = 250 * time.Millisecond
	maxLost     = 1                     // sessions that one call may lose before it gives up
	lostPause   = 50 * time.Millisecond // before the next session
)

// repeat is the only retry loop of this package: at worst it makes 12 attempts on two
// sessions and pauses 1.9 s in all between them, beside what the attempts themselves take.
// An attempt is made again after a conflict (40001, 40P01); and once after a session that
// was lost before its COMMIT was sent, since that took nothing with it: a database that
// restarts, or a stall of this machine that the idle limit took for a dead process. renew
// gives the lost session back; nil says that there is no other.
func repeat(ctx context.Context, attempt func() error, renew func()) error {
	lost := 0
	for n := 1; ; n++ {
		err := attempt()
		wait := lostPause
		switch {
		case err == nil:
			return nil
		case n == maxAttempts:
			return Classify(err)
		case retryable(err):
			wait = jittered(pauseAfter(n))
		case renew == nil || lost == maxLost || !lostEarly(Classify(err)):
			return Classify(err)
		default:
			err = Classify(err)
			lost++
			renew()
		}
		if !pause(ctx, wait) {
			return Classify(errors.Join(ctx.Err(), err))
		}
	}
}

// pauseAfter is the pause after the nth attempt, from 1, before it is jittered.
func pauseAfter(n int) time.Duration { return min(firstPause<<(n-1), maxPause) }

// jittered is between half of d and one and a half.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d) //nolint:gosec // jitter needs no secrecy
}

// lostEarly says that the session was lost, and that its COMMIT had not been sent.
func lostEarly(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOutcomeUnknown)
}

// onSession makes attempts on a session of the pool until one is through.
func (db *DB) onSession(ctx context.Context, pool *pgxpool.Pool, attempt func(ctx context.Context, conn *pgx.Conn) error) error {
	var conn *pgxpool.Conn
	release := func() {
		if conn != nil {
			conn.Release()
			conn = nil
		}
	}
	defer func() { release() }()
	return repeat(ctx, func() (err error) {
		if conn == nil {
			if conn, err = pool.Acquire(ctx); err != nil {
				return err
			}
		}
		return attempt(ctx, conn.Conn())
	}, release)
}
