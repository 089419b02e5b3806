package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"guichet/cell/mailaddr"
	"guichet/internal/txn"
)

// Caps are how many mails strangers may cause to one address, over all causes: free
// orders, orders that end unpaid, transfers, resends, searches. Nobody needs a
// mailbox to be in it, so nobody is asked. Mails about money that was paid are not
// counted and always leave. The zero Caps do not limit.
type Caps struct{ PerHour, PerDay int }

// DefaultCaps are wide enough for who orders for a whole class.
var DefaultCaps = Caps{PerHour: 20, PerDay: 60}

// CausedRetention is how long it is known that a mail was caused.
const CausedRetention = 24 * time.Hour

// wait is how long it takes until one more may be caused; at are the times of those
// before, youngest first.
func (c Caps) wait(now time.Time, at []time.Time) (wait time.Duration) {
	for _, w := range []struct {
		most int
		span time.Duration
	}{{c.PerHour, time.Hour}, {c.PerDay, CausedRetention}} {
		if w.most > 0 && len(at) >= w.most {
			wait = max(wait, at[w.most-1].Add(w.span).Sub(now))
		}
	}
	return wait
}

// LimitHash is whose mailbox an address leads to, for counting: hex SHA-256 of its
// form without tags (mailaddr.Address.Limit).
func LimitHash(address string) string {
	sum := sha256.Sum256([]byte("guichet mail limit v1\x00" + mailaddr.Limit(address)))
	return hex.EncodeToString(sum[:])
}

// Allow refuses to let a stranger cause one more mail to the address than the caps
// say; it counts nothing, Enqueue does. Requests at the same moment may pass together:
// how many there are is limited where they come in.
func (s *Service) Allow(ctx context.Context, tx txn.Tx, address string) error {
	if s.Caps == (Caps{}) {
		return nil
	}
	now, at, err := s.Queue.Caused(ctx, tx, LimitHash(address), max(s.Caps.PerHour, s.Caps.PerDay))
	if err != nil {
		return fmt.Errorf("count mails to an address: %w", err)
	}
	if wait := s.Caps.wait(now, at); wait > 0 {
		return ErrTooOften.With("that address is sent at most %d mails in an hour and %d in a day that nobody paid for", s.Caps.PerHour, s.Caps.PerDay).
			Field("limit_of", "buyer").After(wait)
	}
	return nil
}

// tooMany says that a mail which nobody waits for is one too many.
func (s *Service) tooMany(ctx context.Context, tx txn.Tx, m *Message) (bool, error) {
	if !m.Caused || m.Kind != OrderExpired && m.Kind != OrderCanceled {
		return false, nil
	}
	err := s.Allow(ctx, tx, m.To)
	if errors.Is(err, ErrTooOften) {
		return true, nil
	}
	return false, err
}
