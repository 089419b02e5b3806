package sim

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/txn"
)

// thinkOf numbers the hold that a key makes (booking.Key).
func (w *world) thinkOf(c *call) {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(c.key.Scope + "\n" + c.key.Key))
	hold := id.HoldFrom(c.event.ID, mac.Sum(nil))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.numbers[hold] == 0 {
		w.numbers[hold] = len(w.numbers) + 1
	}
	w.asking[hold] = true
	c.hold, c.about, c.lostBefore = hold, hold.String(), w.lost[hold.String()]
}

func (w *world) hold(ctx context.Context, at int, c *call, kind int, quantity int64) error {
	w.thinkOf(c)
	want := booking.Request{Hold: id.NewHold(c.event.ID), Lines: []booking.Line{{Type: c.event.Types[kind].ID, Quantity: quantity}}}
	op, err := w.boxes[at%2].HoldOnce(ctx, want.Hold.Event(), want, c.key, func(h booking.Hold) (int, []byte, error) {
		return 201, fmt.Append(nil, h.ID, " ", h.State, " ", h.ExpiresAt.UnixNano()), nil
	})
	if err != nil {
		return err
	}
	c.body = string(op.Body)
	if !strings.HasPrefix(c.body, c.about) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.broken("P3: told of hold %s, the key makes %s; or keys make other ids now: say so in thinkOf", c.body, c.about)
	}
	return nil
}

func (w *world) extend(ctx context.Context, at int, c *call) error {
	op, err := w.boxes[at%2].ExtendOnce(ctx, c.hold, c.key, func(h booking.Hold) (int, []byte, error) {
		return 200, strconv.AppendInt(nil, h.ExpiresAt.UnixNano(), 10), nil
	})
	if err != nil {
		return err
	}
	c.body = string(op.Body)
	nanos, err := strconv.ParseInt(c.body, 10, 64)
	c.until = time.Unix(0, nanos)
	return err
}

func (w *world) release(ctx context.Context, at int, c *call) error {
	c.key = nil
	_, err := w.boxes[at%2].Release(ctx, c.hold)
	return err
}

// convert sells in a batch, turn in a transaction of its own.
func (w *world) convert(ctx context.Context, at int, c *call) error {
	c.key = nil
	return w.boxes[at%2].Desks.Do(ctx, c.hold.Event(), &booking.Op{Holds: []id.Hold{c.hold}, Decide: sell(c.hold)})
}

func (w *world) turn(ctx context.Context, at int, c *call) error {
	c.key = nil
	return w.boxes[at%2].Desks.Turn(ctx, c.hold.Event(), func(ctx context.Context, _ txn.Tx) error {
		return w.procs[at%2].turn(ctx, holdTTL, c.hold, sell(c.hold))
	})
}

func sell(hold id.Hold) func(s *booking.Stock) error {
	return func(s *booking.Stock) error {
		h := s.Holds[hold]
		if h == nil {
			return booking.ErrHoldNotFound
		}
		return s.Convert(h)
	}
}
