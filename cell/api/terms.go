package api

import (
	"context"
	"errors"
	"strconv"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/txn"
)

// draftTerms are the terms of a ticket type in a body.
func draftTerms(t client.NewTicketType) booking.DraftTerms {
	d := booking.DraftTerms{Hidden: t.Hidden, Requires: t.Requires, MaxPerBuyer: t.MaxPerBuyer}
	if t.Tax != nil {
		d.Tax = &booking.Tax{BasisPoints: t.Tax.BasisPoints, OnTop: t.Tax.OnTop}
	}
	if t.Tiers != nil {
		tiers := make([]booking.DraftTier, 0, len(*t.Tiers))
		for _, tier := range *t.Tiers {
			tiers = append(tiers, booking.DraftTier{Name: tier.Name, Price: tier.Price, Fees: tier.Fees, StartsAt: tier.StartsAt, Quantity: tier.Quantity})
		}
		d.Tiers = &tiers
	}
	return d
}

// termsView is what a ticket type says of its terms; whole is for its organizer,
// opened as for EventView.
func termsView(e *booking.Event, t *booking.TicketType, p booking.Price, whole bool, opened []id.TicketType) client.Terms {
	if t.Terms == nil {
		return client.Terms{}
	}
	v := client.Terms{Hidden: t.Terms.Hidden, Tier: p.TierName, AddOn: !t.Terms.Requires.IsZero(), MaxPerBuyer: t.Terms.MaxPerBuyer}
	if tax := t.Terms.Tax; tax.BasisPoints > 0 {
		v.Tax = &client.TicketTax{Tax: client.Tax{BasisPoints: tax.BasisPoints, OnTop: tax.OnTop}, Amount: money.Money{Amount: p.Tax, Currency: e.Currency}}
	}
	if need := e.Type(t.Terms.Requires); need != nil && shown(need, whole, opened) {
		v.Requires = t.Terms.Requires.String()
	}
	if !whole {
		return v
	}
	for _, tier := range t.Terms.Tiers {
		v.Tiers = append(v.Tiers, client.Tier{
			NewTier: client.NewTier{
				Name: tier.Name, Price: money.Money{Amount: tier.Price, Currency: e.Currency}, Fees: &money.Money{Amount: tier.Fees, Currency: e.Currency},
				StartsAt: tier.StartsAt, Quantity: tier.Quantity,
			},
			Used: tier.Used,
		})
	}
	return v
}

// itemPrice is what an item's all-in price is made of, nothing when it is made of itself.
func itemPrice(item booking.HoldItem) (p client.ItemPrice) {
	of := func(minor int64) *money.Money { return &money.Money{Amount: minor, Currency: item.AllIn.Currency} }
	if item.Fees == 0 && item.Tax == 0 && item.Saved == 0 && item.TierName == "" {
		return p
	}
	p = client.ItemPrice{Price: new(item.Price()), Fees: of(item.Fees), TaxOnTop: item.TaxOnTop, Tier: item.TierName}
	if item.Tax > 0 {
		p.Tax = of(item.Tax)
	}
	if item.Saved > 0 {
		p.Saved = of(item.Saved)
	}
	return p
}

// itemView is an item of a hold.
func itemView(item booking.HoldItem) client.HoldItem {
	p := itemPrice(item)
	return client.HoldItem{
		TicketTypeID: item.Type.String(), Quantity: item.Quantity, Name: item.Name, PriceAllIn: &item.AllIn,
		Price: p.Price, Fees: p.Fees, Tax: p.Tax, TaxOnTop: p.TaxOnTop, Saved: p.Saved, Tier: p.Tier,
	}
}

// promoOf is the promo code that a hold's prices are with, "" for none.
func promoOf(items []booking.HoldItem) string {
	for _, item := range items {
		if item.Promo != "" {
			return item.Promo
		}
	}
	return ""
}

// opened lists the hidden ticket types that a reader's access code opens.
func (s *Server) opened(c *gin.Context, event id.Event) ([]id.TicketType, error) {
	typed := c.Query("access_code")
	if typed == "" {
		return nil, nil
	}
	if err := s.mayTry(c, event, typed); err != nil {
		return nil, err
	}
	code, err := s.Booking.Store.Code(c.Request.Context(), txn.None, event, booking.CodeOf(typed))
	if errors.Is(err, booking.ErrAccessCode) {
		return nil, s.tried(c, event, booking.ErrAccessCode.With("the event has no such access code").Field("parameter", "access_code"))
	}
	if err != nil {
		return nil, err
	}
	opens, err := code.Opens(s.Now())
	return opens, s.tried(c, event, err)
}

// putCode makes a promo or access code, or changes its terms and limits.
func (s *Server) putCode(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	org := callerOf(c).organizer
	name := booking.CodeOf(c.Param("code"))
	if name == "" {
		return booking.ErrInvalidCode.With("a code is 1 to %d letters, digits, - and _", booking.MaxCode)
	}
	var in namedBody[client.NewCode]
	body, err := decodeNamed(c, &in)
	if err != nil {
		return err
	}
	answer, err := s.once(c, event, false, org.String(), body, 200, func(ctx context.Context, tx txn.Tx) (any, error) {
		var currency string
		var was any
		made, err := s.Booking.Store.PutCode(ctx, tx, event, name, func(e *booking.Event, before *booking.Code) (booking.Code, error) {
			if was = nil; before != nil {
				was = codeView(*before, e.Currency)
			}
			if e.Organizer != org {
				return booking.Code{}, booking.ErrEventNotFound
			}
			if err := e.Fence(); err != nil {
				return booking.Code{}, err
			}
			currency = e.Currency
			code, err := codeOf(name, in.Body, e.Currency)
			if err != nil {
				return booking.Code{}, err
			}
			codeAsNamed(&in, &code, before)
			return code, code.Check(e, before)
		})
		if err != nil {
			return nil, err
		}
		audit.Of(ctx).On("code", name).Changed(was, codeView(made, currency))
		return codeView(made, currency), nil
	})
	if err != nil {
		return err
	}
	send(c, 200, answer)
	return nil
}

func codeOf(name string, in client.NewCode, currency string) (booking.Code, error) {
	code := booking.Code{Code: name, Kind: booking.CodeKind(in.Kind), MaxUses: in.MaxUses}
	code.Terms.Percent, code.Terms.StartsAt, code.Terms.EndsAt = in.BasisPoints, in.StartsAt, in.EndsAt
	for at, m := range map[string]*money.Money{"amount_off": in.AmountOff, "fixed_price": in.FixedPrice, "budget": in.Budget} {
		if m != nil && m.Currency != currency {
			return code, booking.ErrInvalidCode.At("/"+at+"/currency", "must be the event's currency, %s", currency)
		}
	}
	if in.AmountOff != nil {
		if code.Terms.Off = in.AmountOff.Amount; code.Terms.Off == 0 {
			return code, booking.ErrInvalidCode.At("/amount_off/amount", "must be at least 1")
		}
	}
	if in.FixedPrice != nil {
		code.Terms.Fixed = &in.FixedPrice.Amount
	}
	if in.Budget != nil {
		code.Budget = &in.Budget.Amount
	}
	if len(in.TicketTypes) > booking.MaxTypes {
		return code, booking.ErrInvalidCode.At("/ticket_types", "must be at most %d", booking.MaxTypes)
	}
	for i, text := range in.TicketTypes {
		tid, err := id.ParseTicketType(text)
		if err != nil {
			return code, id.ErrMalformed.At("/ticket_types/"+strconv.Itoa(i), "is not the id of a ticket type")
		}
		code.Terms.Types = append(code.Terms.Types, tid)
	}
	return code, nil
}

func codeView(c booking.Code, currency string) client.Code {
	of := func(minor *int64) *money.Money {
		if minor == nil {
			return nil
		}
		return &money.Money{Amount: *minor, Currency: currency}
	}
	v := client.Code{Code: c.Code, Uses: c.Uses, Spent: *of(&c.Spent), NewCode: client.NewCode{
		Kind: string(c.Kind), BasisPoints: c.Terms.Percent, FixedPrice: of(c.Terms.Fixed), MaxUses: c.MaxUses, Budget: of(c.Budget),
		StartsAt: c.Terms.StartsAt, EndsAt: c.Terms.EndsAt,
	}}
	if c.Terms.Off > 0 {
		v.AmountOff = of(&c.Terms.Off)
	}
	for _, tid := range c.Terms.Types {
		v.TicketTypes = append(v.TicketTypes, tid.String())
	}
	return v
}

// listCodes lists an event's codes with what was used of them.
func (s *Server) listCodes(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	after := c.Query("cursor")
	if after != booking.CodeOf(after) {
		return errCursor.With("the cursor is not from this list")
	}
	codes, err := s.Booking.Store.Codes(c.Request.Context(), e.ID, after, limit+1)
	if err != nil {
		return err
	}
	page := Page[client.Code]{Items: []client.Code{}}
	if len(codes) > limit {
		page.NextCursor, codes = &codes[limit-1].Code, codes[:limit]
	}
	for _, code := range codes {
		page.Items = append(page.Items, codeView(code, e.Currency))
	}
	c.JSON(200, page)
	return nil
}
