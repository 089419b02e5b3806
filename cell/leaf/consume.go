package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"guichet/cell/bus"
	"guichet/internal/kind"
)

// Bounds of a consumer.
const (
	// MaxDeliveries of a message before it is parked.
	MaxDeliveries = 10
	// MaxBatch of ConsumeBatch.
	MaxBatch = 256

	ackWait      = 30 * time.Second // then a message whose consumer died comes again
	handleLimit  = 10 * time.Second // for one call of the handler
	maxPending   = 1024             // failed and unfinished messages; beyond it nothing flows
	firstNak     = 100 * time.Millisecond
	maxNak       = 30 * time.Second
	fetchWait    = 5 * time.Second
	consumePause = 500 * time.Millisecond // after the stream could not be asked
)

// Handler makes a message's effect durable before it returns nil, with the inbox
// row in the same transaction (store.Once): a message comes at least once.
type Handler func(ctx context.Context, m bus.Message) error

// BatchHandler takes several messages at a time, in order. When it fails on more
// than one, each is tried alone.
type BatchHandler func(ctx context.Context, batch []bus.Message) error

// Consume gives handle every fact on the subjects, others' and this cell's own,
// under a durable name, until ctx ends. A failing message comes back after a
// growing pause while others flow; after MaxDeliveries it is parked. An outage
// (kind Unavailable or Busy) is not the message's fault and parks nothing.
func (l *Leaf) Consume(ctx context.Context, name string, subjects []string, handle Handler) error {
	return l.ConsumeBatch(ctx, name, subjects, 1, func(ctx context.Context, batch []bus.Message) error {
		return handle(ctx, batch[0])
	})
}

// ConsumeBatch is Consume with up to limit messages at a time, for effects that
// are cheaper together, such as an index.
func (l *Leaf) ConsumeBatch(ctx context.Context, name string, subjects []string, limit int, handle BatchHandler) error {
	if limit < 1 || limit > MaxBatch || len(subjects) == 0 {
		return fmt.Errorf("consumer %s: needs subjects and a batch of 1 to %d", name, MaxBatch)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, stream := range []string{streamOut, streamWorld} {
		c := &consumer{leaf: l, stream: stream, name: name, limit: limit, handle: handle, config: jetstream.ConsumerConfig{
			// The cell is in the name because acknowledgements ($JS.ACK.<stream>.<consumer>…)
			// do not stop at the domain: with one name everywhere a message handled at
			// one cell was acknowledged at all (TestConsume_anAckAtOneCell…).
			Durable: name + "_" + string(l.cfg.Cell), FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy,
			DeliverPolicy: jetstream.DeliverAllPolicy, AckWait: ackWait, MaxAckPending: maxPending, MaxDeliver: -1,
		}}
		g.Go(func() error { c.run(ctx); return nil })
	}
	return g.Wait()
}

type consumer struct {
	leaf   *Leaf
	stream string
	name   string
	limit  int
	config jetstream.ConsumerConfig
	handle BatchHandler
}

func (c *consumer) run(ctx context.Context) {
	quiet := false
	for ctx.Err() == nil {
		worked, err := c.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if worked || !quiet { // once per outage
			c.leaf.cfg.Log.WarnContext(ctx, "consumer starts over", slog.String("consumer", c.name), slog.String("stream", c.stream), slog.Any("error", err))
		}
		quiet = true
		wait(ctx, consumePause, nil)
	}
}

// follow works until the stream cannot be asked, and says whether it could before.
func (c *consumer) follow(ctx context.Context) (worked bool, err error) {
	pull, err := c.leaf.js.CreateOrUpdateConsumer(ctx, c.stream, c.config)
	if err != nil {
		return false, fmt.Errorf("consumer %s on %s: %w", c.name, c.stream, err)
	}
	for ctx.Err() == nil {
		batch, err := c.fetch(ctx, pull)
		c.work(ctx, batch)
		if err != nil {
			return worked, err
		}
		worked = true
	}
	return worked, ctx.Err()
}

// fetch waits for a message and takes with it what else is there already.
func (c *consumer) fetch(ctx context.Context, pull jetstream.Consumer) ([]jetstream.Msg, error) {
	if c.limit > 1 {
		there, err := drain(pull.FetchNoWait(c.limit))
		if err != nil || len(there) > 0 {
			return there, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	return drain(pull.Fetch(1, jetstream.FetchContext(ctx)))
}

func drain(in jetstream.MessageBatch, err error) ([]jetstream.Msg, error) {
	if err != nil {
		return nil, err
	}
	var out []jetstream.Msg
	for m := range in.Messages() {
		out = append(out, m)
	}
	if err := in.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return out, err
	}
	return out, nil
}

// delivery is a message with its handle at the server.
type delivery struct {
	bus.Message
	raw jetstream.Msg
}

func (c *consumer) work(ctx context.Context, raws []jetstream.Msg) {
	var batch []delivery
	for _, raw := range raws {
		m := toMessage(raw)
		if c.stream == streamWorld && m.Cell == c.leaf.cfg.Cell {
			c.settle(ctx, m.ID, raw.Ack()) // nobody tells us of our own but OUT
			continue
		}
		batch = append(batch, delivery{m, raw})
	}
	if len(batch) == 0 {
		return
	}
	err := c.attempt(ctx, batch)
	if err != nil && len(batch) > 1 && ctx.Err() == nil {
		for _, d := range batch { // find the guilty one
			_ = d.raw.InProgress()
			c.finish(ctx, d, c.attempt(ctx, []delivery{d}))
		}
		return
	}
	for _, d := range batch {
		c.finish(ctx, d, err)
	}
}

func (c *consumer) attempt(ctx context.Context, batch []delivery) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handleLimit)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	messages := make([]bus.Message, len(batch))
	for i, d := range batch {
		messages[i] = d.Message
	}
	return c.handle(ctx, messages)
}

func (c *consumer) finish(ctx context.Context, d delivery, err error) {
	m := c.leaf.metrics
	if err == nil {
		m.consumed.WithLabelValues(c.name).Inc()
		c.settle(ctx, d.ID, d.raw.Ack())
		return
	}
	if ctx.Err() != nil {
		c.settle(ctx, d.ID, d.raw.Nak()) // we are leaving; whoever comes next may have it
		return
	}
	m.failed.WithLabelValues(c.name).Inc()
	outage := kind.Of(err) == kind.Unavailable || kind.Of(err) == kind.Busy
	if d.Delivery >= MaxDeliveries && !outage && c.park(ctx, d, err) {
		c.settle(ctx, d.ID, d.raw.TermWithReason("parked"))
		return
	}
	pause := c.leaf.cfg.FirstNak << min(d.Delivery-1, 20)
	c.settle(ctx, d.ID, d.raw.NakWithDelay(min(pause, maxNak)))
}

func (c *consumer) park(ctx context.Context, d delivery, cause error) bool {
	ctx, cancel := context.WithTimeout(ctx, handleLimit)
	defer cancel()
	err := c.leaf.cfg.Parking.Park(ctx, bus.Parked{Consumer: c.name, Message: d.Message, Reason: cause.Error()})
	log := c.leaf.cfg.Log.With(slog.String("consumer", c.name), slog.String("message", d.ID), slog.String("subject", d.Subject))
	if err != nil {
		log.ErrorContext(ctx, "poison message could not be parked", slog.Any("error", err), slog.Any("cause", cause))
		return false
	}
	c.leaf.metrics.parked.WithLabelValues(c.name).Inc()
	log.ErrorContext(ctx, "parked a poison message", slog.Any("cause", cause))
	return true
}

// settle notes an acknowledgement that could not be sent: the message comes again.
func (c *consumer) settle(ctx context.Context, id string, err error) {
	if err != nil && ctx.Err() == nil {
		c.leaf.cfg.Log.WarnContext(ctx, "acknowledge", slog.String("consumer", c.name), slog.String("message", id), slog.Any("error", err))
	}
}

func toMessage(raw jetstream.Msg) bus.Message {
	m := bus.Message{Subject: raw.Subject(), Cell: bus.CellOf(raw.Subject()), Payload: raw.Data(), Delivery: 1}
	meta, err := raw.Metadata()
	if err == nil {
		m.At, m.Delivery = meta.Timestamp, int(min(meta.NumDelivered, 1<<20))
	}
	if m.ID = raw.Headers().Get(jetstream.MsgIDHeader); m.ID == "" && meta != nil {
		m.ID = meta.Stream + "-" + strconv.FormatUint(meta.Sequence.Stream, 10) // beats have none
	}
	return m
}
