package checkoutbench

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/txn"
)

const (
	perOrder = 2                // tickets
	patience = 30 * time.Second // with one order
	visa     = "pm_card_visa"
)

var errBusy = errors.New("told to come again")

// way is one way from a hold to tickets.
type way struct {
	name  string
	house *house
	sagas bool
	posts bool // its mails leave
	// buy goes the whole way once and says how long the order's creation took.
	buy func(ctx context.Context, c *buyer) (created time.Duration, err error)
}

// buyer is a client with connections of its own.
type buyer struct {
	client *http.Client
	name   string
	n      int
	token  string // of the hold that it orders from, "" for none
}

func newBuyer() *buyer {
	return &buyer{name: crand.Text(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}, Timeout: patience}}
}

// ask sends JSON, with a new idempotency key, and reads the answer into out.
func (c *buyer) ask(ctx context.Context, method, url string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	c.n++
	header := http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {c.name + strconv.Itoa(c.n)}}
	if c.token != "" {
		header.Set("Authorization", "Bearer "+c.token)
	}
	return c.send(ctx, method, url, text, header, out)
}

func (c *buyer) send(ctx context.Context, method, url string, body []byte, header http.Header, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	resp, err := c.client.Do(r)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	switch _ = resp.Body.Close(); {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusTooManyRequests:
		return errBusy
	case resp.StatusCode > 299:
		return fmt.Errorf("%s %s answered %d: %.300s", method, url, resp.StatusCode, answer)
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer, out)
}

// confirm is what the buyer's browser does with the provider.
func (c *buyer) confirm(ctx context.Context, h *house, secret string) error {
	intent, _, _ := strings.Cut(secret, "_secret_")
	form := url.Values{"payment_method": {visa}, "client_secret": {secret}}
	return c.send(ctx, http.MethodPost, h.paying+"/v1/payment_intents/"+intent+"/confirm", []byte(form.Encode()),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + publicKey}}, nil)
}

// pay confirms, and waits until the cell has heard of it.
func (c *buyer) pay(ctx context.Context, h *house, order, secret string) error {
	heard := h.expect(order)
	if err := c.confirm(ctx, h, secret); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the webhook of %s: %w", order, ctx.Err())
	}
}

// overHTTP is what a buyer's browser does.
func overHTTP(h *house) way {
	return way{name: "1 the cell, over HTTP", house: h, sagas: true, buy: func(ctx context.Context, c *buyer) (created time.Duration, err error) {
		var hold client.Hold
		c.token = ""
		err = c.ask(ctx, http.MethodPost, h.url+"/v1/events/"+h.sale.ID.String()+"/holds",
			client.NewHold{Items: []client.HoldItem{{TicketTypeID: h.sale.Types[0].ID.String(), Quantity: perOrder}}}, &hold)
		if err != nil {
			return 0, err
		}
		var order client.Order
		c.token = hold.AccessToken
		at := time.Now()
		err = c.ask(ctx, http.MethodPost, h.url+"/v1/orders", client.NewOrder{
			HoldID: hold.ID, Buyer: client.Buyer{Email: person.Email, Name: person.Name, Locale: person.Locale}, ShownTotal: &hold.Total,
		}, &order)
		if err != nil {
			return 0, err
		}
		created = time.Since(at)
		if order.Payment == nil {
			return created, fmt.Errorf("%s has no payment", order.ID)
		}
		if err := c.pay(ctx, h, order.ID, order.Payment.ClientSecret); err != nil {
			return created, err
		}
		bearer := http.Header{"Authorization": {"Bearer " + order.AccessToken}}
		return created, until(ctx, func() (bool, error) {
			err := c.send(ctx, http.MethodGet, h.url+"/v1/orders/"+order.ID, nil, bearer, &order)
			return order.State == string(checkout.Paid) && len(order.Tickets) == perOrder, err
		})
	}}
}

// authorizing is overHTTP where cards are authorized first.
func authorizing(h *house) way {
	w := overHTTP(h)
	w.name = "4 as 1, the money taken last"
	return w
}

var person = checkout.Buyer{Email: "zoe@example.org", Name: "Zoë", Locale: "fr"}

// until asks again and again for what is nearly there.
func until(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond): // between two polls
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// straight calls the same services without the cell's HTTP and without keys.
func straight(h *house) way {
	return way{name: "2 its services, called straight", house: h, sagas: true, buy: func(ctx context.Context, c *buyer) (created time.Duration, err error) {
		hold, err := h.hold(ctx)
		if err != nil {
			return 0, err
		}
		var o checkout.Order
		at := time.Now()
		err = h.box.Desks.Share(ctx, h.sale.ID, hold.ID.String(), []id.Hold{hold.ID}, func(ctx context.Context, tx txn.Tx) (err error) {
			o, err = h.checkout.Create(ctx, tx, checkout.Request{Hold: hold.ID, Buyer: person, Shown: &hold.Total})
			return err
		})
		if err == nil {
			o, err = h.checkout.Prepare(ctx, o.ID)
		}
		if err != nil {
			return 0, err
		}
		created = time.Since(at)
		if err := c.pay(ctx, h, o.ID.String(), o.Payment.ClientSecret); err != nil {
			return created, err
		}
		return created, h.seen(ctx, o.ID)
	}}
}

func (h *house) hold(ctx context.Context) (booking.Hold, error) {
	return h.box.Hold(ctx, booking.Request{Hold: id.NewHold(h.sale.ID), Lines: []booking.Line{{Type: h.sale.Types[0].ID, Quantity: perOrder}}})
}

// seen waits until the order is paid and has its tickets.
func (h *house) seen(ctx context.Context, order id.Order) error {
	return until(ctx, func() (bool, error) {
		o, err := h.checkout.Look(ctx, order)
		return o.State == checkout.Paid && len(o.Tickets) == perOrder, err
	})
}
