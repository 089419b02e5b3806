package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/cell/bus"
)

// Bounds of the relay.
const (
	relayPeriod  = 100 * time.Millisecond // when nobody wakes it
	relayBatch   = 256                    // rows of one bucket at a time
	maxInFlight  = 2 * relayBatch
	ackLimit     = 5 * time.Second
	relayPause   = 100 * time.Millisecond // after a failure, doubling
	relayMaxWait = 5 * time.Second
)

// Relay carries outbox rows to the leaf, in the order of each bucket, at least
// once. Several processes of a cell may run one each: a row's message id makes
// the second copy vanish, and a cursor only moves from where it was read.
type Relay struct {
	outbox  bus.Outbox
	publish func(ctx context.Context, batch []bus.Record) (int, error)
	wake    chan struct{}
	log     *slog.Logger
	metrics *metrics
}

// NewRelay makes a relay from outbox to this leaf. Call Run once.
func (l *Leaf) NewRelay(outbox bus.Outbox) *Relay {
	return &Relay{outbox: outbox, publish: l.publish, wake: make(chan struct{}, 1), log: l.cfg.Log, metrics: l.metrics}
}

// Wake says that rows were committed. It never blocks.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		more, err := r.Pass(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if pause == 0 { // say it once per outage
				r.log.WarnContext(ctx, "relay", slog.Any("error", err))
			}
			r.metrics.relayFailures.Inc()
			pause = min(max(2*pause, relayPause), relayMaxWait)
			wait(ctx, pause, nil)
		case more:
			pause = 0
		default:
			pause = 0
			wait(ctx, relayPeriod, r.wake)
		}
	}
}

func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-wake:
	}
}

// Pass relays at most one batch of every bucket that moved and reports whether
// there is more. One bucket's failure does not keep the others waiting.
func (r *Relay) Pass(ctx context.Context) (more bool, err error) {
	spans, err := r.outbox.Moved(ctx)
	if err != nil {
		return false, fmt.Errorf("look for outbox rows: %w", err)
	}
	var errs []error
	for _, span := range spans {
		full, err := r.relayBucket(ctx, span)
		if err != nil {
			errs = append(errs, fmt.Errorf("bucket %d: %w", span.Bucket, err))
		}
		more = more || full
	}
	return more, errors.Join(errs...)
}

func (r *Relay) relayBucket(ctx context.Context, span bus.Span) (full bool, err error) {
	batch, err := r.outbox.Read(ctx, span.Bucket, span.After, relayBatch)
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if len(batch) == 0 {
		// Counter and rows are written in one transaction, so the rows were there
		// and somebody took them away. Going on loses nothing that still exists.
		r.log.ErrorContext(ctx, "outbox rows are missing", slog.Int("bucket", span.Bucket),
			slog.Int64("after", span.After), slog.Int64("last", span.Last))
		return false, r.outbox.Advance(ctx, span.Bucket, span.After, span.Last)
	}
	sent, err := r.publish(ctx, batch)
	if sent > 0 {
		r.metrics.relayed.Add(float64(sent))
		if err := r.outbox.Advance(ctx, span.Bucket, span.After, batch[sent-1].Seq); err != nil {
			return false, fmt.Errorf("advance: %w", err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("publish: %w", err)
	}
	return len(batch) == relayBatch, nil
}

// publish sends a batch and answers how many of its first messages are stored.
func (l *Leaf) publish(ctx context.Context, batch []bus.Record) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, 0, len(batch))
	var failed error
	for _, r := range batch {
		msg := &nats.Msg{Subject: r.Subject, Data: r.Payload, Header: nats.Header{jetstream.MsgIDHeader: {r.MessageID}}}
		// Its own retries would send a message behind its successors.
		ack, err := l.js.PublishMsgAsync(msg, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(streamOut))
		if err != nil {
			failed = err
			break
		}
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return i, err
		case <-ctx.Done():
			return i, ctx.Err()
		}
	}
	return len(acks), failed
}

// Beat tells the town about this cell's availability: not a fact, so it passes
// no outbox, is gone after its time and may be lost.
func (l *Leaf) Beat(ctx context.Context, payload []byte) error {
	_, err := l.js.Publish(ctx, bus.Availability(l.cfg.Cell), payload, jetstream.WithMsgTTL(beatTTL), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("availability beat: %w", err)
	}
	return nil
}

const beatTTL = 2 * time.Minute
