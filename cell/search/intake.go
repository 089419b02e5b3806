package search

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"guichet/cell/bus"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Consumer is the name under which the intake records messages.
const Consumer = "search"

// maxBeatEvents bounds one beat; a publisher with more sends several.
const maxBeatEvents = 20000

// ErrBeat is returned for an availability beat that makes no sense.
var ErrBeat = kind.Invalid.New("invalid_beat")

// maxRun bounds the name of a publisher, in bytes.
const maxRun = 40

// Beat is what a cell says about the stock of events at home there. Every beat, an
// empty one too, says that what was said before still holds at AsOf, to whoever
// heard all that was said before.
type Beat struct {
	Cell    topology.CellID                `json:"cell"`
	AsOf    time.Time                      `json:"as_of"`
	Changed map[string]client.Availability `json:"changed"` // and those whose turn it is in a round
	Run     string                         `json:"run"`     // the publisher, from its start to its end; "" from one that does not number its beats
	Seq     int64                          `json:"seq"`     // counts the beats of a run, from 1
	Whole   int64                          `json:"whole"`   // the beats from this one on, up to this very one, told of every event; 0: none did yet
}

// Intake takes the bus's messages in. Both handlers may see a message again and
// out of order. An error of kind Invalid will not go away by trying again.
type Intake struct {
	Catalog Catalog
	Hints   Hints
	Now     func() time.Time
	Wake    func() // tells the Indexer; may be nil
}

// HandleCatalog stores the document of a glb.catalog.<cell>.<event_id> message.
func (in *Intake) HandleCatalog(ctx context.Context, subject, messageID string, payload []byte) error {
	d, err := ParseDocument(payload)
	if err != nil {
		return fmt.Errorf("document on %.100q: %w", subject, err)
	}
	if cell := bus.CellOf(subject); cell == "" || subject != bus.Catalog(cell, d.ID()) {
		return ErrDocument.With("%s was sent on %.100q", d.ID(), subject)
	}
	if err := in.Catalog.PutDocuments(ctx, Consumer, messageID, []Document{d}); err != nil {
		return fmt.Errorf("store document of %s: %w", d.ID(), err)
	}
	if in.Wake != nil {
		in.Wake()
	}
	return nil
}

// HandleBeat records a glb.avail.<cell> message. Beats need no inbox: one that
// was seen before, or is older than what is known, changes nothing.
func (in *Intake) HandleBeat(ctx context.Context, subject, _ string, payload []byte) error {
	b, err := ParseBeat(payload)
	if err != nil {
		return fmt.Errorf("beat on %.100q: %w", subject, err)
	}
	if subject != bus.Availability(b.Cell) {
		return ErrBeat.With("a beat of %s was sent on %.100q", b.Cell, subject)
	}
	if err := in.Hints.PutBeat(ctx, b, in.Now()); err != nil {
		return fmt.Errorf("store beat of %s: %w", b.Cell, err)
	}
	return nil
}

// ParseBeat reads and validates a beat.
func ParseBeat(payload []byte) (Beat, error) {
	var b Beat
	if err := json.Unmarshal(payload, &b); err != nil {
		return b, ErrBeat.With("it is not the JSON of a beat: %v", err)
	}
	if _, err := topology.ParseCell(string(b.Cell)); err != nil {
		return b, ErrBeat.With("%.20q is not a cell", string(b.Cell))
	}
	if b.AsOf.IsZero() || !writable(b.AsOf) {
		return b, ErrBeat.With("as_of is missing or out of range")
	}
	if len(b.Run) > maxRun || (b.Run == "") != (b.Seq == 0) || b.Seq < 0 || b.Whole < 0 || b.Whole > b.Seq {
		return b, ErrBeat.With("number %d of run %.50q, whole from %d, makes no sense", b.Seq, b.Run, b.Whole)
	}
	if strings.ContainsFunc(b.Run, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return b, ErrBeat.With("%.50q does not name a run", b.Run)
	}
	if len(b.Changed) > maxBeatEvents {
		return b, ErrBeat.With("a beat names at most %d events, this names %d", maxBeatEvents, len(b.Changed))
	}
	for event, class := range b.Changed {
		if _, err := id.ParseEvent(event); err != nil {
			return b, ErrBeat.With("%.60q is not an event's id", event)
		}
		switch class {
		case client.Available, client.Few, client.None, client.Unknown:
		default:
			return b, ErrBeat.With("%.20q is not an availability", string(class))
		}
	}
	return b, nil
}
