package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// courier brings the events of one account to its endpoint: each one several
// times, and again until it is taken. While the endpoint is away it knocks with
// one event only, so a dead cell is not hammered with all that is owed.
type courier struct {
	account Account
	sandbox *Sandbox
	client  *http.Client
	ctx     context.Context //nolint:containedctx // the life of the deliveries, ended by stop
	cancel  context.CancelFunc
	wake    chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	ready    []parcel   // to go now; parcels that wait are with their timers
	waiting  int
	inFlight int
	failures int  // deliveries that failed since the last that did not
	resting  bool // the endpoint gets a pause
}

// parcel is one event on its way, copies of it left to be accepted.
type parcel struct {
	event  string
	copies int
	tries  int
}

func newCourier(a Account, s *Sandbox) *courier {
	ctx, cancel := context.WithCancel(context.Background())
	return &courier{
		account: a, sandbox: s, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1),
		client: &http.Client{
			Timeout:       deliveryTimeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: maxInFlight, MaxConnsPerHost: maxInFlight, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // Stripe does not follow either
		},
	}
}

func (c *courier) start() { c.done.Go(c.run) }

func (c *courier) stop() {
	c.cancel()
	c.done.Wait()
	c.client.CloseIdleConnections()
}

// nudge makes the courier look again.
func (c *courier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// enqueue takes events of which the endpoint is owed every copy.
func (c *courier) enqueue(events ...string) {
	if c.account.WebhookURL == "" {
		return
	}
	faults := c.sandbox.faults.of(c.account.Cell)
	copies := c.sandbox.config.Deliveries
	if faults.Duplicates > 0 {
		copies = faults.Duplicates
	}
	for _, id := range events {
		var late time.Duration
		if faults.Reorder {
			late = rand.N(reorderWindow)
		}
		c.later(parcel{event: id, copies: copies}, late)
	}
}

// later makes the parcel ready after a while. Beyond the events that are kept
// the oldest parcel goes: its event went too.
func (c *courier) later(p parcel, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready)+c.waiting >= maxEvents && len(c.ready) > 0 {
		c.ready = c.ready[1:]
	}
	if after <= 0 {
		c.ready = append(c.ready, p)
		c.nudge()
		return
	}
	c.waiting++
	time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiting--
		c.ready = append(c.ready, p)
		c.nudge()
	})
}

func (c *courier) run() {
	for {
		p, ok := c.next()
		if ok {
			c.done.Go(func() { c.carry(p) })
			continue
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		}
	}
}

// next is a parcel that may go now.
func (c *courier) next() (parcel, bool) {
	faults := c.sandbox.faults.of(c.account.Cell)
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := maxInFlight
	if c.failures > 0 {
		limit = 1
	}
	if len(c.ready) == 0 || c.resting || c.inFlight >= limit || faults.WebhookBlackout || c.ctx.Err() != nil {
		return parcel{}, false
	}
	i := 0
	if faults.Reorder {
		i = rand.IntN(len(c.ready))
	}
	p := c.ready[i]
	if i == 0 { // the usual case, without moving the rest
		c.ready = c.ready[1:]
	} else {
		c.ready = slices.Delete(c.ready, i, i+1)
	}
	c.inFlight++
	return p, true
}

// carry tries one delivery and says what becomes of the parcel.
func (c *courier) carry(p parcel) {
	e, ok := c.sandbox.event(c.account.Cell, p.event)
	var err error
	if ok {
		err = c.post(e)
	}
	c.landed(err == nil)
	switch {
	case !ok: // went with age
	case c.ctx.Err() != nil: // owed after the next start
	case err == nil && p.copies > 1:
		c.later(parcel{event: p.event, copies: p.copies - 1}, 1+rand.N(copyDelay))
	case err == nil:
		c.sandbox.delivered(c.account.Cell, p.event)
	case p.tries+1 >= maxTries:
		c.sandbox.log.Warn("an event is given up", slog.String("cell", c.account.Cell), slog.String("event", p.event), slog.Any("error", err))
		c.sandbox.delivered(c.account.Cell, p.event)
	default:
		p.tries++
		c.later(p, c.backoff(p.tries))
	}
	c.nudge()
}

// landed counts, and rests the endpoint after a failure.
func (c *courier) landed(well bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if well {
		c.failures = 0
		return
	}
	c.failures++
	if c.resting {
		return
	}
	c.resting = true
	time.AfterFunc(min(c.backoff(c.failures), time.Second), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.resting = false
		c.nudge()
	})
}

// backoff doubles from the base to the cap, with a quarter of jitter.
func (c *courier) backoff(tries int) time.Duration {
	d := c.sandbox.config.RetryBase << min(tries-1, 16)
	d = min(d, retryCap)
	return d - rand.N(d/4+1)
}

// post sends the event as Stripe would: signed anew at each try, taken with any 2xx.
func (c *courier) post(e event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.account.WebhookURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Guichet-Payment-Sandbox/1.0")
	r.Header.Set("Stripe-Signature", sign(c.sandbox.config.Now(), body, c.account.WebhookSecret))
	resp, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, maxBody) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the endpoint answered %d", resp.StatusCode)
	}
	return nil
}

// sign makes the Stripe-Signature header (docs.stripe.com/webhooks#verify-manually).
func sign(now time.Time, body []byte, secret string) string {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// address marks events of an account with an endpoint that is subscribed to them as owed.
func (s *Sandbox) address(cell string, events []event) {
	c := s.couriers[cell]
	if c == nil || c.account.WebhookURL == "" {
		return
	}
	for i := range events {
		if c.account.Events == nil || slices.Contains(c.account.Events, events[i].Type) {
			events[i].PendingWebhooks = 1
		}
	}
}

// dispatch hands new events that are owed to the courier, once they are on the disk.
func (s *Sandbox) dispatch(cell string, events []event) {
	for _, e := range events {
		if e.PendingWebhooks > 0 {
			s.couriers[cell].enqueue(e.ID)
		}
	}
}
