package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

// What cells tell each other through the hub, and nothing else: the catalogue and
// availability.
const (
	catalog      = "glb.catalog." // <cell>.<event>
	availability = "glb.avail."   // <cell>

	headerOut = "Guichet-Out" // of a message here: which one of the cell's OUT it is
	beatTTL   = "2m"          // availability is gone after its time

	homeWait = 2 * time.Second // for a map that says that an event moved
)

// Why a message of a cell is not let through; also a metric's label.
var (
	ErrForeignSubject = kind.Forbidden.New("foreign_subject")
	ErrForeignEvent   = kind.Forbidden.New("event_of_another_cell")
	ErrForeignID      = kind.Forbidden.New("message_id_of_another_cell")
	ErrPrivate        = kind.Forbidden.New("private")
	ErrTooLarge       = kind.TooLarge.New("message_too_large")
	ErrUnreadable     = kind.Invalid.New("unreadable")
)

// private is an id of something that belongs to a buyer.
var private = regexp.MustCompile(`(?:hld|ord|tkt|pay|ref)_[a-z]{2,4}[0-9][a-z]?_[0-9a-z]{12}_[0-9a-z]{16}`)

// gate fetches what a cell tells, lets through what the cell may tell, and keeps it.
type gate struct {
	*line

	messages, bytes *tokens
	known           place
	waited          <-chan struct{} // the map that was too old for an event, and for whose successor we waited
}

func (g *gate) session(ctx context.Context) error {
	_, epoch, err := epochOf(ctx, g.js, trunk.Out)
	if err != nil {
		return err
	}
	name := toldPrefix + string(g.cell)
	stream, _, err := epochOf(ctx, g.hub.js, name)
	if err != nil {
		return err
	}
	said, err := lastPlace(ctx, stream, toldSubjects+string(g.cell)+".>", headerOut)
	if err != nil {
		return err
	}
	at := resumeAt(epoch, said, g.known)
	g.known = place{epoch, at}
	tail, err := openTail(ctx, g.conn, trunk.API(string(g.cell)), trunk.Out, at+1)
	if err != nil {
		return err
	}
	defer tail.Close()
	for {
		entries, err := tail.Next(ctx)
		if err != nil {
			return err
		}
		if err := g.pass(ctx, name, entries); err != nil {
			return err
		}
	}
}

// pass stores what may pass and counts what may not.
func (g *gate) pass(ctx context.Context, stream string, entries []natsd.Entry) error {
	var batch []*nats.Msg
	var at []uint64
	size := 0
	for _, e := range entries {
		size += len(e.Data)
		if err := g.check(ctx, e); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			g.refuse(e, err)
			continue
		}
		batch, at = append(batch, g.told(e)), append(at, e.Seq)
	}
	n, err := store(ctx, g.hub.js, stream, batch)
	g.hub.metrics.told.WithLabelValues(string(g.cell)).Add(float64(n))
	if err != nil {
		if n > 0 {
			g.known.seq = at[n-1]
		}
		return fmt.Errorf("keep what the cell told: %w", err)
	}
	g.known.seq = entries[len(entries)-1].Seq
	g.slow(ctx, len(entries), size)
	return nil
}

// slow waits until the cell may tell more.
func (g *gate) slow(ctx context.Context, messages, size int) {
	now := time.Now() //nolint:forbidigo // monotonic, for a pause
	pause := max(g.messages.take(float64(messages), now), g.bytes.take(float64(size), now))
	if pause > 0 {
		g.hub.metrics.throttled.WithLabelValues(string(g.cell)).Add(pause.Seconds())
		sleep(ctx, pause, nil)
	}
}

// told is the message as it is kept: of what the cell wrote only the payload and
// the id, so that none of its headers means anything to us or to the others.
func (g *gate) told(e natsd.Entry) *nats.Msg {
	m := &nats.Msg{
		Subject: toldSubjects + string(g.cell) + "." + e.Subject, Data: e.Data,
		Header: nats.Header{headerOut: {place{g.known.epoch, e.Seq}.String()}},
	}
	if msgID := e.Header.Get(jetstream.MsgIDHeader); msgID != "" {
		m.Header.Set(jetstream.MsgIDHeader, msgID)
	}
	if strings.HasPrefix(e.Subject, availability) {
		m.Header.Set(jetstream.MsgTTLHeader, beatTTL)
	}
	return m
}

// check says why the cell may not tell this.
func (g *gate) check(ctx context.Context, e natsd.Entry) error {
	if len(e.Data) > MaxTold {
		return ErrTooLarge.With("%d bytes", len(e.Data))
	}
	if msgID := e.Header.Get(jetstream.MsgIDHeader); msgID != "" && (!strings.HasPrefix(msgID, string(g.cell)+"-") || len(msgID) > 100) {
		return ErrForeignID.With("%.60q", msgID)
	}
	if found := private.Find(e.Data); found != nil {
		return ErrPrivate.With("an id of kind %.3s", found)
	}
	if e.Subject == availability+string(g.cell) {
		return g.checkBeat(ctx, e.Data)
	}
	event, ok := strings.CutPrefix(e.Subject, catalog+string(g.cell)+".")
	if !ok {
		return ErrForeignSubject
	}
	return g.checkHome(ctx, event)
}

// checkBeat looks at the events only; whoever reads the beat looks at the rest.
func (g *gate) checkBeat(ctx context.Context, payload []byte) error {
	var beat struct {
		Changed map[string]json.RawMessage `json:"changed"`
	}
	if err := json.Unmarshal(payload, &beat); err != nil {
		return ErrUnreadable.With("a beat: %v", err)
	}
	for event := range beat.Changed {
		if err := g.checkHome(ctx, event); err != nil {
			return err
		}
	}
	return nil
}

// checkHome: a cell speaks of the events that are at home there. The map may be a
// moment behind a move.
func (g *gate) checkHome(ctx context.Context, event string) error {
	ref, ok := topology.ParseRef(event)
	if !ok || ref.Kind != "evt" || ref.Own != "" {
		return ErrForeignSubject.With("%.60q is not an event", event)
	}
	deadline, cancel := context.WithTimeout(ctx, homeWait)
	defer cancel()
	for {
		now, moved := g.hub.charted()
		home, placed := now.homes[event]
		if !placed {
			home = ref.Key.Birth
		}
		if home == g.cell {
			return nil
		}
		if moved == g.waited { // once for each map
			return ErrForeignEvent.With("%s is at home at %s", event, home)
		}
		select {
		case <-deadline.Done():
			g.waited = moved
			return ErrForeignEvent.With("%s is at home at %s", event, home)
		case <-moved:
		}
	}
}

func (g *gate) refuse(e natsd.Entry, err error) {
	reason := kind.As(err).Code
	g.hub.metrics.toldRefused.WithLabelValues(string(g.cell), reason).Inc()
	if !g.hub.door.hush(string(g.cell), reason) {
		g.hub.log.Warn("a message of a cell is refused", slog.String("cell", string(g.cell)),
			slog.String("subject", fmt.Sprintf("%.100q", e.Subject)), slog.Any("error", err))
	}
}
