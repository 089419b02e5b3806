package booking

import (
	"time"

	"guichet/internal/kind"
)

// RefundWindow is how long who bought before an event was moved may give everything back,
// but never beyond its start.
const RefundWindow = 14 * 24 * time.Hour

// MaxReschedules bounds how often an event that has buyers is moved: each of them is mailed
// about each move.
const MaxReschedules = 20

// What a move can be refused for.
var (
	ErrIntoPast        = kind.Unprocessable.New("event_in_past")
	ErrRescheduleLimit = kind.Unprocessable.New("reschedule_limit")
)

// Occasion is when and where an event takes place.
type Occasion struct {
	StartsAt time.Time  `json:"starts_at"`
	EndsAt   *time.Time `json:"ends_at,omitempty"`
	TimeZone string     `json:"time_zone"`
	Venue    Venue      `json:"venue"`
}

// Reschedule is an event's last change of time or place after its sale had begun. All of an
// event's moves are kept beside it.
type Reschedule struct {
	Number  int64     `json:"number"` // from 1
	At      time.Time `json:"at"`     // by the database's clock
	Version int64     `json:"version"`
	From    Occasion  `json:"from"`
}

// Rescheduled is how a published event is shown that was moved. It is no state of its
// own: the sale goes on as before.
const Rescheduled = "rescheduled"

// ShownState is the event's state as everybody is told it.
func (e *Event) ShownState() string {
	if e.State == Published && e.Rescheduled != nil {
		return Rescheduled
	}
	return string(e.State)
}

// Occasion is when and where the event takes place now.
func (e *Event) Occasion() Occasion {
	return Occasion{StartsAt: e.StartsAt, EndsAt: e.EndsAt, TimeZone: e.TimeZone, Venue: e.Venue}
}

// JustRescheduled says that the change which led to this version moved the event.
func (e *Event) JustRescheduled() bool {
	return e.Rescheduled != nil && e.Rescheduled.Version == e.Version
}

// refundWindow is until when who bought at a time may give everything back because the
// event was moved since.
func (e *Event) refundWindow(made time.Time) (end time.Time, moved bool) {
	if e.Rescheduled == nil || !made.Before(e.Rescheduled.At) {
		return time.Time{}, false
	}
	return e.WindowEnd(), true
}

// WindowEnd is when the right ends to give everything back because the event was moved,
// the zero time when it was not.
func (e *Event) WindowEnd() time.Time {
	if e.Rescheduled == nil {
		return time.Time{}
	}
	if end := e.Rescheduled.At.Add(RefundWindow); end.Before(e.StartsAt) {
		return end
	}
	return e.StartsAt
}

// noteReschedule holds a change of time or place to its rules, and keeps what was before when
// somebody may have bought that. The event's version is still the one before the change.
func (e *Event) noteReschedule(before *Event, now time.Time) error {
	was, is := before.Occasion(), e.Occasion()
	if e.State == Drafted || was.same(is) {
		return nil
	}
	if e.State == Canceled {
		return ErrState.With("the event is canceled; it is not moved any more").Field("state", string(e.State))
	}
	if !e.StartsAt.Equal(before.StartsAt) && !e.StartsAt.After(now) {
		return ErrIntoPast.At("/starts_at", "must be in the future: a published event is not moved into the past")
	}
	if !e.end().After(now) && !e.end().Equal(before.end()) {
		return ErrIntoPast.At("/ends_at", "must be in the future: a published event is not moved into the past")
	}
	if !e.hasBuyers() {
		return nil
	}
	number := int64(1)
	if before.Rescheduled != nil {
		number += before.Rescheduled.Number
	}
	if number > MaxReschedules {
		return ErrRescheduleLimit.With("an event that has buyers is moved at most %d times", MaxReschedules).Field("limit", int64(MaxReschedules))
	}
	e.Rescheduled = &Reschedule{Number: number, At: now, Version: before.Version + 1, From: was}
	return nil
}

// hasBuyers says that somebody bought tickets, or is about to.
func (e *Event) hasBuyers() bool {
	for i := range e.Quotas {
		if e.Quotas[i].Sold > 0 || e.Quotas[i].Held > 0 {
			return true
		}
	}
	return false
}

// same says that nobody who comes to the one could miss the other. Coordinates and
// capacity are no part of it: to correct them moves nobody. Nor does it to say an end
// where none was said, or to name the zone otherwise.
func (o Occasion) same(p Occasion) bool {
	a, b := o.Venue, p.Venue
	ends := o.EndsAt == nil || p.EndsAt == nil || o.EndsAt.Equal(*p.EndsAt)
	return o.StartsAt.Equal(p.StartsAt) && ends && wall(o) == wall(p) &&
		a.Name == b.Name && a.Address == b.Address && a.City == b.City && a.Country == b.Country
}

// wall is what the clock at the place shows when it begins.
func wall(o Occasion) string {
	zone, err := time.LoadLocation(o.TimeZone)
	if err != nil {
		return o.TimeZone
	}
	return o.StartsAt.In(zone).Format(time.DateTime)
}
