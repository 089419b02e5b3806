package booking

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
)

// What can be wrong about a code. The codes are part of the API.
var (
	ErrAccessCode   = kind.Unprocessable.New("unknown_access_code")
	ErrCodeNotValid = kind.Unprocessable.New("code_not_valid")
	ErrCodeUsedUp   = kind.Conflict.New("code_used_up")
	ErrInvalidCode  = kind.Invalid.New("invalid_code")
	ErrTooManyCodes = kind.Unprocessable.New("too_many_codes")
	ErrCodeTooSmall = kind.Conflict.New("code_too_small")
)

// Limits of codes.
const (
	MaxCodes  = 10_000 // of one event
	MaxCode   = 40     // characters
	maxBudget = money.Max
	maxUses   = MaxQuotaSize
)

// CodeKind says what a code does.
type CodeKind string

// The kinds of codes.
const (
	PromoCode  CodeKind = "promo"  // changes a price
	AccessCode CodeKind = "access" // opens hidden ticket types
)

// Code is a word that changes what a buyer may have. A use is one ticket: counted
// when it is held, given back when the hold ends unsold or the ticket is canceled.
type Code struct {
	Code    string // upper case
	Kind    CodeKind
	Terms   CodeTerms
	MaxUses *int64 // nil for no limit
	Budget  *int64 // minor units that all its uses may save, all-in; nil for no limit
	Uses    int64  // tickets held and sold with it
	Spent   int64  // what they saved
}

// CodeTerms are the part of a code that is not counted. A promo code has exactly
// one of Percent, Off and Fixed; it changes the face value only, but a ticket
// that it makes free has no fees either.
type CodeTerms struct {
	Percent  int64           `json:"percent,omitempty"` // basis points off, rounded half up
	Off      int64           `json:"off,omitempty"`     // minor units off
	Fixed    *int64          `json:"fixed,omitempty"`   // minor units instead, where that is less
	Types    []id.TicketType `json:"types,omitempty"`   // that it is for; a promo code without any is for all
	StartsAt *time.Time      `json:"starts_at,omitempty"`
	EndsAt   *time.Time      `json:"ends_at,omitempty"`
}

// CodeOf reads a code as people type it; "" when it cannot be one.
func CodeOf(text string) string {
	code := strings.ToUpper(strings.TrimSpace(text))
	if code == "" || len(code) > MaxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return ""
	}
	return code
}

// Check holds a code to its rules; before is what is counted under it already.
func (c *Code) Check(e *Event, before *Code) error {
	if c.Code == "" || c.Code != CodeOf(c.Code) {
		return ErrInvalidCode.With("a code is 1 to %d letters, digits, - and _", MaxCode)
	}
	if before != nil {
		if before.Kind != c.Kind {
			return ErrInvalidCode.At("/kind", "is %s and stays so", before.Kind)
		}
		c.Uses, c.Spent = before.Uses, before.Spent
	}
	if err := c.checkKind(); err != nil {
		return err
	}
	for i, tid := range c.Terms.Types {
		if e.Type(tid) == nil {
			return ErrInvalidCode.At("/ticket_types/"+strconv.Itoa(i), "the event has no such ticket type")
		}
	}
	for at, when := range map[string]*time.Time{"/starts_at": c.Terms.StartsAt, "/ends_at": c.Terms.EndsAt} {
		if err := inBounds(at, when); err != nil {
			return ErrInvalidCode.At(at, "must be between the years %d and %d, and not more precise than a microsecond", earliest.Year(), latest.Year())
		}
	}
	if c.Terms.StartsAt != nil && c.Terms.EndsAt != nil && !c.Terms.StartsAt.Before(*c.Terms.EndsAt) {
		return ErrInvalidCode.At("/ends_at", "must be after starts_at")
	}
	return c.checkLimits()
}

func (c *Code) checkKind() error {
	switch c.Kind {
	case PromoCode:
		said := 0
		for _, there := range []bool{c.Terms.Percent != 0, c.Terms.Off != 0, c.Terms.Fixed != nil} {
			if there {
				said++
			}
		}
		if said != 1 {
			return ErrInvalidCode.At("", "a promo code has exactly one of basis_points, amount_off and fixed_price")
		}
	case AccessCode:
		if c.Terms.Percent != 0 || c.Terms.Off != 0 || c.Terms.Fixed != nil || c.Budget != nil {
			return ErrInvalidCode.At("", "an access code changes no price and has no budget")
		}
		if len(c.Terms.Types) == 0 {
			return ErrInvalidCode.At("/ticket_types", "must name what an access code opens")
		}
	default:
		return ErrInvalidCode.At("/kind", "must be promo or access")
	}
	switch fixed := c.Terms.Fixed; {
	case c.Terms.Percent < 0 || c.Terms.Percent > wholeBP:
		return ErrInvalidCode.At("/basis_points", "must be 1 to %d", wholeBP)
	case c.Terms.Off < 0 || c.Terms.Off > money.Max:
		return ErrInvalidCode.At("/amount_off/amount", "must be 1 to %d minor units", int64(money.Max))
	case fixed != nil && (*fixed < 0 || *fixed > money.Max):
		return ErrInvalidCode.At("/fixed_price/amount", "must be 0 to %d minor units", int64(money.Max))
	}
	return nil
}

func (c *Code) checkLimits() error {
	if c.MaxUses != nil && (*c.MaxUses < 0 || *c.MaxUses > maxUses) {
		return ErrInvalidCode.At("/max_uses", "must be 0 to %d tickets", maxUses)
	}
	if c.Budget != nil && (*c.Budget < 0 || *c.Budget > maxBudget) {
		return ErrInvalidCode.At("/budget/amount", "must be 0 to %d minor units", int64(maxBudget))
	}
	if c.MaxUses != nil && *c.MaxUses < c.Uses {
		return ErrCodeTooSmall.At("/max_uses", "%d tickets are held or sold with it", c.Uses).Field("limit", c.Uses)
	}
	if c.Budget != nil && *c.Budget < c.Spent {
		return ErrCodeTooSmall.At("/budget/amount", "%d minor units are spent", c.Spent).Field("limit", c.Spent)
	}
	return nil
}

// covers says whether the code is for a ticket type.
func (c *Code) covers(tid id.TicketType) bool {
	return c.Kind == PromoCode && len(c.Terms.Types) == 0 || slices.Contains(c.Terms.Types, tid)
}

// shows says whether a request with the access code, nil for none, may know of a type.
func (c *Code) shows(t *TicketType) bool {
	return !t.Hidden() || c != nil && c.covers(t.ID)
}

// At says whether the code may be used at a time; uses are counted elsewhere.
func (c *Code) At(now time.Time, pointer string) error {
	switch {
	case c.Terms.StartsAt != nil && now.Before(*c.Terms.StartsAt):
		return ErrCodeNotValid.At(pointer, "is valid from %s", c.Terms.StartsAt.UTC().Format(time.RFC3339)).Field("starts_at", c.Terms.StartsAt.UTC())
	case c.Terms.EndsAt != nil && !now.Before(*c.Terms.EndsAt):
		return ErrCodeNotValid.At(pointer, "was valid until %s", c.Terms.EndsAt.UTC().Format(time.RFC3339)).Field("ends_at", c.Terms.EndsAt.UTC())
	}
	return nil
}

// Opens lists what an access code opens at a time, for who only looks: whether it
// may still be used is said when tickets are held.
func (c *Code) Opens(now time.Time) ([]id.TicketType, error) {
	if c.Kind != AccessCode {
		return nil, errNoAccess
	}
	if err := c.At(now, accessPointer); err != nil {
		return nil, err
	}
	return c.Terms.Types, nil
}

// over says what of the code's limits is passed, nil when none is.
func (c *Code) over(pointer string) error {
	switch {
	case c.MaxUses != nil && c.Uses > *c.MaxUses:
		return ErrCodeUsedUp.At(pointer, "has been used as often as it may").Field("limit", *c.MaxUses)
	case c.Budget != nil && c.Spent > *c.Budget:
		return ErrCodeUsedUp.At(pointer, "has no budget left for that").Field("limit", *c.Budget)
	}
	return nil
}

const (
	promoPointer  = "/promo_code"
	accessPointer = "/access_code"
)

var (
	errNoPromo  = ErrPromoCode.At(promoPointer, "the event has no such promo code")
	errNoAccess = ErrAccessCode.At(accessPointer, "the event has no such access code")
)

// promo finds a request's promo code, nil when it has none.
func (s *Stock) promo(want Request) (*Code, error) {
	if want.Promo == "" {
		return nil, nil //nolint:nilnil // no code and no error
	}
	c := s.Counters.Codes[CodeOf(want.Promo)]
	if c == nil || c.Kind != PromoCode {
		return nil, errNoPromo
	}
	return c, c.At(s.Now, promoPointer)
}

// access finds a request's access code, nil when it has none.
func (s *Stock) access(want Request) (*Code, error) {
	if want.Access == "" {
		return nil, nil //nolint:nilnil // no code and no error
	}
	c := s.Counters.Codes[CodeOf(want.Access)]
	if c == nil || c.Kind != AccessCode {
		return nil, errNoAccess
	}
	return c, c.At(s.Now, accessPointer)
}

// discount lowers the prices of the items that the code is for and says whether
// it saved anything.
func (s *Stock) discount(items []HoldItem, c *Code) (saved bool) {
	for i := range items {
		item := &items[i]
		t := s.Type(item.Type)
		if !c.covers(item.Type) {
			continue
		}
		full := t.priceOf(item.Tier)
		less := c.lower(t, full)
		if less.AllIn < full.AllIn {
			*item = item.at(less, s.Currency, item.Quantity)
			item.Promo, item.Saved, saved = c.Code, full.AllIn-less.AllIn, true
		}
	}
	return saved
}

// lower is a ticket's price with the code.
func (c *Code) lower(t *TicketType, p Price) Price {
	face := p.Face
	switch {
	case c.Terms.Fixed != nil:
		face = min(face, *c.Terms.Fixed)
	case c.Terms.Off > 0:
		face = max(face-c.Terms.Off, 0)
	default:
		face -= halfUp(face*c.Terms.Percent, wholeBP)
	}
	face -= face % money.CardStep(t.Price.Currency) // what is paid is in steps that cards know
	fees := p.Fees
	if face == 0 && p.Face > 0 {
		fees = 0
	}
	less := t.priced(face, fees)
	less.Tier, less.TierName = p.Tier, p.TierName
	return less
}
