package registry

import (
	"time"

	"guichet/control-plane/topology"
)

// Order asks for another weight of a cell, for a while and for a reason.
type Order struct {
	Percent   int
	Reason    string
	ExpiresAt time.Time // mandatory: a forgotten drain heals itself
}

// Weigh sets where a cell's weight is going. The weight itself moves in Step, one
// percent at a time, so that no neighbor gets all the readers at once.
func Weigh(all []Member, cell topology.CellID, o Order, now time.Time) (Member, error) {
	switch {
	case o.Percent < 0 || o.Percent > FullWeight:
		return Member{}, ErrInvalid.At("/percent", "must be 0 to %d", FullWeight)
	case o.Reason == "" || len(o.Reason) > MaxText:
		return Member{}, ErrInvalid.At("/reason", "must be 1 to %d bytes", MaxText)
	case !o.ExpiresAt.After(now):
		return Member{}, ErrInvalid.At("/expires_at", "must be in the future")
	case o.ExpiresAt.Sub(now) > MaxExpiry:
		return Member{}, ErrInvalid.At("/expires_at", "must be within %s", MaxExpiry)
	}
	m, known := find(all, cell)
	if !known || m.Left {
		return Member{}, ErrUnknownCell.With("there is no cell %s", cell)
	}
	if o.Percent == 0 {
		if err := notTheLast(all, m); err != nil {
			return Member{}, err
		}
	}
	m.Target, m.Reason, m.ExpiresAt = o.Percent, o.Reason, o.ExpiresAt
	if o.Percent == FullWeight {
		m.Reason, m.ExpiresAt = "", time.Time{}
	}
	if m.Weight != m.Target {
		m.SteppedAt = now // the first step comes StepEvery from now
	}
	return m, nil
}

// Step is what time does to a cell: an order expires, the weight goes on toward
// its target, silent processes are forgotten. It reports whether the map changes.
func Step(m Member, now time.Time) (Member, bool) {
	if m.Left {
		return m, false
	}
	changed := false
	if !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt) {
		m.Target, m.Reason, m.ExpiresAt, changed = FullWeight, "", time.Time{}, true
	}
	if m.Weight == m.Target {
		m.SteppedAt = now
	} else if steps := int(min(now.Sub(m.SteppedAt)/StepEvery, FullWeight)); steps > 0 {
		m.Weight = toward(m.Weight, m.Target, steps*StepPercent)
		m.SteppedAt, changed = now, true
	}
	before := len(m.Processes)
	m = forget(m, now)
	return m, changed || len(m.Processes) != before
}

func toward(from, to, by int) int {
	if from < to {
		return min(from+by, to)
	}
	return max(from-by, to)
}
