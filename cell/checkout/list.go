package checkout

import (
	"strings"
	"time"

	"guichet/cell/mailaddr"
)

// OrderQuery chooses orders of one event, newest first. Zero fields do not filter.
type OrderQuery struct {
	State     State
	Since     time.Time // changed then or later
	Code      string    // the very code, in capitals
	Addresses []string  // of the buyer, in small letters; any of them
	After     OrderPlace
	Limit     int
}

// OrderPlace is a place in the list of an event's orders; the zero place is before the newest.
type OrderPlace struct {
	At    time.Time // when an order was made
	Order string    // its id
}

// Find makes the query look for what somebody typed: a mail address, or an order's code.
func (q *OrderQuery) Find(typed string) {
	typed = strings.TrimSpace(typed)
	if !strings.Contains(typed, "@") {
		q.Code = strings.ToUpper(typed)
		return
	}
	q.Addresses = []string{strings.ToLower(typed)}
	a, err := mailaddr.Parse(typed)
	if err != nil {
		return
	}
	for _, spelling := range []string{a.Key(), a.String(), a.Readable()} {
		q.Addresses = append(q.Addresses, strings.ToLower(spelling))
	}
}

// Takes says whether an order that was found fits the filters.
func (q *OrderQuery) Takes(state State, changed time.Time) bool {
	return (q.State == "" || state == q.State) && !changed.Before(q.Since)
}

// Narrow says that orders may be found that the filters leave out.
func (q *OrderQuery) Narrow() bool { return q.State != "" || !q.Since.IsZero() }

// Answered is an order with what its buyer and attendees were asked and said.
type Answered struct {
	Order
	Replies
}
