package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/client"
)

const (
	paidWithin = 8 * time.Second // until a payment has become tickets
	paidPoll   = 250 * time.Millisecond
)

// plan is what one attendee will do; all of it follows from the seed.
type plan struct {
	near, home int // places
	what       int // of 100
	pays       bool
	scarce     bool
}

// Begin lets people arrive at every place until ctx ends.
func (l *Load) Begin(ctx context.Context) {
	l.began = time.Now()
	for i := range l.town.Places {
		l.working.Go(func() { l.arrivals(ctx, i) })
	}
}

// Wait returns when everybody who arrived has gone.
func (l *Load) Wait() { l.working.Wait() }

// arrivals are a Poisson process of its own for each place.
func (l *Load) arrivals(ctx context.Context, place int) {
	rng := rand.New(rand.NewPCG(l.seed, uint64(place))) //nolint:gosec // it must be repeatable, not secret
	next := time.Duration(0)
	for {
		next += time.Duration(rng.ExpFloat64() / l.rate * float64(time.Second))
		at := next // each person has a time of their own
		p := plan{near: place, home: place, what: rng.IntN(100), pays: rng.IntN(2) == 0, scarce: rng.IntN(5) == 0}
		if other := rng.IntN(len(l.town.Places)); rng.IntN(10) < 4 {
			p.home = other
		}
		t := time.NewTimer(at - time.Since(l.began))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		select {
		case l.room <- struct{}{}:
			l.working.Go(func() {
				defer func() { <-l.room }()
				l.attend(context.WithoutCancel(ctx), p, at) // who has arrived is served to the end
			})
		default: // as many as one machine takes; to be seen in the report
			l.note(Record{At: at, Near: l.town.Places[p.near].Cell, Home: l.town.Places[p.home].Cell, Action: "search", Code: "crowd_full"})
		}
	}
}

// attend is one attendee's visit.
func (l *Load) attend(ctx context.Context, p plan, at time.Duration) {
	near, home := l.town.Places[p.near], l.town.Places[p.home]
	c := l.client(near)
	r := Record{At: at, Near: near.Cell, Home: home.Cell}
	switch {
	case p.what < 35:
		r.Action, r.Home = "search", near.Cell
		_, m, err := c.Search(ctx, client.Query{Text: "drill", Limit: 5})
		l.finish(r, m, err)
	case p.what < 60:
		r.Action = "event"
		e, m, err := c.Event(ctx, home.Event.Event)
		if err == nil && len(e.TicketTypes) > 0 && e.TicketTypes[0].Availability == client.None {
			r.Lie = true
		}
		l.finish(r, m, err)
	default:
		l.buy(ctx, c, r, p)
	}
}

func (l *Load) finish(r Record, m client.Meta, err error) bool {
	r = answered(r, m, err)
	r.Took = time.Since(l.began) - r.At
	l.note(r)
	return r.OK
}

// buy holds a ticket, and pays for it or gives it back.
func (l *Load) buy(ctx context.Context, c *client.Client, r Record, p plan) {
	home := l.town.Places[p.home]
	k := &kept{place: p.home, sale: home.Event, client: c, key: fmt.Sprintf("drill-%d-%d-%d", l.began.UnixNano(), p.near, r.At)}
	if p.scarce {
		k.sale = home.Scarce
	}
	k.want = client.NewHold{Items: []client.HoldItem{{TicketTypeID: k.sale.Type, Quantity: 1}}}
	r.Action = "hold"
	var hold client.Hold
	m, err := settled(ctx, func(ctx context.Context) (m client.Meta, err error) {
		hold, m, err = c.CreateHold(ctx, k.sale.Event, k.want, k.key)
		return m, err
	})
	code := client.CodeOf(err)
	r.SoldOut = p.scarce && code == "sold_out"
	r.Lie = !p.scarce && code == "sold_out"
	if err == nil || code == "" { // one without an answer may have been granted
		k.hold = hold
		l.keep(k)
	}
	if !l.finish(r, m, err) {
		return
	}
	if !p.pays {
		if _, err := c.ReleaseHold(ctx, hold.ID); err == nil {
			l.change(func() { k.released = true })
		}
		return
	}
	l.order(ctx, c, r, k)
}

func (l *Load) order(ctx context.Context, c *client.Client, r Record, k *kept) {
	r.At, r.Action = time.Since(l.began), "order"
	var order client.Order
	m, err := settled(ctx, func(ctx context.Context) (m client.Meta, err error) {
		order, m, err = c.CreateOrder(ctx, client.NewOrder{HoldID: k.hold.ID, Buyer: client.Buyer{Email: "drill@example.com", Name: "Drill Attendee", Locale: "en"}}, k.key+"-order")
		return m, err
	})
	if err == nil {
		l.change(func() { k.order = order })
	}
	if !l.finish(r, m, err) {
		return
	}
	r.At, r.Action = time.Since(l.began), "pay"
	if err := l.payable(ctx, c, &order); err != nil {
		r.Code, r.Detail = "not_payable", err.Error()
		r.Took = time.Since(l.began) - r.At
		l.note(r)
		return
	}
	if err := l.confirm(ctx, order); err != nil {
		r.Code, r.Detail = "provider_away", err.Error()
		r.Took = time.Since(l.began) - r.At
		l.note(r)
		return
	}
	l.change(func() { k.confirmed = true })
	m, err = l.untilPaid(ctx, c, order.ID)
	l.finish(r, m, err)
}

// settled asks again while an earlier request with the same key is being worked on: on a
// connection that breaks, the transport has sent it a second time by itself.
func settled(ctx context.Context, ask func(context.Context) (client.Meta, error)) (m client.Meta, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	for {
		if m, err = ask(ctx); client.CodeOf(err) != "in_flight" || ctx.Err() != nil {
			return m, err
		}
		pause(ctx)
	}
}

// payable waits until an order says how to pay: the cell may still be asking the provider.
func (l *Load) payable(ctx context.Context, c *client.Client, o *client.Order) (err error) {
	for end := time.Now().Add(requestPatience); o.Payment == nil; {
		if time.Now().After(end) {
			return fmt.Errorf("order %s is %s, its payment %s, and it says not how to pay (%w)", o.ID, o.State, o.PaymentState, err)
		}
		pause(ctx)
		var got client.Order
		if got, _, err = c.GetOrder(ctx, o.ID); err == nil {
			*o = got
		}
	}
	return nil
}

// untilPaid asks as a page does, and does not mind a question that was not answered.
func (l *Load) untilPaid(ctx context.Context, c *client.Client, id string) (m client.Meta, err error) {
	end := time.Now().Add(paidWithin)
	for {
		var o client.Order
		o, m, err = c.GetOrder(ctx, id)
		if err == nil && o.State == "paid" {
			return m, nil
		}
		if time.Now().After(end) {
			if err == nil {
				err = context.DeadlineExceeded
			}
			return m, err
		}
		time.Sleep(paidPoll)
	}
}

// confirm does what the buyer's browser does at the provider.
func (l *Load) confirm(ctx context.Context, o client.Order) error {
	intent, _, _ := strings.Cut(o.Payment.ClientSecret, "_secret_")
	form := url.Values{"payment_method": {"pm_card_visa"}, "client_secret": {o.Payment.ClientSecret}}
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.town.Sandbox+"/v1/payment_intents/"+url.PathEscape(intent)+"/confirm", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+o.Payment.PublishableKey)
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answers %s", resp.Status)
	}
	return nil
}

func (l *Load) keep(k *kept) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = append(l.holds, k)
}

func (l *Load) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}
