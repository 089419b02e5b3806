package booking

import (
	"strconv"

	"guichet/cell/id"
	"guichet/cell/money"
)

// DraftTerms are terms as an organizer says them; nil leaves what there is.
type DraftTerms struct {
	Hidden      *bool
	Tax         *Tax
	Requires    *string // name of another ticket type of the event, "" for none
	MaxPerBuyer *int64  // 0 for no limit
	Tiers       *[]DraftTier
}

func linePointer(i int, field string) string { return "/items/" + strconv.Itoa(i) + "/" + field }

// checkPrice holds a price or a fee to the event's currency and to what can be charged.
func (e *Event) checkPrice(at string, m money.Money) error {
	if m.Currency != e.Currency {
		return ErrInvalidEvent.At(at+"/currency", "must be the event's currency, %s", e.Currency)
	}
	if step := money.CardStep(e.Currency); m.Amount%step != 0 {
		return money.ErrNotChargeable.At(at+"/amount", "must be a multiple of %d minor units: cards are charged in %s in such steps", step, e.Currency).Field("step", step)
	}
	if m.Amount < 0 || m.Amount > money.Max/MaxTicketsPerOrder/2 {
		return ErrInvalidEvent.At(at+"/amount", "must be 0 to %d minor units", money.Max/MaxTicketsPerOrder/2)
	}
	return nil
}

// setTerms sets all terms but Requires, which may name a type that is still to come.
func (t *TicketType) setTerms(e *Event, d DraftTerms, at string) error {
	var made Terms
	if t.Terms != nil {
		made = *t.Terms
	}
	if d.Hidden != nil {
		made.Hidden = *d.Hidden
	}
	if d.Tax != nil {
		if d.Tax.BasisPoints < 0 || d.Tax.BasisPoints > wholeBP {
			return ErrInvalidEvent.At(at+"/tax/basis_points", "must be 0 to %d", wholeBP)
		}
		if made.Tax = *d.Tax; made.Tax.BasisPoints == 0 {
			made.Tax = Tax{}
		}
	}
	if d.MaxPerBuyer != nil {
		if *d.MaxPerBuyer < 0 || *d.MaxPerBuyer > MaxPerBuyer {
			return ErrInvalidEvent.At(at+"/max_per_buyer", "must be 1 to %d, or 0 for no limit", MaxPerBuyer)
		}
		made.MaxPerBuyer = *d.MaxPerBuyer
	}
	if d.Tiers != nil {
		tiers, err := t.tiersOf(e, *d.Tiers, t.Fees, at)
		if err != nil {
			return err
		}
		made.Tiers = tiers
	}
	t.Terms = &made
	if made.plain() {
		t.Terms = nil
	}
	if err := t.affordable(at); err != nil {
		return err
	}
	addOn := !made.Requires.IsZero()
	if d.Requires != nil {
		addOn = *d.Requires != ""
	}
	return t.chargeable(at, addOn)
}

// chargeable keeps every price that a ticket is or will be sold at within what the payment
// provider charges: the fewest of the type that an order can have must make one payment.
// An add-on is never alone.
func (t *TicketType) chargeable(at string, addOn bool) error {
	tiers := 0
	if t.Terms != nil {
		tiers = len(t.Terms.Tiers)
	}
	for tier := range int64(tiers) + 1 {
		least, err := money.Money{Amount: t.priceOf(tier).AllIn, Currency: t.Price.Currency}.Times(t.MinPerOrder)
		if err != nil {
			return err
		}
		where := at + "/price"
		if tier > 0 {
			where = at + "/tiers/" + strconv.FormatInt(tier-1, 10) + "/price"
		}
		c := money.ChargeOf(t.Price.Currency)
		switch {
		case least.Amount > c.Max:
			return money.ErrNotChargeable.At(where, "makes an order of %s, which is more than one payment takes", least).Field("limit", c.Max)
		case least.Amount > 0 && least.Amount < c.Min && !addOn:
			return money.ErrNotChargeable.At(where, "makes an order of %s, which is less than one payment takes, %s", least, money.Money{Amount: c.Min, Currency: t.Price.Currency}).
				Field("limit", c.Min)
		}
	}
	return nil
}

// affordable keeps every all-in price where an order of the most tickets can still be charged.
func (t *TicketType) affordable(at string) error {
	if t.Terms == nil {
		return nil
	}
	for tier := range int64(len(t.Terms.Tiers)) + 1 {
		if p := t.priceOf(tier); p.AllIn > money.Max/MaxTicketsPerOrder {
			return ErrInvalidEvent.At(at+"/tax", "makes an all-in price of more than %d minor units", money.Max/MaxTicketsPerOrder)
		}
	}
	return nil
}

// require makes a ticket type an add-on to the one of that name; nil leaves what
// there is. An add-on to an add-on is refused: nobody could tell how many are left.
func (t *TicketType) require(e *Event, name *string, at string) error {
	if name == nil {
		return nil
	}
	made := Terms{}
	if t.Terms != nil {
		made = *t.Terms
	}
	made.Requires = id.TicketType{}
	if *name != "" {
		of, n := (*TicketType)(nil), 0
		for i := range e.Types {
			if e.Types[i].Name == *name {
				of, n = &e.Types[i], n+1
			}
		}
		switch {
		case n != 1:
			return ErrInvalidEvent.At(at+"/requires", "must be the name of one ticket type of the event")
		case of.ID == t.ID || of.Terms != nil && !of.Terms.Requires.IsZero() || e.isRequired(t.ID):
			return ErrInvalidEvent.At(at+"/requires", "an add-on must require a ticket type that is none itself")
		}
		made.Requires = of.ID
	}
	t.Terms = &made
	if made.plain() {
		t.Terms = nil
	}
	return nil
}

// isRequired says whether another type is an add-on to this one.
func (e *Event) isRequired(tid id.TicketType) bool {
	for i := range e.Types {
		if t := &e.Types[i]; t.Terms != nil && t.Terms.Requires == tid {
			return true
		}
	}
	return false
}
