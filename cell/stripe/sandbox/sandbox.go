package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Account is one Stripe account: the keys its cell uses and the endpoint its
// events go to. Without a WebhookURL nothing is delivered.
type Account struct {
	Cell           string
	SecretKey      string
	PublishableKey string
	WebhookSecret  string
	WebhookURL     string
	Events         []string // types that the endpoint is subscribed to; nil for all
}

// AccountOf is the account of a cell by the town's convention for keys.
func AccountOf(cell, webhookURL string) Account {
	return Account{
		Cell: cell, WebhookURL: webhookURL,
		SecretKey: "sk_test_sandbox_" + cell, PublishableKey: "pk_test_sandbox_" + cell, WebhookSecret: "whsec_sandbox_" + cell,
	}
}

// Config says where the sandbox keeps its journal and whom it serves.
type Config struct {
	StateDir    string
	Accounts    []Account
	Deliveries  int              // copies of each event that an endpoint must accept; default 2
	PublicURL   string           // where browsers reach the sandbox; default: the host of the request
	SettleAfter time.Duration    // how long a bank debit is processing; default 3 s
	RetryBase   time.Duration    // first wait after a failed delivery; default 200 ms
	Now         func() time.Time // required
	Logger      *slog.Logger
}

// Sandbox is the running stand-in.
type Sandbox struct {
	config  Config
	log     *slog.Logger
	faults  faults
	closing chan struct{}
	closed  atomic.Bool
	byKey   map[string]caller // by secret and publishable key

	mu       sync.Mutex // guards the fields below; taken before journal.mu
	accounts map[string]*account
	busy     map[string]bool // idempotency keys under way
	journal  *journal

	couriers map[string]*courier
}

// caller is who a key belongs to.
type caller struct {
	cell        string
	publishable bool
}

// Open replays the journal in StateDir and starts delivering what is still owed.
func Open(config Config) (*Sandbox, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("payment sandbox: %w", err)
	}
	s := &Sandbox{
		config: config, log: config.Logger, closing: make(chan struct{}), byKey: map[string]caller{},
		accounts: map[string]*account{}, busy: map[string]bool{}, couriers: map[string]*courier{},
	}
	for _, a := range config.Accounts {
		s.byKey[a.SecretKey] = caller{cell: a.Cell}
		s.byKey[a.PublishableKey] = caller{cell: a.Cell, publishable: true}
		s.accounts[a.Cell] = newAccount(a.Cell)
	}
	j, err := openJournal(config.StateDir, s.replay)
	if err != nil {
		return nil, fmt.Errorf("payment sandbox: %w", err)
	}
	s.journal = j
	if j.torn > 0 {
		s.log.Warn("the journal's last line was torn and is dropped; it was never answered", slog.Int64("bytes", j.torn))
	}
	if err := j.rewrite(j.size, s.state()); err != nil {
		return nil, errors.Join(fmt.Errorf("payment sandbox: %w", err), j.close())
	}
	for _, a := range config.Accounts {
		c := newCourier(a, s)
		s.couriers[a.Cell] = c
		c.enqueue(s.accounts[a.Cell].owed()...)
		c.start()
	}
	s.awaitAll()
	return s, nil
}

func (c *Config) check() error {
	var faults []error
	if c.StateDir == "" {
		faults = append(faults, errors.New("no state directory"))
	}
	if len(c.Accounts) == 0 || len(c.Accounts) > maxAccounts {
		faults = append(faults, fmt.Errorf("%d accounts, need 1 to %d", len(c.Accounts), maxAccounts))
	}
	seen := map[string]bool{}
	for _, a := range c.Accounts {
		if a.Cell == "" || !strings.HasPrefix(a.SecretKey, "sk_") || !strings.HasPrefix(a.PublishableKey, "pk_") || a.WebhookSecret == "" {
			faults = append(faults, fmt.Errorf("account %q needs a cell, sk_… and pk_… keys and a webhook secret", a.Cell))
		}
		if seen[a.Cell] || seen[a.SecretKey] || seen[a.PublishableKey] {
			faults = append(faults, fmt.Errorf("account %q is there twice", a.Cell))
		}
		seen[a.Cell], seen[a.SecretKey], seen[a.PublishableKey] = true, true, true
		if u, err := url.Parse(a.WebhookURL); a.WebhookURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			faults = append(faults, fmt.Errorf("account %q: %q is not an address for webhooks", a.Cell, a.WebhookURL))
		}
	}
	if c.Deliveries < 0 || c.Deliveries > maxCopies {
		faults = append(faults, fmt.Errorf("%d deliveries, need 0 (for the default) to %d", c.Deliveries, maxCopies))
	}
	if c.Deliveries == 0 {
		c.Deliveries = defaultCopies
	}
	if c.RetryBase <= 0 {
		c.RetryBase = defaultRetryBase
	}
	if c.SettleAfter <= 0 {
		c.SettleAfter = defaultSettleAfter
	}
	if c.Now == nil {
		faults = append(faults, errors.New("no clock"))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return errors.Join(faults...)
}

// Close stops the deliveries, syncs and closes the journal. What was not
// delivered is owed after the next Open.
func (s *Sandbox) Close(ctx context.Context) error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.closing)
	stopped := make(chan struct{})
	go func() {
		for _, c := range s.couriers {
			c.stop()
		}
		close(stopped)
	}()
	var late error
	select {
	case <-stopped:
	case <-ctx.Done():
		late = fmt.Errorf("payment sandbox: deliveries did not stop: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(late, s.journal.close())
}

// Handler serves Stripe's API under /v1, the switches under /sandbox, the page
// at / and the health checks.
func (s *Sandbox) Handler() http.Handler { return s.routes() }

// replay puts one journal line back. Accounts that are no longer configured
// keep their state: they may come back.
func (s *Sandbox) replay(c change) error {
	a := s.accounts[c.Account]
	if a == nil {
		if len(s.accounts) >= 2*maxAccounts || c.Account == "" {
			return fmt.Errorf("account %q cannot be kept", c.Account)
		}
		a = newAccount(c.Account)
		s.accounts[c.Account] = a
	}
	a.apply(c)
	return nil
}

// commit writes the change down and makes it so; the caller holds s.mu and
// waits for the returned position before anybody hears of it.
func (s *Sandbox) commit(a *account, c change) (int64, error) {
	c.Account = a.name
	pos, err := s.journal.append(c)
	if err != nil {
		return 0, err
	}
	a.apply(c)
	if from, due := s.journal.due(); due {
		go s.compact(from, s.state())
	}
	return pos, nil
}

// state is what is alive now.
func (s *Sandbox) state() (all []change) {
	for _, a := range s.accounts {
		all = a.state(all)
	}
	return all
}

// compact rewrites the journal as what was alive when it had from bytes. That takes a good
// part of a second, so it is nobody's request; closing the journal waits for it.
func (s *Sandbox) compact(from int64, state []change) {
	if err := s.journal.rewrite(from, state); err != nil {
		s.log.Error("the journal could not be rewritten and goes on growing", slog.Any("error", err))
	}
}

// delivered notes that an event needs no further copies. It is not synced:
// forgetting it costs a duplicate, which is the sandbox's trade anyway.
func (s *Sandbox) delivered(cell, event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return
	}
	if _, err := s.commit(s.accounts[cell], change{Delivered: event}); err != nil {
		s.log.Error("a delivery could not be written down", slog.String("event", event), slog.Any("error", err))
	}
}

// event gives the event as it is delivered, false when it went with age.
func (s *Sandbox) event(cell, id string) (event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[cell].events.get(id)
}
