package shop

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"guichet/cell/client"
)

// orderView is an order's page.
type orderView struct {
	meta    meta
	order   client.Order
	event   client.Event
	tickets []ticketView
	note    string // what was done a moment ago
	faults  []fault
	policy  string
	waiting bool // it is being decided: the page asks again by itself
	over    bool // the event has begun
}

// ticketView is a ticket on a page; base is where its files are.
type ticketView struct {
	client.Ticket
	base string
	give bool // it can be given on
}

// orderPageOf reads an order with what its cookie admits to.
func (v *visit) readOrder() (client.Order, string, error) {
	token, err := v.token()
	if err != nil {
		return client.Order{}, "", err
	}
	o, _, err := v.api(token).GetOrder(v.ctx(), v.r.PathValue("order"))
	return o, token, err
}

func (v *visit) orderPage() (answer, error) {
	if q := v.query(); q.Has("payment_intent_client_secret") { // the bank sent the buyer back; the secret does not stay in the history
		to := "/orders/" + v.r.PathValue("order")
		if q.Get("redirect_status") == "failed" {
			to += "?redirect_status=failed"
		}
		return answer{to: to}, nil
	}
	o, _, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	return v.showOrder(o, nil)
}

func (v *visit) showOrder(o client.Order, faults []fault) (answer, error) {
	e, _, err := v.api("").Event(v.ctx(), o.EventID)
	if err != nil {
		return answer{}, err
	}
	view := orderView{meta: v.meta(v.l.T("order_title", o.Code)), order: o, event: e, faults: faults}
	view.meta.private, view.meta.bare = true, true
	if p, _, err := v.api("").TransferPolicy(v.ctx(), o.EventID); err == nil {
		view.policy = p.Transfers
	}
	if note := v.query().Get("done"); slices.Contains([]string{"given", "resent", "canceled"}, note) {
		view.note = v.l.T("done_" + note)
	}
	view.over = !v.now().Before(e.StartsAt)
	view.waiting = o.State == "pending"
	for _, t := range o.Tickets {
		view.tickets = append(view.tickets, ticketView{t, "/orders/" + o.ID + "/tickets/" + t.ID, t.State == "valid" && t.Transferred == nil && view.policy == "allowed" && !view.over})
	}
	if view.waiting {
		view.meta.refresh = 3
	} else {
		view.meta.scripts = []string{"wallet.js"}
	}
	if view.waiting && v.query().Get("redirect_status") == "failed" {
		view.faults = append(view.faults, fault{text: v.l.T("declined_authentication")})
	}
	a := answer{page: orderPage(view)}
	if faults != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

// orderState is what the page of an order asks for until it is decided.
func (v *visit) orderState() (answer, error) {
	o, _, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	body, err := json.Marshal(struct {
		State   string `json:"state"`
		Payment string `json:"payment_state"`
	}{o.State, o.PaymentState})
	return answer{raw: body, media: "application/json"}, err
}

// payView is the page on which a card is taken.
type payView struct {
	meta    meta
	order   client.Order
	event   client.Event
	sandbox string // where the payment sandbox is; empty with Stripe itself
	back    string // the absolute address to which a bank sends the buyer back
	left    int64  // seconds
}

func (v *visit) pay() (answer, error) {
	o, _, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	if o.State != "pending" || o.Payment == nil {
		return answer{to: "/orders/" + o.ID}, nil
	}
	e, _, err := v.api("").Event(v.ctx(), o.EventID)
	if err != nil {
		return answer{}, err
	}
	view := payView{meta: v.meta(v.l.T("pay_title")), order: o, event: e, sandbox: strings.TrimRight(v.p.cfg.PaymentURL, "/"), back: v.origin() + "/orders/" + o.ID}
	if o.ExpiresAt != nil {
		view.left = max(int64(o.ExpiresAt.Sub(v.now()).Seconds()), 0)
	}
	view.meta.private, view.meta.bare = true, true
	view.meta.scripts = []string{"pay.js"}
	if view.sandbox == "" {
		view.meta.outside = stripeScript + "/v3/"
	}
	return answer{page: payPage(view), secret: true, pays: true}, nil
}

// origin is how the browser reaches this site: what it asked for, if that is one of the
// site's own spellings.
func (v *visit) origin() string {
	host := v.r.Header.Get("X-Forwarded-Host")
	if host == "" {
		host = v.r.Host
	}
	if u, err := url.Parse(v.p.cfg.SiteURL); err == nil && sameMachine(u.Host, host) {
		return u.Scheme + "://" + host
	}
	return v.p.cfg.SiteURL
}

// sameMachine says whether two hosts are this machine under two names, with one port:
// the cookies of a town's visitor are those of the name that was typed.
func sameMachine(a, b string) bool {
	if a == b {
		return true
	}
	nameA, portA, _ := strings.Cut(a, ":")
	nameB, portB, _ := strings.Cut(b, ":")
	loop := []string{"localhost", "127.0.0.1"}
	return portA == portB && slices.Contains(loop, nameA) && slices.Contains(loop, nameB)
}

// askCancel is the page that asks whether an order is really to be canceled.
func (v *visit) askCancel() (answer, error) {
	o, _, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	if o.State != "pending" && o.State != "paid" {
		return answer{to: "/orders/" + o.ID}, nil
	}
	e, _, err := v.api("").Event(v.ctx(), o.EventID)
	if err != nil {
		return answer{}, err
	}
	m := v.meta(v.l.T("cancel_title"))
	m.private, m.bare = true, true
	return answer{page: cancelPage(orderView{meta: m, order: o, event: e})}, nil
}

// cancel cancels an order, and gives the money of a paid one back.
func (v *visit) cancel() (answer, error) {
	o, token, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	_, _, err = v.api(token).CancelOrder(v.ctx(), o.ID, "shop-cancel-"+o.ID)
	if p := problemOf(err); p != nil && (p.Status == http.StatusConflict || p.Status == http.StatusForbidden || p.Status == http.StatusUnprocessableEntity) {
		return v.showOrder(o, []fault{{text: v.l.known("refused_", p.Code)}})
	}
	if err != nil {
		return answer{}, err
	}
	return answer{to: "/orders/" + o.ID + "?done=canceled"}, nil
}

// resend mails the tickets again.
func (v *visit) resend() (answer, error) {
	o, token, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	_, err = v.api(token).ResendOrder(v.ctx(), o.ID)
	if p := problemOf(err); p != nil && (p.Code == "mail_limit" || p.Code == "invalid_state") {
		return v.showOrder(o, []fault{{text: v.l.T("refused_" + p.Code)}})
	}
	if err != nil {
		return answer{}, err
	}
	return answer{to: "/orders/" + o.ID + "?done=resent"}, nil
}

// invoice is the paper of a paid order.
func (v *visit) invoice() (answer, error) {
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	body, _, err := v.api(token).InvoicePDF(v.ctx(), v.r.PathValue("order"))
	return answer{raw: body, media: "application/pdf", name: "invoice.pdf"}, err
}
