package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

// Pauses of whoever carries, after a failure; the cell's coming ends them.
const (
	linePause    = 250 * time.Millisecond
	lineMaxPause = 2 * time.Second
)

// line is the hub's end of the trunk to one cell: what it tells is fetched, what
// others told is carried there, and so is the map, each by somebody of its own.
type line struct {
	hub  *Hub
	cell topology.CellID
	conn *nats.Conn
	js   jetstream.JetStream // the cell's
	ctx  context.Context     //nolint:containedctx // of everything that works on the line; ends with it
	stop context.CancelFunc
	from map[topology.CellID]bool // whose messages are carried to the cell
}

func (h *Hub) openLine(c topology.CellID) (*line, error) {
	// Each cell answers on subjects of its own, and may publish on no others.
	conn, err := h.srv.Connect("line-"+string(c), trunk.Replies(string(c)))
	if err != nil {
		return nil, fmt.Errorf("line to %s: %w", c, err)
	}
	js, err := apiOf(conn, c)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("line to %s: %w", c, err)
	}
	l := &line{hub: h, cell: c, conn: conn, js: js, from: map[topology.CellID]bool{}}
	l.ctx, l.stop = context.WithCancel(h.work)
	g := &gate{line: l, messages: newTokens(h.limits.Messages, h.limits.MessagesBurst), bytes: newTokens(h.limits.Bytes, h.limits.BytesBurst)}
	l.keep("gate", g.session)
	l.keep("map", l.giveMap)
	return l, nil
}

// close ends the work on the line and does not wait for it.
func (l *line) close() {
	l.stop()
	go func() { // whoever works finishes with a connection that answers
		select {
		case <-time.After(callLimit):
		case <-l.hub.work.Done():
		}
		l.conn.Close()
	}()
}

// carryFrom begins to carry what these cells told to the line's cell.
func (l *line) carryFrom(cells []topology.CellID) {
	for _, c := range cells {
		if c != l.cell && !l.from[c] {
			l.from[c] = true
			l.keep("ferry-"+string(c), (&ferry{line: l, from: c}).session)
		}
	}
}

// keep runs a piece of work over and over until the line is closed.
func (l *line) keep(what string, session func(ctx context.Context) error) {
	log := l.hub.log.With(slog.String("cell", string(l.cell)), slog.String("work", what))
	l.hub.busy.Go(func() {
		pause, quiet := linePause, false
		for l.ctx.Err() == nil {
			came, began := l.hub.door.arrival(l.cell), time.Now() //nolint:forbidigo // monotonic, for a pause
			err := session(l.ctx)
			if l.ctx.Err() != nil {
				return
			}
			l.hub.metrics.failures.WithLabelValues(string(l.cell)).Inc()
			if time.Since(began) > lineMaxPause {
				pause, quiet = linePause, false
			}
			if away := errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse); !quiet && !away { // once per outage
				log.Warn("carry between the cells", slog.Any("error", err))
				quiet = true
			}
			sleep(l.ctx, pause, came)
			pause = min(2*pause, lineMaxPause)
		}
	})
}

// giveMap gives the cell the map, whenever there is a newer one and when it comes.
func (l *line) giveMap(ctx context.Context) error {
	came := l.hub.door.arrival(l.cell)
	for {
		now, moved := l.hub.charted()
		if now.raw != nil {
			bounded, cancel := context.WithTimeout(ctx, callLimit)
			_, err := l.js.Publish(bounded, trunk.Maps(string(l.cell))+trunk.MapKey, now.raw, jetstream.WithRetryAttempts(0))
			cancel()
			if err != nil {
				return fmt.Errorf("give the map: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		case <-came:
			came = l.hub.door.arrival(l.cell)
		}
	}
}

// place is where a reader is in a stream; epoch tells a stream from one of the
// same name that was made anew.
type place struct {
	epoch int64
	seq   uint64
}

func (p place) String() string {
	return strconv.FormatInt(p.epoch, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

// placeOf reads what String wrote; anything else is the beginning of no stream.
func placeOf(s string) place {
	epoch, seq, _ := strings.Cut(s, "-")
	e, err := strconv.ParseInt(epoch, 10, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if err != nil || err2 != nil {
		return place{}
	}
	return place{epoch: e, seq: n}
}

// resumeAt is how far a reader of the stream epoch came: as the other side says,
// but no further than this process knows, because a message may be missing before
// one that arrived when a link broke between the two.
func resumeAt(epoch int64, said, known place) uint64 {
	if said.epoch != epoch {
		return 0
	}
	if known.epoch == epoch {
		return min(said.seq, known.seq)
	}
	return said.seq
}

// epochOf is the epoch and the handle of a stream.
func epochOf(ctx context.Context, js jetstream.JetStream, name string) (jetstream.Stream, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, 0, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream, stream.CachedInfo().Created.UnixNano(), nil
}

// openTail is natsd.OpenTail with a deadline.
func openTail(ctx context.Context, conn *nats.Conn, api, stream string, from uint64) (*natsd.Tail, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return natsd.OpenTail(ctx, conn, api, stream, from, batchSize)
}

// lastPlace is the place that header tells on the last message on a subject.
func lastPlace(ctx context.Context, s jetstream.Stream, subject, header string) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	m, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return place{}, nil
	}
	if err != nil {
		return place{}, fmt.Errorf("last message on %s: %w", subject, err)
	}
	return placeOf(m.Header.Get(header)), nil
}

// store publishes in order and waits until all are stored; it answers how many of
// the first are.
func store(ctx context.Context, js jetstream.JetStream, stream string, batch []*nats.Msg) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	acks := make([]jetstream.PubAckFuture, 0, len(batch))
	var failed error
	for _, m := range batch {
		ack, err := js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(stream))
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
