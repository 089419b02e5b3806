package shop

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/client"
)

// checkoutView is the page of a hold: how long it lasts, and who buys.
type checkoutView struct {
	meta   meta
	hold   client.Hold
	event  client.Event
	form   client.OrderForm
	faults []fault
	typed  url.Values
	now    time.Time // by the server's clock
	live   bool      // it can be ordered from
	names  []string  // of the tickets, one each: what attendees are asked about
}

func (v *visit) checkout() (answer, error) { return v.checkoutWith(nil, nil) }

// checkoutWith shows the hold; with what was typed and what is wrong with it.
func (v *visit) checkoutWith(typed url.Values, faults []fault) (answer, error) {
	id := v.r.PathValue("hold")
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	if order := v.cookie(orderedCookie); order != "" && typed == nil {
		return answer{to: "/orders/" + url.PathEscape(order)}, nil
	}
	h, _, err := v.api(token).GetHold(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	c := checkoutView{meta: v.meta(v.l.T("checkout_title")), hold: h, now: v.now(), typed: typed, faults: faults}
	c.meta.private, c.meta.bare = true, true
	if typed == nil {
		c.typed = url.Values{}
	}
	if c.event, _, err = v.api("").Event(v.ctx(), h.EventID); err != nil {
		return answer{}, err
	}
	if c.form, err = v.orderForm(h.EventID); err != nil {
		return answer{}, err
	}
	c.live = h.State == "active" && c.now.Before(h.ExpiresAt)
	for _, item := range h.Items {
		for i := range max(item.Quantity, int64(len(item.Seats))) {
			name := item.Name
			if int(i) < len(item.Seats) {
				name += " · " + seatName(v.l, item.Seats[i])
			}
			c.names = append(c.names, name)
		}
	}
	a := answer{page: checkoutPage(c)}
	switch {
	case faults != nil:
		a.status = http.StatusUnprocessableEntity
	case !c.live:
		a.status = http.StatusGone
	}
	return a, nil
}

// orderForm is what the event asks of its buyers.
func (v *visit) orderForm(event string) (client.OrderForm, error) {
	f, _, err := v.api("").OrderForm(v.ctx(), event)
	return f, err
}

// perAttendee are the questions that each attendee is asked.
func (c checkoutView) questions(per string) (list []client.Question) {
	for _, q := range c.form.Questions {
		if q.Per == per {
			list = append(list, q)
		}
	}
	return list
}

// left is how long the hold lasts, in seconds.
func (c checkoutView) left() int64 { return max(int64(c.hold.ExpiresAt.Sub(c.now)/time.Second), 0) }

// leftText is the same as a clock shows it.
func (c checkoutView) leftText() string {
	s := c.left()
	return strconv.FormatInt(s/60, 10) + ":" + strconv.FormatInt(100+s%60, 10)[1:]
}

// extend gives a hold more time.
func (v *visit) extend() (answer, error) {
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	id := v.r.PathValue("hold")
	_, _, err = v.api(token).ExtendHold(v.ctx(), id, "")
	switch client.CodeOf(err) {
	case "", "hold_expired":
	case "extend_limit", "hold_in_checkout":
		return v.checkoutWith(url.Values{}, []fault{{text: v.l.T("refused_" + client.CodeOf(err))}})
	default:
		return answer{}, err
	}
	if err != nil && client.CodeOf(err) == "" {
		return answer{}, err
	}
	return answer{to: "/holds/" + id}, nil
}

// release gives the tickets back.
func (v *visit) release() (answer, error) {
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	id := v.r.PathValue("hold")
	h, _, err := v.api(token).GetHold(v.ctx(), id)
	if err == nil {
		_, err = v.api(token).ReleaseHold(v.ctx(), id)
	}
	if err != nil {
		return answer{}, err
	}
	v.keep(tokenCookie, "", "/holds/"+id, 0)
	return answer{to: "/" + v.l.Code + "/events/" + h.EventID}, nil
}

// order makes the order. Its key is made from the form, so that a double click, a reload
// and a second try after a lost answer meet the same order.
func (v *visit) order() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	id := v.r.PathValue("hold")
	api := v.api(token)
	h, _, err := api.GetHold(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	asked, err := v.orderForm(h.EventID)
	if err != nil {
		return answer{}, err
	}
	want, faults := v.orderOf(form, h, asked)
	if len(faults) > 0 {
		return v.checkoutWith(form, faults)
	}
	o, _, err := api.CreateOrder(v.ctx(), want, orderKey(id, form))
	if err != nil {
		if faults := v.orderFaults(err, want); faults != nil {
			return v.checkoutWith(form, faults)
		}
		return answer{}, err
	}
	v.keep(tokenCookie, o.AccessToken, "/orders/"+o.ID, orderLife)
	v.keep(orderedCookie, o.ID, "/holds/"+id, holdLife)
	return answer{to: afterOrder(o)}, nil
}

// afterOrder is where a buyer goes on: to pay, or to the tickets.
func afterOrder(o client.Order) string {
	if o.State == "pending" && o.Payment != nil {
		return "/orders/" + o.ID + "/pay"
	}
	return "/orders/" + o.ID
}

func orderKey(hold string, form url.Values) string {
	sum := sha256.Sum256([]byte(hold + "\n" + form.Encode()))
	return "shop-" + base64.RawURLEncoding.EncodeToString(sum[:18])
}

// orderOf reads the form; what is missing is found here, before the call.
func (v *visit) orderOf(form url.Values, h client.Hold, asked client.OrderForm) (client.NewOrder, []fault) {
	total := h.Total
	want := client.NewOrder{HoldID: h.ID, ShownTotal: &total, Buyer: client.Buyer{Email: form.Get("email"), Name: form.Get("name"), Locale: v.l.Code}}
	var faults []fault
	need := func(field, value, words string) {
		if value == "" {
			faults = append(faults, fault{field, v.l.T(words)})
		}
	}
	need("name", want.Buyer.Name, "need_name")
	need("email", want.Buyer.Email, "need_email")
	if want.Buyer.Email != "" && !strings.Contains(want.Buyer.Email, "@") {
		faults = append(faults, fault{"email", v.l.T("bad_email")})
	}
	count := int64(0)
	for _, item := range h.Items {
		count += max(item.Quantity, int64(len(item.Seats)))
	}
	answersOf := func(per, prefix string) (answers []client.Answer) {
		for _, q := range asked.Questions {
			if q.Per != per {
				continue
			}
			field := prefix + "a-" + q.ID
			value := form.Get(field)
			if q.Required && value == "" {
				faults = append(faults, fault{field, v.l.T("need_answer", q.Label)})
			}
			if value != "" {
				answers = append(answers, client.Answer{QuestionID: q.ID, Value: value})
			}
		}
		return answers
	}
	want.Answers = answersOf("order", "")
	for i := range count {
		prefix := "t" + strconv.FormatInt(i+1, 10) + "-"
		want.Attendees = append(want.Attendees, client.Attendee{Name: form.Get(prefix + "name"), Email: form.Get(prefix + "email"), Answers: answersOf("attendee", prefix)})
	}
	if !slices.ContainsFunc(want.Attendees, func(a client.Attendee) bool { return a.Name != "" || a.Email != "" || len(a.Answers) > 0 }) {
		want.Attendees = nil // nobody was named: the tickets are for whoever has them
	}
	for _, c := range asked.Consents {
		if form.Get("c-"+c.ID) != "" {
			want.Consents = append(want.Consents, client.Consented{ID: c.ID, Version: c.Version})
		} else if c.Required {
			faults = append(faults, fault{"c-" + c.ID, v.l.T("need_consent")})
		}
	}
	return want, faults
}

// orderFaults puts a refusal into words beside the fields; nil for one that is no
// fault of the form.
func (v *visit) orderFaults(err error, want client.NewOrder) (faults []fault) {
	p := problemOf(err)
	if p == nil {
		return nil
	}
	switch p.Code {
	case "invalid_order", "invalid_answer", "consent_required":
		for _, e := range p.Problem.Errors {
			faults = append(faults, fault{fieldOf(e.Pointer, want), v.l.T("refused_field", e.Detail)})
		}
		if faults == nil {
			faults = []fault{{text: v.l.T("refused_" + p.Code)}}
		}
	case "buyer_mismatch", "price_changed", "form_changed", "hold_in_checkout", "hold_expired", "payment_provider_unavailable", "mail_limit", "amount_not_chargeable", "too_many_requests":
		faults = []fault{{text: v.l.T("refused_" + p.Code)}}
	}
	return faults
}

// fieldOf is the form's field that a JSON pointer of the order is about.
func fieldOf(pointer string, want client.NewOrder) string {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	number, _ := strconv.Atoi(at(1))
	switch at(0) {
	case "buyer":
		return at(1)
	case "attendees":
		prefix := "t" + strconv.Itoa(number+1) + "-"
		if at(2) == "answers" && number < len(want.Attendees) {
			n, _ := strconv.Atoi(at(3))
			if n < len(want.Attendees[number].Answers) {
				return prefix + "a-" + want.Attendees[number].Answers[n].QuestionID
			}
		}
		return prefix + at(2)
	case "answers":
		if number < len(want.Answers) {
			return "a-" + want.Answers[number].QuestionID
		}
	}
	return ""
}

// seatName is a seat for people.
func seatName(l *tongue, s client.Seat) string {
	var parts []string
	if s.Section != "" {
		parts = append(parts, s.Section)
	}
	if s.Row != "" {
		parts = append(parts, l.T("seat_row", s.Row))
	}
	if s.Number != "" {
		parts = append(parts, l.T("seat_number", s.Number))
	}
	return strings.Join(parts, ", ")
}
