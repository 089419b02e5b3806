package sandbox

import (
	"net/http"
	"strings"
)

// pressed is a button of the page, POST /sandbox/payments/{id}/{what}: settle and
// fail decide a bank debit, dispute and inquire let the buyer's bank ask for the
// money, win and lose decide that, refund gives all that is left (or ?amount=, in
// Stripe's minor units) back behind the cell's back, as somebody at Stripe's dashboard
// does, and return lets the youngest refund fail. Programs may press too; they are
// answered in JSON.
func (s *Sandbox) pressed(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		writeFailure(w, refuse(http.StatusForbidden, "", "", "The buttons are for the sandbox's own page."))
		return
	}
	d, ok := buttons[r.PathValue("what")]
	cell, found := s.cellOf(r.PathValue("id"))
	if !ok || !found {
		writeFailure(w, missing("payment_intent", r.PathValue("id")))
		return
	}
	asked := params{}
	if amount := r.URL.Query().Get("amount"); amount != "" {
		asked["amount"] = []string{amount}
	}
	ans, f := s.carryOut(cell, s.ownCall(r.PathValue("id"), r.URL.Path), r.Method, asked, d)
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		if f != nil {
			render(w, f.status, "told", note{"Not done", f.body.Message})
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if f != nil {
		writeFailure(w, f)
		return
	}
	status := ans.status
	if status == http.StatusPaymentRequired { // the bank said no, as it was asked to
		status = http.StatusOK
	}
	writeRaw(w, status, ans.body)
}

// cellOf finds whose payment it is.
func (s *Sandbox) cellOf(intent string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cell := range s.couriers {
		if _, ok := s.accounts[cell].intents.get(intent); ok {
			return cell, true
		}
	}
	return "", false
}

var buttons = map[string]decide{
	"settle":  func(a *account, c call, _ params) outcome { return a.bankSays(c, true) },
	"fail":    func(a *account, c call, _ params) outcome { return a.bankSays(c, false) },
	"dispute": func(a *account, c call, _ params) outcome { return a.question(c, false) },
	"inquire": func(a *account, c call, _ params) outcome { return a.question(c, true) },
	"win":     func(a *account, c call, _ params) outcome { return a.decideDispute(c, true) },
	"lose":    func(a *account, c call, _ params) outcome { return a.decideDispute(c, false) },
	"refund": func(a *account, c call, p params) outcome {
		asked := params{"payment_intent": {c.id}}
		if p.has("amount") {
			asked["amount"] = p["amount"]
		}
		return createRefund(a, c, asked)
	},
	"return": func(a *account, c call, _ params) outcome { return a.bounce(c) },
}

func (a *account) bankSays(c call, pay bool) outcome {
	in, ok := a.intents.get(c.id)
	if !ok || in.Status != processing {
		return refused(unexpected(in, "This payment is not processing."))
	}
	return decided(a, in, pay, c)
}

func (a *account) question(c call, inquiry bool) outcome {
	in, ok := a.intents.get(c.id)
	if !ok || in.Status != succeeded {
		return refused(unexpected(in, "This payment has not succeeded: nobody can dispute it."))
	}
	ch, ok := a.charges.get(*in.LatestCharge)
	if !ok || ch.Disputed {
		return refused(invalid("", "Charge %s has been disputed already, or went with age.", *in.LatestCharge))
	}
	out := outcome{change: change{Charge: &ch}}
	raise(&out.change, in, "fraudulent", inquiry, c)
	out.body = *out.change.Dispute
	return out
}

func (a *account) decideDispute(c call, win bool) outcome {
	var found *dispute
	a.disputes.youngest(func(d dispute) bool {
		if d.Intent == c.id && d.open() {
			found = &d
		}
		return found == nil
	})
	if found == nil {
		return refused(invalid("", "This payment has no open dispute."))
	}
	return found.end(win, c)
}
