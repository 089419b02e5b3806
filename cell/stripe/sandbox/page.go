package sandbox

import (
	"crypto/subtle"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"guichet/cell/money"
)

var pages = template.Must(template.New("").Parse(`
{{define "head"}}<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.}}</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc}.n{text-align:right;white-space:nowrap}
form{display:inline}button{font:inherit;padding:.6rem 1.2rem;margin-right:1rem}td button{padding:.1rem .6rem;margin:.1rem .3rem .1rem 0}
.w{overflow-x:auto}.t{background:#fff3cd;padding:.5rem 1rem}code{font-size:.85em;overflow-wrap:anywhere}small{color:#555}</style>{{end}}
{{define "overview"}}{{template "head" "Payment sandbox"}}<h1>Payment sandbox</h1>
<p class="t">Speaks Stripe's API with Stripe's test cards. No money moves.</p>
{{range .}}<h2>{{.Cell}}</h2><p>{{.Intents}} payments, {{.Refunds}} refunds, {{.Events}} events, {{.Owed}} still to be delivered{{if .URL}} to {{.URL}}{{end}}.{{if .Trouble}} Faults are switched on.{{end}}</p>
<div class="w"><table><thead><tr><th scope="col">Payment and order</th><th scope="col">State</th><th scope="col" class="n">Amount</th><th scope="col">What happens next</th></tr></thead><tbody>
{{range .Rows}}{{$id := .ID}}<tr><td><code>{{.ID}}</code><br><code>{{.Order}}</code></td><td>{{.Status}}<br><small>{{.Method}} {{.Error}}</small></td><td class="n">{{.Amount}}</td>
<td>{{if .Page}}<a href="{{.Page}}">the buyer's bank asks</a> {{end}}{{range .Buttons}}<form method="post" action="/sandbox/payments/{{$id}}/{{.Do}}"><button>{{.Label}}</button></form>{{end}}</td></tr>
{{else}}<tr><td colspan="4">none yet</td></tr>{{end}}</tbody></table></div>
{{if .Payees}}<h3>Connected accounts</h3><table><thead><tr><th scope="col">Account</th><th scope="col">Country</th><th scope="col">May take payments</th><th scope="col">Has</th></tr></thead><tbody>
{{range .Payees}}<tr><td><code>{{.ID}}</code></td><td>{{.Country}}</td><td>{{if .Charges}}yes{{else}}no{{end}}</td><td>{{.Has}}</td></tr>{{end}}</tbody></table>{{end}}{{end}}</html>{{end}}
{{define "ask"}}{{template "head" "Approve the payment"}}<h1>Approve the payment of {{.Amount}}?</h1>
<p class="t">This page stands for your bank. No money moves.</p>{{if .What}}<p>{{.What}}</p>{{end}}
<form method="post"><button name="answer" value="approve">Approve</button><button name="answer" value="refuse">Refuse</button></form></html>{{end}}
{{define "told"}}{{template "head" .Title}}<h1>{{.Title}}</h1><p>{{.Text}}</p></html>{{end}}`))

type note struct{ Title, Text string }

func render(w http.ResponseWriter, status int, name string, data any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, name, data) // the reader may be gone
}

type row struct {
	ID, Method, Status, Amount, Order, Error, Page string

	Buttons []button
}

type button struct{ Do, Label string }

type payeeRow struct {
	ID, Country, Has string
	Charges          bool
}

type section struct {
	Cell, URL                      string
	Intents, Refunds, Events, Owed int
	Trouble                        bool
	Rows                           []row
	Payees                         []payeeRow
}

// overview is GET /: the youngest payments of every account.
func (s *Sandbox) overview(w http.ResponseWriter, _ *http.Request) {
	var sections []section
	s.mu.Lock()
	for _, a := range s.config.Accounts {
		st := s.accounts[a.Cell]
		sec := section{
			Cell: a.Cell, URL: a.WebhookURL, Intents: len(st.intents.order), Refunds: len(st.refunds.order), Events: len(st.events.order),
			Owed: len(st.owed()), Trouble: s.faults.of(a.Cell) != Faults{},
		}
		st.intents.youngest(func(in intent) bool {
			sec.Rows = append(sec.Rows, st.row(in))
			return len(sec.Rows) < pageRows
		})
		st.payees.youngest(func(p payee) bool {
			sec.Payees = append(sec.Payees, p.row())
			return len(sec.Payees) < pageRows
		})
		sections = append(sections, sec)
	}
	pos := s.journal.position()
	s.mu.Unlock()
	if err := s.journal.wait(pos); err != nil {
		render(w, http.StatusServiceUnavailable, "told", note{"Out of order", "The sandbox cannot write its journal."})
		return
	}
	slices.SortFunc(sections, func(a, b section) int { return strings.Compare(a.Cell, b.Cell) })
	render(w, http.StatusOK, "overview", sections)
}

// row is a payment with what may be done about it.
func (a *account) row(in intent) row {
	r := row{ID: in.ID, Status: in.Status, Amount: amountText(in.paymentIntent), Order: in.Metadata["order_id"], Method: strings.TrimPrefix(in.Card, "pm_")}
	ch, charged := charge{}, false
	if in.LatestCharge != nil {
		ch, charged = a.charges.get(*in.LatestCharge)
	}
	switch {
	case in.Status == needsAction && in.NextAction != nil:
		r.Page = "/sandbox/authenticate/" + in.ID + "/" + in.Ticket
	case in.Status == processing:
		r.Buttons = []button{{"settle", "The bank pays"}, {"fail", "The bank refuses"}}
	case in.Status == succeeded && charged:
		r.Status, r.Buttons = a.afterwards(in, ch)
	}
	if e := in.LastPaymentError; e != nil {
		r.Error = e.Code
		if e.DeclineCode != "" {
			r.Error = e.DeclineCode
		}
	}
	return r
}

// afterwards is what became of money that came, and what still may.
func (a *account) afterwards(in intent, ch charge) (status string, next []button) {
	status = in.Status
	if ch.AmountRefunded > 0 {
		status = "refunded in part"
	}
	if ch.Refunded {
		status = "refunded"
	}
	if ch.Disputed {
		a.disputes.youngest(func(d dispute) bool {
			if d.Intent != in.ID {
				return true
			}
			status = "dispute: " + d.Status
			if d.open() {
				next = []button{{"win", "Dispute won"}, {"lose", "Dispute lost"}}
			}
			return false
		})
		return status, next
	}
	if !ch.Refunded {
		next = append(next, button{"refund", "Refund"})
	}
	if ch.AmountRefunded > 0 {
		next = append(next, button{"return", "Refund fails"})
	}
	return status, append(next, button{"dispute", "Dispute"}, button{"inquire", "Inquire"})
}

func (a payee) row() payeeRow {
	var has []string
	for _, currency := range slices.Sorted(maps.Keys(a.Has)) {
		has = append(has, moneyText(a.Has[currency], currency))
	}
	return payeeRow{ID: a.ID, Country: a.Country, Charges: a.Charges, Has: strings.Join(has, ", ")}
}

func amountText(in paymentIntent) string { return moneyText(in.Amount, in.Currency) }

// moneyText shows Stripe's amount; ISK and UGX have two digits there that are always zero.
func moneyText(amount int64, currency string) string {
	currency = strings.ToUpper(currency)
	if currency == "ISK" || currency == "UGX" {
		amount /= 100
	}
	return money.Money{Amount: amount, Currency: currency}.String()
}

// awaiting finds the intent whose buyer is asked, by the ticket in the page's address.
func (s *Sandbox) awaiting(r *http.Request) (string, intent, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cell := range s.couriers {
		in, ok := s.accounts[cell].intents.get(r.PathValue("id"))
		if ok && in.Status == needsAction && in.Ticket != "" && subtle.ConstantTimeCompare([]byte(in.Ticket), []byte(r.PathValue("ticket"))) == 1 {
			return cell, in, true
		}
	}
	return "", intent{}, false
}

var gone = note{"Nothing to approve", "This payment is not waiting for an approval, or no longer."}

// askBuyer is the page to which a payment that needs authentication sends the buyer.
func (s *Sandbox) askBuyer(w http.ResponseWriter, r *http.Request) {
	_, in, ok := s.awaiting(r)
	if !ok {
		render(w, http.StatusNotFound, "told", gone)
		return
	}
	what := ""
	if in.Description != nil {
		what = *in.Description
	}
	render(w, http.StatusOK, "ask", struct{ Amount, What string }{amountText(in.paymentIntent), what})
}

// hearBuyer carries the buyer's answer out and sends him back where he came from.
func (s *Sandbox) hearBuyer(w http.ResponseWriter, r *http.Request) {
	p, f := readParams(w, r)
	answer := p.text("answer")
	if f != nil || answer != "approve" && answer != "refuse" {
		render(w, http.StatusBadRequest, "told", note{"Not understood", "The answer must be approve or refuse."})
		return
	}
	cell, before, ok := s.awaiting(r)
	if !ok {
		render(w, http.StatusNotFound, "told", gone)
		return
	}
	c := s.ownCall(before.ID, r.URL.Path)
	heard := false
	ans, f := s.carryOut(cell, c, r.Method, nil, func(a *account, c call, _ params) outcome {
		in, ok := a.intents.get(c.id)
		if !ok || in.Ticket != before.Ticket { // somebody else answered in the meantime
			return refused(missing("payment_intent", c.id))
		}
		heard = true
		return authenticate(in, answer == "approve", c)
	})
	if f != nil && f.status >= http.StatusInternalServerError {
		render(w, f.status, "told", note{"Out of order", "The sandbox could not keep the answer."})
		return
	}
	if !heard {
		render(w, http.StatusNotFound, "told", gone)
		return
	}
	done := answer == "approve" && ans.status == http.StatusOK
	if back := before.NextAction.Redirect.ReturnURL; back != nil {
		http.Redirect(w, r, returnURL(*back, before, done), http.StatusSeeOther)
		return
	}
	if done {
		render(w, http.StatusOK, "told", note{"Approved", "You can go back to your order."})
		return
	}
	render(w, http.StatusOK, "told", note{"Not paid", "Nothing was charged. You can go back to your order and try again."})
}

// returnURL is the shop's page with what Stripe adds to it.
func returnURL(back string, in intent, done bool) string {
	u, err := url.Parse(back)
	if err != nil { // was checked when the intent was confirmed
		return "/"
	}
	q := u.Query()
	q.Set("payment_intent", in.ID)
	q.Set("payment_intent_client_secret", in.ClientSecret)
	q.Set("redirect_status", map[bool]string{true: "succeeded", false: "failed"}[done])
	u.RawQuery = q.Encode()
	return u.String()
}
