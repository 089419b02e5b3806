package sandbox

import (
	"log/slog"
	"net/http"
	"time"
)

// process is a bank debit on its way: the bank says yes or no when it is due.
func process(in intent, ch charge, c call) outcome {
	in.Status, in.Due = processing, c.nowMS+c.settleAfter.Milliseconds()
	ch.Status, ch.Paid, ch.Outcome = "pending", false, nil
	return outcome{body: in.paymentIntent, change: change{Intent: &in, Charge: &ch, Events: []event{
		eventOf("payment_intent.processing", in.paymentIntent, nil, c), eventOf("charge.pending", ch, nil, c),
	}}}
}

// decided is the bank's word on a debit: pay or not.
func decided(a *account, in intent, pay bool, c call) outcome {
	ch, ok := a.charges.get(*in.LatestCharge)
	if !ok {
		return refused(missing("charge", *in.LatestCharge))
	}
	m := cards[in.Card]
	if pay {
		ch.Status, ch.Paid = "succeeded", true
		ch.Outcome = outcomeOf("approved_by_network", nil, "Payment complete.", "authorized")
		return succeed(in, ch, m, c)
	}
	if m.code == "" {
		m.code, m.message = "payment_intent_payment_attempt_failed", "The payment failed."
	}
	return decline(in, ch, m, c)
}

// await rings when an intent's bank is due.
func (s *Sandbox) await(cell string, in *intent) {
	if in == nil || in.Due == 0 || s.couriers[cell] == nil {
		return
	}
	id, due := in.ID, in.Due
	time.AfterFunc(time.Duration(due-s.config.Now().UnixMilli())*time.Millisecond, func() { s.comeDue(cell, id, due) })
}

// awaitAll rings for what was processing when the sandbox closed.
func (s *Sandbox) awaitAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for cell, a := range s.accounts {
		a.intents.oldest(func(in intent) bool {
			s.await(cell, &in)
			return true
		})
	}
}

// comeDue lets the bank of a debit decide, unless somebody did before.
func (s *Sandbox) comeDue(cell, id string, due int64) {
	if s.closed.Load() {
		return // after the next start
	}
	c := s.ownCall(id, "/sandbox/due")
	_, f := s.carryOut(cell, c, http.MethodPost, nil, func(a *account, c call, _ params) outcome {
		in, ok := a.intents.get(c.id)
		if !ok || in.Status != processing || in.Due != due {
			return outcome{}
		}
		return decided(a, in, cards[in.Card].code == "", c)
	})
	if f != nil && f.status >= http.StatusInternalServerError {
		s.log.Error("a bank debit could not be decided", slog.String("cell", cell), slog.String("intent", id))
	}
}

// ownCall is a request that nobody sent.
func (s *Sandbox) ownCall(id, path string) call {
	now := s.config.Now()
	return call{now: now.Unix(), nowMS: now.UnixMilli(), settleAfter: s.config.SettleAfter, request: "req_" + random(14), id: id, path: path}
}
