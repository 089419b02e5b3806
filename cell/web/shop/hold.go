package shop

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"guichet/cell/client"
)

// maxSeats bounds the seats of one form.
const maxSeats = 50

// hold keeps tickets aside: the form of an event's page, at the event's home.
func (v *visit) hold() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	id := v.r.PathValue("event")
	code, access := form.Get("code"), form.Get("access")
	if form.Get("do") == "code" {
		return v.tryCode(id, form)
	}
	want := client.NewHold{Items: itemsOf(form), PromoCode: code, AccessCode: access}
	if email := form.Get("buyer"); email != "" {
		want.BuyerKey = email
	}
	if len(want.Items) == 0 {
		return v.refused(id, form, fault{text: v.l.T("choose_some")})
	}
	key := form.Get("key")
	if len(key) < 16 || len(key) > 64 {
		key = rand.Text()
	}
	h, _, err := v.api("").CreateHold(v.ctx(), id, want, "shop-"+key)
	if err != nil {
		if f, ok := v.holdFault(err, want, form); ok {
			return v.refused(id, form, f)
		}
		return answer{}, err
	}
	v.keep(tokenCookie, h.AccessToken, "/holds/"+h.ID, holdLife)
	v.speak(v.l.Code)
	return answer{to: "/holds/" + h.ID}, nil
}

// itemsOf reads what was chosen: q-<ticket type>, and what seatItems reads.
func itemsOf(form url.Values) (items []client.HoldItem) {
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names) // the same form asks for the same, so that its key meets its answer
	for _, name := range names {
		id, ok := strings.CutPrefix(name, "q-")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(form.Get(name), 10, 64); err == nil && n > 0 {
			items = append(items, client.HoldItem{TicketTypeID: id, Quantity: n})
		}
	}
	items = append(items, seatItems(form)...)
	return items
}

// tryCode shows what a code opens, or keeps it to be applied with the hold.
func (v *visit) tryCode(id string, form url.Values) (answer, error) {
	code := form.Get("code")
	if code == "" {
		return v.refused(id, form, fault{"code", v.l.T("code_empty")})
	}
	e, _, err := v.api("").EventOpened(v.ctx(), id, code)
	if c := client.CodeOf(err); c == "code_not_valid" || c == "code_used_up" {
		return v.refused(id, form, fault{"code", v.l.T("refused_" + c)})
	}
	if client.CodeOf(err) == "unknown_access_code" { // then it may be a promo code: the hold will tell
		if e, _, err = v.api("").Event(v.ctx(), id); err != nil {
			return answer{}, err
		}
		view := v.eventView(e)
		view.typed, view.promo, view.meta.noindex = form, code, true
		view.opened = form.Get("access")
		return answer{page: eventPage(view)}, nil
	}
	if err != nil {
		return answer{}, err
	}
	view := v.eventView(e)
	form.Del("code")
	view.typed, view.opened, view.meta.noindex = form, code, true
	return answer{page: eventPage(view)}, nil
}

// refused shows the event's page again with what is wrong, and with what was chosen.
func (v *visit) refused(id string, form url.Values, faults ...fault) (answer, error) {
	if form.Has("seat") || form.Get("map") != "" {
		return v.seatsAgain(id, form, faults)
	}
	read := v.api("").Event
	e, _, err := read(v.ctx(), id)
	if opened := form.Get("access"); err == nil && opened != "" {
		if with, _, err := v.api("").EventOpened(v.ctx(), id, opened); err == nil {
			e = with
		}
	}
	if err != nil {
		return answer{}, err
	}
	view := v.eventView(e)
	view.faults, view.typed, view.opened, view.meta.noindex = faults, form, form.Get("access"), true
	return answer{page: eventPage(view), status: http.StatusUnprocessableEntity}, nil
}

// holdFaults are the refusals of a hold that the form can show: code to words, which are
// under "refused_" and the code.
var holdFaults = []string{
	"sold_out", "not_on_sale", "too_many", "too_few", "invalid_quantity", "seat_taken", "single_seat_gap", "companion_alone", "unknown_seat", "invalid_seat", "wrong_category", "unknown_section",
	"unknown_promo_code", "unknown_access_code", "code_not_valid", "code_used_up", "requires_other_ticket", "buyer_required", "buyer_limit", "invalid_buyer_key", "unknown_ticket_type", "no_seating",
}

// holdFault puts a refusal into words beside what it is about.
func (v *visit) holdFault(err error, want client.NewHold, form url.Values) (fault, bool) {
	code := client.CodeOf(err)
	if !slices.Contains(holdFaults, code) {
		return fault{}, false
	}
	f := fault{text: v.l.T("refused_" + code)}
	switch code {
	case "unknown_promo_code", "unknown_access_code", "code_not_valid", "code_used_up":
		f.field = "code"
	case "sold_out", "too_many", "too_few", "not_on_sale", "invalid_quantity", "requires_other_ticket":
		if len(want.Items) == 1 && !form.Has("seat") {
			f.field = "q-" + want.Items[0].TicketTypeID
		}
	}
	return f, true
}
