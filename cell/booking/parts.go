package booking

import (
	"fmt"
	"slices"
	"time"

	"guichet/cell/id"
	"guichet/internal/kind"
)

// What stands in the way of taking something back. Each says why in its field reason.
var (
	ErrTypeInUse    = kind.Conflict.New("ticket_type_in_use")
	ErrQuotaInUse   = kind.Conflict.New("quota_in_use")
	ErrCodeInUse    = kind.Conflict.New("code_in_use")
	ErrEventInUse   = kind.Conflict.New("event_in_use")
	ErrCodeNotFound = kind.NotFound.New("code_not_found")
)

// TypeUse says what a ticket type was used for.
type TypeUse struct {
	Ordered bool   // there is an order of it, whatever became of that
	Held    bool   // there is a live hold of it
	Code    string // a code that is for it; "" for none
}

// Refuse says why a ticket type with this use stays, nil when it may go.
func (u TypeUse) Refuse() error {
	switch {
	case u.Ordered:
		return ErrTypeInUse.With("it was ordered; let its sales end instead").Field("reason", "ordered")
	case u.Held:
		return ErrTypeInUse.With("somebody holds tickets of it").Field("reason", "held")
	case u.Code != "":
		return ErrTypeInUse.With("the code %s is for it", u.Code).Field("reason", "code")
	}
	return nil
}

// AddQuota gives the event another quota, its last.
func (e *Event) AddQuota(d DraftQuota) error {
	if err := e.growing(); err != nil {
		return err
	}
	if len(e.Quotas) >= MaxQuotas {
		return ErrInvalidEvent.With("an event has at most %d quotas", MaxQuotas).Field("limit", int64(MaxQuotas))
	}
	if err := text("/name", d.Name, 1, MaxName, false); err != nil {
		return err
	}
	if slices.ContainsFunc(e.Quotas, func(o Quota) bool { return o.Name == d.Name }) {
		return ErrInvalidEvent.At("/name", "another quota has this name")
	}
	if d.Size < 0 || d.Size > MaxQuotaSize {
		return ErrInvalidEvent.At("/size", "must be 0 to %d", MaxQuotaSize)
	}
	e.Quotas = append(slices.Clone(e.Quotas), Quota{ID: id.NewQuota(e.ID), Name: d.Name, Size: d.Size})
	return nil
}

// AddType gives the event another ticket type, its last, that draws on quotas which are there.
func (e *Event) AddType(d DraftType) error {
	if err := e.growing(); err != nil {
		return err
	}
	if len(e.Types) >= MaxTypes {
		return ErrInvalidEvent.With("an event has at most %d ticket types", MaxTypes).Field("limit", int64(MaxTypes))
	}
	made := TicketType{ID: id.NewTicketType(e.ID)}
	if err := made.set(e, d, ""); err != nil {
		return err
	}
	if len(d.Quotas) == 0 {
		return ErrInvalidEvent.At("/quotas", "must name at least one quota")
	}
	for i, name := range d.Quotas {
		at := fmt.Sprintf("/quotas/%d", i)
		k := slices.IndexFunc(e.Quotas, func(q Quota) bool { return q.Name == name })
		if k < 0 {
			return ErrInvalidEvent.At(at, "the event has no quota of this name")
		}
		if e.seatedQuota(e.Quotas[k].ID) { // its tickets are seats, and this type has none
			return ErrInvalidEvent.At(at, "is the quota of seats; a ticket type of seats comes with the seating plan")
		}
		if !slices.Contains(made.Quotas, e.Quotas[k].ID) {
			made.Quotas = append(made.Quotas, e.Quotas[k].ID)
		}
	}
	e.Types = append(slices.Clone(e.Types), made)
	last := &e.Types[len(e.Types)-1]
	return last.require(e, d.Terms.Requires, "")
}

// growing says whether there may be more to sell.
func (e *Event) growing() error {
	if e.State == Canceled {
		return ErrState.With("the event is %s", e.State).Field("state", string(e.State))
	}
	return nil
}

// RemoveType takes a ticket type away. Whether it was ever used is the caller's to find
// out, behind the event's lock (TypeUse).
func (e *Event) RemoveType(tid id.TicketType) error {
	t := e.Type(tid)
	switch {
	case t == nil:
		return ErrTypeNotFound.With("the event has no such ticket type")
	case len(e.Types) == 1:
		return ErrTypeInUse.With("an event has at least one ticket type").Field("reason", "last")
	case e.isRequired(tid):
		return ErrTypeInUse.With("another ticket type is an add-on to it").Field("reason", "add_on")
	case len(t.Categories) > 0:
		return ErrTypeInUse.With("it sells seats of the plan").Field("reason", "seating")
	}
	e.Types = slices.DeleteFunc(slices.Clone(e.Types), func(o TicketType) bool { return o.ID == tid })
	return nil
}

// RemoveQuota takes a quota away on which no ticket type draws. Whether stock of it was
// ever set aside is the caller's to find out.
func (e *Event) RemoveQuota(qid id.Quota) error {
	q := e.Quota(qid)
	if q == nil {
		return ErrQuotaNotFound.With("the event has no such quota")
	}
	for i := range e.Types {
		if slices.Contains(e.Types[i].Quotas, qid) {
			return ErrQuotaInUse.With("the ticket type %q draws on it", e.Types[i].Name).Field("reason", "ticket_type").Field("ticket_type_id", e.Types[i].ID.String())
		}
	}
	if q.Held+q.Sold+q.Allocated > 0 {
		return ErrQuotaInUse.With("%d are held, %d sold, %d allocated", q.Held, q.Sold, q.Allocated).Field("reason", "stock")
	}
	e.Quotas = slices.DeleteFunc(slices.Clone(e.Quotas), func(o Quota) bool { return o.ID == qid })
	return nil
}

// Unpublish makes a draft of an event again of which nothing is held or sold. Whether it
// was ever ordered is the caller's to find out. Doing it again is ErrUnchanged.
func (e *Event) Unpublish() error {
	switch e.State {
	case Drafted:
		return ErrUnchanged
	case Canceled:
		return ErrState.With("the event is %s", e.State).Field("state", string(e.State))
	case Published:
	}
	for i := range e.Quotas {
		if q := &e.Quotas[i]; q.Held > 0 || q.Sold > 0 {
			return ErrEventInUse.With("tickets are held or sold; cancel the event instead").Field("reason", "stock").Field("held", q.Held).Field("sold", q.Sold)
		}
	}
	e.State = Drafted
	return nil
}

// Remove says whether a code may go: not while tickets are held or sold with it.
func (c *Code) Remove() error {
	if c.Uses > 0 {
		return ErrCodeInUse.With("%d tickets are held or sold with it; let it end instead", c.Uses).Field("reason", "uses").Field("uses", c.Uses)
	}
	return nil
}

// OwnQuery chooses what an organizer has. Zero fields do not filter.
type OwnQuery struct {
	State    string
	From, To time.Time // of an event's start, To not included
	Since    time.Time // changed then or later; the list is in the order of changes then
	Name     string    // a part of the name
	After    Stamp
	Limit    int
}

// Stamp is a place in a list that is in the order of a time and an id.
type Stamp struct {
	At time.Time
	ID string
}

// Compare is the order of stamps.
func (s Stamp) Compare(o Stamp) int {
	if c := s.At.Compare(o.At); c != 0 {
		return c
	}
	switch {
	case s.ID < o.ID:
		return -1
	case s.ID > o.ID:
		return 1
	}
	return 0
}

// ByChange says that the list is in the order of changes.
func (q *OwnQuery) ByChange() bool { return !q.Since.IsZero() }

// Begin is where the list begins.
func (q *OwnQuery) Begin() Stamp {
	switch {
	case q.After != Stamp{}:
		return q.After
	case q.ByChange():
		return Stamp{At: q.Since}
	}
	return Stamp{At: q.From}
}

// Narrow says that something may be found that the filters leave out.
func (q *OwnQuery) Narrow() bool {
	return q.State != "" || q.Name != "" || q.ByChange() && (!q.From.IsZero() || !q.To.IsZero())
}

// Own is something an organizer has, with the time of its last change.
type Own[T any] struct {
	It      T
	Changed time.Time
}
