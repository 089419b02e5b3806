package sandbox

import "slices"

// change is one line of the journal: everything that one request did, together.
type change struct {
	Account   string   `json:"account,omitempty"`
	Intent    *intent  `json:"intent,omitempty"`
	Charge    *charge  `json:"charge,omitempty"`
	Refund    *refund  `json:"refund,omitempty"`
	Dispute   *dispute `json:"dispute,omitempty"`
	Payee     *payee   `json:"payee,omitempty"`
	Events    []event  `json:"events,omitempty"`
	Reply     *reply   `json:"reply,omitempty"`
	Delivered string   `json:"delivered,omitempty"`
	Header    *heading `json:"header,omitempty"`
}

// reply is what an idempotency key was answered with.
type reply struct {
	Key     string `json:"key"`
	Print   string `json:"print"` // SHA-256 of method, path and parameters
	Status  int    `json:"status"`
	Body    string `json:"body"`
	Request string `json:"request"` // id of the request that did it
	At      int64  `json:"at"`
}

// account is the state of one Stripe account.
type account struct {
	name    string
	intents table[intent]
	charges table[charge]
	refunds table[refund]

	disputes table[dispute]
	payees   table[payee]

	events  table[event]
	replies table[reply]
}

func newAccount(name string) *account {
	return &account{
		name: name, intents: newTable[intent](maxIntents), charges: newTable[charge](maxCharges),
		refunds: newTable[refund](maxRefunds), disputes: newTable[dispute](maxDisputes), payees: newTable[payee](maxPayees), events: newTable[event](maxEvents), replies: newTable[reply](maxReplies),
	}
}

// apply makes a change so. It is the only place where the state of an account changes.
func (a *account) apply(c change) {
	if c.Intent != nil {
		a.intents.put(c.Intent.ID, *c.Intent)
	}
	if c.Charge != nil {
		a.charges.put(c.Charge.ID, *c.Charge)
	}
	if c.Refund != nil {
		a.refunds.put(c.Refund.ID, *c.Refund)
	}
	if c.Dispute != nil {
		a.disputes.put(c.Dispute.ID, *c.Dispute)
	}
	if c.Payee != nil {
		a.payees.put(c.Payee.ID, *c.Payee)
	}
	for _, e := range c.Events {
		a.events.put(e.ID, e)
	}
	if c.Reply != nil {
		a.replies.put(c.Reply.Key, *c.Reply)
	}
	if e, ok := a.events.get(c.Delivered); ok {
		e.PendingWebhooks = 0
		a.events.put(e.ID, e)
	}
}

// state adds the whole state as changes, oldest first. They are copies: what is applied
// afterwards does not change them.
func (a *account) state(all []change) []change {
	keep := func(c change) {
		c.Account = a.name
		all = append(all, c)
	}
	for v := range a.intents.oldest {
		keep(change{Intent: &v})
	}
	for v := range a.charges.oldest {
		keep(change{Charge: &v})
	}
	for v := range a.refunds.oldest {
		keep(change{Refund: &v})
	}
	for v := range a.disputes.oldest {
		keep(change{Dispute: &v})
	}
	for v := range a.payees.oldest {
		keep(change{Payee: &v})
	}
	for v := range a.events.oldest {
		keep(change{Events: []event{v}})
	}
	for v := range a.replies.oldest {
		keep(change{Reply: &v})
	}
	return all
}

// empty says that a request changed nothing.
func (c *change) empty() bool {
	return c.Intent == nil && c.Charge == nil && c.Refund == nil && c.Dispute == nil && c.Payee == nil && len(c.Events) == 0 && c.Reply == nil
}

// owed are the ids of the events that the endpoint has not had often enough, oldest first.
func (a *account) owed() []string {
	var ids []string
	a.events.oldest(func(e event) bool {
		if e.PendingWebhooks > 0 {
			ids = append(ids, e.ID)
		}
		return true
	})
	return ids
}

// table keeps the youngest limit values by id, in the order in which they came.
type table[V any] struct {
	limit int
	byID  map[string]V
	order []string
}

func newTable[V any](limit int) table[V] { return table[V]{limit: limit, byID: map[string]V{}} }

func (t *table[V]) get(id string) (V, bool) { v, ok := t.byID[id]; return v, ok }

func (t *table[V]) put(id string, v V) {
	if _, ok := t.byID[id]; !ok {
		t.order = append(t.order, id)
	}
	t.byID[id] = v
	if len(t.order) > t.limit {
		delete(t.byID, t.order[0])
		t.order = t.order[1:]
	}
}

func (t *table[V]) oldest(yield func(V) bool) {
	for _, id := range t.order {
		if !yield(t.byID[id]) {
			return
		}
	}
}

func (t *table[V]) youngest(yield func(V) bool) {
	for _, id := range slices.Backward(t.order) {
		if !yield(t.byID[id]) {
			return
		}
	}
}
