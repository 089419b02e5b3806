package notify

import (
	"context"
	"errors"
	"testing"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

// caused is a queue that knows only who was mailed when.
type caused struct {
	Queue
	now time.Time
	at  map[string][]time.Time // youngest first
}

func (c *caused) Caused(_ context.Context, _ txn.Tx, key string, limit int) (time.Time, []time.Time, error) {
	at := c.at[key]
	return c.now, at[:min(len(at), limit)], nil
}

func (c *caused) Enqueue(_ context.Context, _ txn.Tx, m Message) error {
	if m.Caused {
		c.at[LimitHash(m.To)] = append([]time.Time{c.now}, c.at[LimitHash(m.To)]...)
	}
	return nil
}

func TestAllow_refusesWhatIsTooManyInAnHourOrADayAndSaysWhen(t *testing.T) {
	t.Parallel()
	q := &caused{now: time.Unix(1_790_000_000, 0), at: map[string][]time.Time{}}
	s := Service{Queue: q, Caps: Caps{PerHour: 3, PerDay: 5}}
	cause := func(address string) error {
		err := s.Allow(t.Context(), txn.None, address)
		if err == nil {
			err = s.Enqueue(t.Context(), txn.None, Message{Kind: FindMyTickets, To: address, Caused: true})
		}
		return err
	}
	retry := func(err error) time.Duration {
		t.Helper()
		if !errors.Is(err, ErrTooOften) {
			t.Fatalf("it is let through: %v", err)
		}
		return kind.As(err).Retry
	}
	for _, spelling := range []string{"ana@example.org", "ANA+1@example.org", "ana+2@Example.org"} {
		if err := cause(spelling); err != nil {
			t.Fatal(err)
		}
		q.now = q.now.Add(10 * time.Minute)
	}
	if wait := retry(cause("ana+3@example.org")); wait != 30*time.Minute {
		t.Errorf("come back in %s", wait)
	}
	if err := cause("bob@example.org"); err != nil {
		t.Error(err)
	}
	q.now = q.now.Add(30 * time.Minute)
	if err := cause("ana@example.org"); err != nil {
		t.Error(err)
	}
	q.now = q.now.Add(2 * time.Hour)
	if err := cause("ana@example.org"); err != nil {
		t.Error(err)
	}
	if wait := retry(cause("ana@example.org")); wait != 21*time.Hour {
		t.Errorf("five a day: come back in %s", wait)
	}
	q.now = q.now.Add(21 * time.Hour)
	if err := cause("ana@example.org"); err != nil {
		t.Error(err)
	}
	s.Caps = Caps{}
	for range 10 {
		if err := cause("ana@example.org"); err != nil {
			t.Fatal(err)
		}
	}
}

// What nobody waits for is left out beyond the caps; what was paid for never is.
func TestEnqueue_leavesOutWhatNobodyWaitsForBeyondTheCaps(t *testing.T) {
	t.Parallel()
	q := &caused{now: time.Unix(1_790_000_000, 0), at: map[string][]time.Time{}}
	s := Service{Queue: q, Caps: Caps{PerHour: 2, PerDay: 2}}
	for range 5 {
		for _, k := range []Kind{OrderExpired, OrderCanceled} {
			m := paidMail()
			m.Kind, m.Caused = k, true
			if err := s.Enqueue(t.Context(), txn.None, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(q.at[LimitHash("zoe@example.org")]); n != 2 {
		t.Errorf("%d left, want 2", n)
	}
	for _, k := range Kinds() {
		m := paidMail()
		m.Kind, m.Caused = k, k == OrderPaid
		if over, err := s.tooMany(t.Context(), txn.None, &m); over || err != nil {
			t.Errorf("%s is left out: %v", k, err)
		}
	}
}
