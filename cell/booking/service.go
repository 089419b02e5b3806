package booking

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/txn"
)

// Service is the box office of one cell.
type Service struct {
	Store  Store
	Cell   topology.CellID
	Region string
	Desks  *Desks
	Now    func() time.Time // for descriptions only; stock goes by the database's clock

	secrets sync.Map // id.Event → *keyDigests
	known   atomic.Int64
}

// OpenAccount makes an organizer at this cell.
func (s *Service) OpenAccount(ctx context.Context, tx txn.Tx, org id.Organizer, name string) (Organizer, error) {
	if err := textOf(ErrInvalidOrganizer, "/name", name, 1, MaxName, false); err != nil {
		return Organizer{}, err
	}
	o := Organizer{ID: org, Name: name, HomeRegion: s.Region}
	if err := s.Store.InsertOrganizer(ctx, tx, o); err != nil {
		return Organizer{}, fmt.Errorf("open account %s: %w", org, err)
	}
	return o, nil
}

// DraftEvent makes an event at this cell, published at once when publish is set.
func (s *Service) DraftEvent(ctx context.Context, tx txn.Tx, org id.Organizer, d Draft, publish bool) (Event, error) {
	e, err := d.Event(s.Cell, org, s.Now())
	if err != nil {
		return Event{}, err
	}
	if publish {
		if err := e.Publish(s.Now()); err != nil {
			return Event{}, err
		}
	}
	if err := s.Store.InsertEvent(ctx, tx, e); err != nil {
		return Event{}, fmt.Errorf("store event: %w", err)
	}
	return e, nil
}

// ErrUnchanged is a change's that finds the event as it should be: nothing is written.
var ErrUnchanged = errors.New("the event is so already")

// Change lets an organizer change his event's description. version is what he
// last saw; 0 means whatever it is now. With ErrUnchanged comes the event as it is.
func (s *Service) Change(ctx context.Context, tx txn.Tx, event id.Event, org id.Organizer, version int64, change func(e *Event, now time.Time) error) (Event, error) {
	e, err := s.Store.ChangeEvent(ctx, tx, event, func(e *Event, now time.Time) error {
		if e.Organizer != org {
			return ErrEventNotFound
		}
		if err := e.Fence(); err != nil {
			return err
		}
		if version != 0 && version != e.Version {
			return ErrStale.With("the event is at version %d", e.Version).Field("version", e.Version)
		}
		before := *e
		if err := change(e, now); err != nil {
			return err
		}
		if err := e.validate(now, &before); err != nil {
			return err
		}
		return e.noteReschedule(&before, now)
	})
	if err != nil && !errors.Is(err, ErrUnchanged) {
		return Event{}, fmt.Errorf("change event %s: %w", event, err)
	}
	return e, err
}

// Answer renders a hold as it is to be said, and to be kept under a key.
type Answer func(Hold) (status int, body []byte, err error)

// note is an Answer that only remembers the hold.
func note(h *Hold) Answer {
	return func(made Hold) (int, []byte, error) {
		*h = made
		return 0, nil, nil
	}
}

// Hold keeps tickets aside; want.Hold is a new id of the event.
func (s *Service) Hold(ctx context.Context, want Request) (Hold, error) {
	var h Hold
	if _, err := s.HoldOnce(ctx, want.Hold.Event(), want, nil, note(&h)); err != nil {
		return Hold{}, err // and not h: the desk may still write to it when the caller has left
	}
	return h, nil
}

// HoldOnce is Hold under an idempotency key; nil for none. The key gives the event's hold
// its id (without one, want.Hold is it), so that a repeated request finds the hold it made, and gets the first
// answer again (P5). The answer is rendered when the desk is done with it.
func (s *Service) HoldOnce(ctx context.Context, event id.Event, want Request, key *Key, answer Answer) (*Op, error) {
	if len(want.Lines) < 1 || len(want.Lines) > MaxLines {
		return nil, ErrQuantity.At("/items", "must be 1 to %d items", MaxLines)
	}
	var named []id.Hold
	if key != nil {
		digests, err := s.digestsOf(ctx, event)
		if err != nil {
			return nil, fmt.Errorf("place hold: %w", err)
		}
		want.Hold, want.Asked = key.hold(event, digests), key.asked()
		named = []id.Hold{want.Hold}
	}
	for round := 1; ; round++ {
		g := &granting{want: want}
		g.op = Op{Holds: named, New: key != nil, Asked: want.asked(), Lines: want.Lines, Decide: g.decide}
		err := s.Desks.Do(ctx, event, &g.op)
		if err == nil {
			g.op.Status, g.op.Body, err = answer(g.granted)
			return &g.op, err
		}
		if !dueMayHaveIt(err) || !g.dueLeft || round == sweepRounds {
			return nil, fmt.Errorf("place hold: %w", err)
		}
		// Others' holds that are due were not all seen: a "sold out" would not be true (P9).
		if err := s.sweepEvent(ctx, event); err != nil {
			return nil, fmt.Errorf("place hold: %w", err)
		}
	}
}

// granting is a request for a hold at its desk.
type granting struct {
	op      Op
	want    Request
	granted Hold
	dueLeft bool
}

func (g *granting) decide(stock *Stock) (err error) {
	if stock.State == Drafted { // strangers do not learn that there is one
		return ErrEventNotFound
	}
	g.dueLeft = stock.DueLeft
	g.granted, g.op.Replayed, err = stock.GrantOnce(g.want)
	return err
}

// maxSecrets bounds the events whose secrets a process remembers.
const maxSecrets = 10_000

// digestsOf have the event's secret in them, which never changes and goes with it to
// another home.
func (s *Service) digestsOf(ctx context.Context, event id.Event) (*keyDigests, error) {
	if known, there := s.secrets.Load(event); there {
		digests, _ := known.(*keyDigests)
		return digests, nil
	}
	secret, err := s.Store.HoldSecret(ctx, event)
	if err != nil {
		return nil, err
	}
	if s.known.Add(1) > maxSecrets {
		s.secrets.Clear()
		s.known.Store(0)
	}
	digests := digestsWith(secret)
	s.secrets.Store(event, digests)
	return digests, nil
}

// dueMayHaveIt says whether holds that are due could hold what the refusal says is gone.
func dueMayHaveIt(err error) bool {
	return errors.Is(err, ErrSoldOut) || errors.Is(err, ErrSeatTaken) || errors.Is(err, ErrCodeUsedUp) || errors.Is(err, ErrBuyerLimit)
}

// sweepRounds bounds how often one request for tickets sweeps before it is told "sold out".
const sweepRounds = 20

func (s *Service) sweepEvent(ctx context.Context, event id.Event) error {
	return s.Desks.Do(ctx, event, &Op{Decide: func(stock *Stock) error {
		stock.Sweep()
		return nil
	}})
}

// Look reads a hold. One that is past its expiry is shown as expired, whether
// or not the sweeper has come by.
func (s *Service) Look(ctx context.Context, hold id.Hold) (Hold, error) {
	h, err := s.Store.Hold(ctx, hold)
	if err != nil {
		return Hold{}, fmt.Errorf("read hold: %w", err)
	}
	return h, nil
}

// Extend moves a hold's expiry.
func (s *Service) Extend(ctx context.Context, hold id.Hold) (Hold, error) {
	return s.noted(ctx, hold, (*Stock).Extend)
}

// ExtendOnce is Extend whose answer is stored under key; nil for one that nobody repeats.
func (s *Service) ExtendOnce(ctx context.Context, hold id.Hold, key *Key, answer Answer) (*Op, error) {
	return s.onHold(ctx, hold, key.orOwn("extend"), (*Stock).Extend, answer)
}

// Release gives a hold's stock back.
func (s *Service) Release(ctx context.Context, hold id.Hold) (Hold, error) {
	return s.noted(ctx, hold, (*Stock).Release)
}

func (s *Service) noted(ctx context.Context, hold id.Hold, act func(*Stock, *Hold) error) (Hold, error) {
	var h Hold
	if _, err := s.onHold(ctx, hold, nil, act, note(&h)); err != nil {
		return Hold{}, err // and not h: the desk may still write to it when the caller has left
	}
	return h, nil
}

func (s *Service) onHold(ctx context.Context, hold id.Hold, key *Key, act func(*Stock, *Hold) error, answer Answer) (*Op, error) {
	var after Hold
	op := &Op{Key: key, Holds: []id.Hold{hold}}
	op.Decide = func(stock *Stock) error {
		h := stock.Holds[hold]
		if h == nil {
			return ErrHoldNotFound
		}
		if err := act(stock, h); err != nil {
			return err
		}
		after = *h
		return nil
	}
	op.Render = func() (int, []byte, error) { return answer(after) }
	if err := s.Desks.Do(ctx, hold.Event(), op); err != nil {
		return nil, fmt.Errorf("change hold %s: %w", hold, err)
	}
	return op, nil
}

// sweepEvents bounds one pass of the sweeper.
const sweepEvents = 100

// Sweep expires holds that are due, event by event, and says how many events it
// went through. What fails is left for the next pass.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	events, err := s.Store.EventsWithDueHolds(ctx, sweepEvents)
	if err != nil {
		return 0, fmt.Errorf("list due holds: %w", err)
	}
	var errs []error
	for _, event := range events {
		errs = append(errs, s.sweepEvent(ctx, event))
	}
	return len(events), errors.Join(errs...)
}
