package storetest

import (
	"encoding/json"
	"errors"
	"testing"

	"guichet/cell/booking"
	"guichet/cell/store"
)

var keyedTests = map[string]func(t *testing.T, s *store.Store){
	"KeyedHold_isAnsweredAsItWasGrantedWhateverBecameOfIt": keyedHoldRemembers,
	"KeyedHold_isRefusedToAnotherRequestAndAnotherEvent":   keyedHoldIsItsOwn,
	"KeyedHold_hasAnIdNobodyCanWorkOut":                    keyedHoldIsSecret,
}

func wholeHold(h booking.Hold) (int, []byte, error) {
	body, err := json.Marshal(h)
	return 201, body, err
}

func (b shop) keyed(t *testing.T, key, asked string) (*booking.Op, booking.Hold, error) {
	t.Helper()
	op, err := b.HoldOnce(t.Context(), b.event.ID, b.want(b.floor, 2), &booking.Key{Scope: "POST holds", Key: key, Fingerprint: asked}, wholeHold)
	var h booking.Hold
	if err == nil {
		err = json.Unmarshal(op.Body, &h)
	}
	return op, h, err
}

// P5: the second answer is the first one, byte for byte, although the hold was
// extended, released, or taken into an order since; the stock is taken once.
func keyedHoldRemembers(t *testing.T, s *store.Store) {
	b := openShop(t, s, 10, 4)
	other := b.at(twin(t, s))
	first, h, err := b.keyed(t, "k", "two")
	if err != nil || first.Replayed || first.Status != 201 {
		t.Fatalf("%+v, %v", first, err)
	}
	for _, then := range []struct {
		name string
		act  func() error
	}{
		{"extended", func() error { _, err := b.Extend(t.Context(), h.ID); return err }},
		{"released", func() error { _, err := b.Release(t.Context(), h.ID); return err }},
	} {
		if err := then.act(); err != nil {
			t.Fatal(err)
		}
		again, _, err := other.keyed(t, "k", "two")
		if err != nil || !again.Replayed || string(again.Body) != string(first.Body) {
			t.Errorf("%s: %v, replayed %t\n%s\nwant\n%s", then.name, err, again.Replayed, again.Body, first.Body)
		}
	}
	b.wantCounters(t, [4]int64{0, 0, 0, 0})
	if n := b.number(t, countHolds, b.event.ID.String()); n != 1 {
		t.Errorf("%d holds are stored, want 1", n)
	}
}

func keyedHoldIsItsOwn(t *testing.T, s *store.Store) {
	b, c := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	if _, _, err := b.keyed(t, "k", "two"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.keyed(t, "k", "three"); !errors.Is(err, booking.ErrKeyReused) {
		t.Errorf("another request under the key: %v, want it refused", err)
	}
	if op, _, err := b.keyed(t, "l", "two"); err != nil || op.Replayed {
		t.Errorf("another key: %v, replayed %t", err, op.Replayed)
	}
	if op, _, err := c.keyed(t, "k", "two"); err != nil || op.Replayed {
		t.Errorf("another event: %v, replayed %t", err, op.Replayed)
	}
	b.wantCounters(t, [4]int64{4, 0, 0, 0})
	c.wantCounters(t, [4]int64{2, 0, 0, 0})
}

// The id opens the hold, so the key alone must not give it away: the event's
// secret does, and two events have two.
func keyedHoldIsSecret(t *testing.T, s *store.Store) {
	b, c := openShop(t, s, 10, 4), openShop(t, s, 10, 4)
	mine, err := s.HoldSecret(t.Context(), b.event.ID)
	if err != nil {
		t.Fatal(err)
	}
	again, err := twin(t, s).HoldSecret(t.Context(), b.event.ID)
	if err != nil || string(again) != string(mine) {
		t.Errorf("two processes of a cell see two secrets (%v)", err)
	}
	other, err := s.HoldSecret(t.Context(), c.event.ID)
	if err != nil || string(other) == string(mine) || len(mine) < 64 {
		t.Errorf("secrets of %d bytes, alike: %t (%v)", len(mine), string(other) == string(mine), err)
	}
}
