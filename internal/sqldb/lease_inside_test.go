package sqldb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/testdb"
)

func leased(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, createLease)
	return err
}

func connecting(t *testing.T, dsn string) func(ctx context.Context) (*pgx.Conn, error) {
	t.Helper()
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, dsn) }
}

// Who died with the lease is followed when it ends, and not before.
func TestLease_ofADeadProcessEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	connect := connecting(t, testdb.New(t, leased))
	const length = 300 * time.Millisecond
	dead := newLease(connect, length)
	defer dead.close(ctx)
	if took, err := dead.take(ctx); !took || err != nil {
		t.Fatal(took, err)
	}
	if took, err := newLease(connect, length).take(ctx); took || err != nil {
		t.Fatalf("two have the lease: %v", err)
	}
	began := time.Now()
	ran := false
	if err := newLease(connect, length).during(ctx, func(context.Context) error { ran = true; return nil }); err != nil || !ran {
		t.Fatal(ran, err)
	}
	if waited := time.Since(began); waited > 10*time.Second {
		t.Errorf("waited %s for a lease of %s", waited, length)
	}
}

func TestLease_isRenewedWhileTheWorkTakesLongerThanIt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	connect := connecting(t, testdb.New(t, leased))
	const length = 2 * time.Second
	err := newLease(connect, length).during(ctx, func(ctx context.Context) error {
		other := newLease(connect, length)
		defer other.close(ctx)
		for end := time.Now().Add(length * 3 / 2); time.Now().Before(end); {
			if took, err := other.take(ctx); took || err != nil {
				t.Fatalf("the lease ended under the work: %v", err)
			}
			if !pause(ctx, 50*time.Millisecond) {
				return context.Cause(ctx)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Somebody else has it by now, however that came: the work must stop.
func TestLease_thatIsLostEndsTheWork(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	connect := connecting(t, testdb.New(t, leased))
	conn, err := connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	err = newLease(connect, 2*time.Second).during(ctx, func(ctx context.Context) error {
		if _, err := conn.Exec(ctx, `UPDATE public.guichet_lease SET holder = 'another', until_at = now() + INTERVAL '1 hour'`); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, errLeaseLost) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want to hear that the lease was lost", err)
	}
}
