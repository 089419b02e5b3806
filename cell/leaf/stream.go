package leaf

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"guichet/cell/bus"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

// The streams of a leaf. Both keep by limits only, never by interest or as a
// work queue, and neither is ever deleted and made again: the hub's and the
// consumers' positions are sequence numbers in them.
const (
	streamOut   = trunk.Out   // what this cell tells the town; the hub fetches it
	streamWorld = trunk.World // what the other cells told; the hub writes it

	keepAge       = 7 * 24 * time.Hour // shorter than store.InboxRetention
	outMaxBytes   = 1 << 30
	worldMaxBytes = 2 << 30
	// duplicateWindow covers a relay that died between publish and cursor; the
	// inbox covers everything beyond it.
	duplicateWindow = 10 * time.Minute

	bucketTopology   = trunk.Map
	keySnapshot      = trunk.MapKey
	topologyMaxBytes = 4 * natsd.MaxPayload
)

func (l *Leaf) ensureStreams(ctx context.Context) error {
	cell := string(l.cfg.Cell)
	for _, stream := range []jetstream.StreamConfig{
		{
			Name: streamOut, Description: "what this cell tells", Subjects: bus.Owned(l.cfg.Cell),
			MaxAge: keepAge, MaxBytes: outMaxBytes, Duplicates: duplicateWindow, AllowMsgTTL: true,
		},
		{
			// The hub writes on subjects of this cell only, so that no message meant for
			// one cell can be stored at two; they are kept under the subjects that the
			// cells told them on.
			Name: streamWorld, Description: "what the other cells told", Subjects: []string{trunk.Told(cell) + ">"},
			SubjectTransform: &jetstream.SubjectTransformConfig{Source: trunk.Told(cell) + ">", Destination: ">"},
			MaxAge:           keepAge, MaxBytes: worldMaxBytes, Duplicates: duplicateWindow, AllowMsgTTL: true,
		},
		{
			// A bucket that the hub writes into; nothing in this cell does.
			Name: "KV_" + bucketTopology, Description: "the town's map", Subjects: []string{trunk.Maps(cell) + ">"},
			SubjectTransform:  &jetstream.SubjectTransformConfig{Source: trunk.Maps(cell) + ">", Destination: trunk.MapSubjects() + ">"},
			MaxMsgsPerSubject: 1, MaxBytes: topologyMaxBytes, AllowDirect: true, AllowRollup: true,
		},
	} {
		stream.Retention, stream.Storage, stream.Discard = jetstream.LimitsPolicy, jetstream.FileStorage, jetstream.DiscardOld
		if _, err := l.js.CreateOrUpdateStream(ctx, stream); err != nil {
			return fmt.Errorf("stream %s: %w", stream.Name, err)
		}
	}
	return nil
}
