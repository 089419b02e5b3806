package booking

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"guichet/cell/country"
	"guichet/cell/id"
	"guichet/cell/legible"
	"guichet/cell/money"
	"guichet/cell/walltime"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Limits of an event's description, in characters, and of its parts.
const (
	MaxName            = 200
	MaxSummary         = 2000
	MaxCategory        = 60
	MaxQuotas          = 50
	MaxTypes           = 100
	MaxQuotaSize       = 10_000_000
	MaxPerOrder        = 1000
	DefaultMaxPerOrder = 10
	maxLead            = 10 * 365 * 24 * time.Hour
)

// Draft is what an organizer says of a new event.
type Draft struct {
	Name, Summary, Category string
	Venue                   Venue
	StartsAt                time.Time
	EndsAt                  *time.Time
	TimeZone, Currency      string
	Quotas                  []DraftQuota
	Types                   []DraftType
	Source                  *Source
	Seating                 *DraftSeating
	Refunds                 *DraftRefundPolicy // nil: DefaultRefundPolicy
}

// DraftQuota is a quota by its name.
type DraftQuota struct {
	Name string
	Size int64
}

// DraftType is a ticket type that names its quotas.
type DraftType struct {
	Name                 string
	Price                money.Money
	Fees                 *money.Money
	Quotas               []string
	Min, Max             int64 // 0 means the default
	SalesStart, SalesEnd *time.Time
	Terms                DraftTerms
}

// Event checks the draft and makes the event, born at cell, with new ids.
func (d Draft) Event(cell topology.CellID, org id.Organizer, now time.Time) (Event, error) {
	e := Event{
		ID: id.NewEvent(cell), Organizer: org, Name: d.Name, Summary: d.Summary, Category: d.Category, Venue: d.Venue,
		StartsAt: d.StartsAt, EndsAt: d.EndsAt, TimeZone: d.TimeZone, Currency: d.Currency, Source: d.Source,
		State: Drafted, Version: 1, Epoch: 1, Placement: topology.Serving, SeenAt: now,
	}
	if e.Category == "" {
		e.Category = "other"
	}
	if err := e.Validate(now); err != nil {
		return Event{}, err
	}
	if err := e.Source.check(); err != nil {
		return Event{}, err
	}
	if _, err := money.Exponent(d.Currency); err != nil {
		return Event{}, ErrInvalidEvent.At("/currency", "%.12q is not a currency we can charge", d.Currency)
	}
	if d.Refunds != nil {
		if err := d.Refunds.Set(&e, "/refund_policy"); err != nil {
			return Event{}, err
		}
	}
	if err := d.addQuotas(&e); err != nil {
		return Event{}, err
	}
	if err := d.addTypes(&e); err != nil {
		return Event{}, err
	}
	if d.Seating == nil {
		return e, nil
	}
	return e, e.LaySeats("/seating", *d.Seating)
}

func (d Draft) addQuotas(e *Event) error {
	if len(d.Quotas) < 1 || len(d.Quotas) > MaxQuotas {
		return ErrInvalidEvent.At("/quotas", "must be 1 to %d quotas", MaxQuotas)
	}
	for i, q := range d.Quotas {
		at := fmt.Sprintf("/quotas/%d", i)
		if err := text(at+"/name", q.Name, 1, MaxName, false); err != nil {
			return err
		}
		if slices.ContainsFunc(e.Quotas, func(o Quota) bool { return o.Name == q.Name }) {
			return ErrInvalidEvent.At(at+"/name", "another quota has this name")
		}
		if q.Size < 0 || q.Size > MaxQuotaSize {
			return ErrInvalidEvent.At(at+"/size", "must be 0 to %d", MaxQuotaSize)
		}
		e.Quotas = append(e.Quotas, Quota{ID: id.NewQuota(e.ID), Name: q.Name, Size: q.Size})
	}
	return nil
}

func (d Draft) addTypes(e *Event) error {
	if len(d.Types) < 1 || len(d.Types) > MaxTypes {
		return ErrInvalidEvent.At("/ticket_types", "must be 1 to %d ticket types", MaxTypes)
	}
	for i, t := range d.Types {
		at := fmt.Sprintf("/ticket_types/%d", i)
		made := TicketType{ID: id.NewTicketType(e.ID)}
		if err := made.set(e, t, at); err != nil {
			return err
		}
		if len(t.Quotas) == 0 {
			return ErrInvalidEvent.At(at+"/quotas", "must name at least one quota")
		}
		for j, name := range t.Quotas {
			k := slices.IndexFunc(e.Quotas, func(q Quota) bool { return q.Name == name })
			if k < 0 {
				return ErrInvalidEvent.At(fmt.Sprintf("%s/quotas/%d", at, j), "the event has no quota of this name")
			}
			if !slices.Contains(made.Quotas, e.Quotas[k].ID) {
				made.Quotas = append(made.Quotas, e.Quotas[k].ID)
			}
		}
		e.Types = append(e.Types, made)
	}
	for i, t := range d.Types {
		if err := e.Types[i].require(e, t.Terms.Requires, fmt.Sprintf("/ticket_types/%d", i)); err != nil {
			return err
		}
	}
	return nil
}

// Revise changes a ticket type in place; what it draws on stays, because holds
// and tickets were counted there, and so do terms that are not said anew.
func (t *TicketType) Revise(e *Event, d DraftType) error {
	if err := t.set(e, d, ""); err != nil {
		return err
	}
	return t.require(e, d.Terms.Requires, "")
}

func (t *TicketType) set(e *Event, d DraftType, at string) error {
	if err := text(at+"/name", d.Name, 1, MaxName, false); err != nil {
		return err
	}
	fees := money.Money{Currency: e.Currency}
	if d.Fees != nil {
		fees = *d.Fees
	}
	if err := e.checkPrice(at+"/price", d.Price); err != nil {
		return err
	}
	if err := e.checkPrice(at+"/fees", fees); err != nil {
		return err
	}
	lo, hi := d.Min, d.Max
	if lo == 0 {
		lo = 1
	}
	if hi == 0 {
		hi = max(DefaultMaxPerOrder, lo)
	}
	if lo < 1 || hi < lo || hi > MaxPerOrder {
		return ErrInvalidEvent.At(at+"/max_per_order", "must be 1 <= min_per_order <= max_per_order <= %d", MaxPerOrder)
	}
	if lo > MaxTicketsPerOrder { // nobody could ever buy it
		return ErrInvalidEvent.At(at+"/min_per_order", "must be at most %d, the most tickets of one order", MaxTicketsPerOrder)
	}
	if err := inBounds(at+"/sales_start", d.SalesStart); err != nil {
		return err
	}
	if err := inBounds(at+"/sales_end", d.SalesEnd); err != nil {
		return err
	}
	if d.SalesStart != nil && d.SalesEnd != nil && !d.SalesStart.Before(*d.SalesEnd) {
		return ErrInvalidEvent.At(at+"/sales_end", "must be after sales_start")
	}
	t.Name, t.Price, t.Fees, t.MinPerOrder, t.MaxPerOrder, t.SalesStart, t.SalesEnd = d.Name, d.Price, fees, lo, hi, d.SalesStart, d.SalesEnd
	return t.setTerms(e, d.Terms, at)
}

// Validate holds the description to its rules; errors point at the JSON field.
func (e *Event) Validate(now time.Time) error { return e.validate(now, &Event{}) }

// validate holds what is not as it was before to the rules: an event that was
// made under older rules can still be changed in everything else, and canceled.
func (e *Event) validate(now time.Time, before *Event) error {
	for _, f := range []struct {
		at, value, was string
		least          int
		most           int
		lines          bool
	}{
		{"/name", e.Name, before.Name, 1, MaxName, false},
		{"/summary", e.Summary, before.Summary, 0, MaxSummary, true},
		{"/category", e.Category, before.Category, 1, MaxCategory, false},
		{"/venue/name", e.Venue.Name, before.Venue.Name, 1, MaxName, false},
		{"/venue/address", e.Venue.Address, before.Venue.Address, 0, MaxName, false},
		{"/venue/city", e.Venue.City, before.Venue.City, 1, MaxName, false},
	} {
		if f.value == f.was && f.was != "" {
			continue
		}
		if err := text(f.at, f.value, f.least, f.most, f.lines); err != nil {
			return err
		}
	}
	if c := e.Venue.Country; !country.Known(c) && (c == "" || c != before.Venue.Country) {
		return ErrInvalidEvent.At("/venue/country", "must be the code of a country in two capital letters (ISO 3166-1)")
	}
	if e.Venue.Located && (e.Venue.Lat < -90 || e.Venue.Lat > 90 || e.Venue.Lon < -180 || e.Venue.Lon > 180) {
		return ErrInvalidEvent.At("/venue/location", "must be degrees, lat -90 to 90 and lon -180 to 180")
	}
	if e.Venue.Capacity < 0 || e.Venue.Capacity > MaxQuotaSize {
		return ErrInvalidEvent.At("/venue/capacity", "must be 0 to %d", MaxQuotaSize)
	}
	if _, err := walltime.Zone(e.TimeZone); err != nil && (e.TimeZone == "" || e.TimeZone != before.TimeZone) {
		return ErrInvalidEvent.At("/time_zone", "must be an IANA name like Europe/Paris")
	}
	if e.StartsAt.IsZero() || e.StartsAt.After(now.Add(maxLead)) {
		return ErrInvalidEvent.At("/starts_at", "must be given, and within ten years")
	}
	if err := inBounds("/starts_at", &e.StartsAt); err != nil {
		return err
	}
	if e.EndsAt != nil && !e.EndsAt.After(e.StartsAt) {
		return ErrInvalidEvent.At("/ends_at", "must be after starts_at")
	}
	if err := inBounds("/ends_at", e.EndsAt); err != nil {
		return err
	}
	return nil
}

// Publish puts the event before the public.
func (e *Event) Publish(now time.Time) error {
	switch {
	case e.State == Published:
		return nil
	case e.State != Drafted:
		return ErrState.With("the event is %s", e.State).Field("state", string(e.State))
	case !now.Before(e.end()):
		return ErrState.With("the event is in the past")
	}
	e.State = Published
	return nil
}

// Resize changes a quota; it never goes below what is held, sold and allocated.
func (e *Event) Resize(qid id.Quota, name string, size int64) error {
	q := e.Quota(qid)
	if q == nil {
		return ErrQuotaNotFound
	}
	if err := text("/name", name, 1, MaxName, false); err != nil {
		return err
	}
	if size < 0 || size > MaxQuotaSize {
		return ErrInvalidEvent.At("/size", "must be 0 to %d", MaxQuotaSize)
	}
	if e.seatedQuota(qid) && size != q.Size {
		return ErrSeatedQuota
	}
	if used := q.Size - q.Free(); size < used {
		return ErrQuotaTooSmall.With("%d are held, sold or allocated", used).Field("limit", used)
	}
	q.Name, q.Size = name, size
	return nil
}

func text(at, s string, least, most int, lines bool) error {
	return textOf(ErrInvalidEvent, at, s, least, most, lines)
}

// textOf is text for what is no event: the error is of the kind given.
func textOf(kind *kind.Error, at, s string, least, most int, lines bool) error {
	n := utf8.RuneCountInString(s)
	if n < least || n > most || least > 0 && strings.TrimSpace(s) == "" {
		return kind.At(at, "must be %d to %d characters", least, most)
	}
	if err := legible.Check(s, lines); err != nil {
		return kind.At(at, "%v", err)
	}
	return nil
}

// Cancel ends the sale for good. What was sold stays until it is refunded. Doing it
// again is ErrUnchanged.
func (e *Event) Cancel() error {
	switch e.State {
	case Drafted:
		return ErrState.With("a draft was never on sale").Field("state", string(e.State))
	case Canceled:
		return ErrUnchanged
	case Published:
	}
	e.State = Canceled
	return nil
}
