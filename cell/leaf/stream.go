package leaf

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"guichet/cell/bus"
	"guichet/internal/natsd"
)

// The streams of a leaf. Both keep by limits only, never by interest or as a
// work queue, and neither is ever deleted and made again: the hub's and the
// consumers' positions are sequence numbers in them.
const (
	streamOut   = "OUT"   // what this cell tells
	streamWorld = "WORLD" // what all cells told, gathered from the hub's WORLD
	hubDomain   = "hub"

	keepAge       = 7 * 24 * time.Hour // shorter than store.InboxRetention
	outMaxBytes   = 1 << 30
	worldMaxBytes = 2 << 30
	// duplicateWindow covers a relay that died between publish and cursor; the
	// inbox covers everything beyond it.
	duplicateWindow = 10 * time.Minute

	bucketTopology   = "topology"
	keySnapshot      = "snapshot"
	topologyMaxBytes = 4 * natsd.MaxPayload
)

func (l *Leaf) ensureStreams(ctx context.Context) error {
	out := jetstream.StreamConfig{
		Name: streamOut, Subjects: bus.Owned(l.cfg.Cell), Description: "what this cell tells",
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
		MaxAge: keepAge, MaxBytes: outMaxBytes, Duplicates: duplicateWindow, AllowMsgTTL: true,
	}
	if _, err := l.js.CreateOrUpdateStream(ctx, out); err != nil {
		return fmt.Errorf("stream %s: %w", streamOut, err)
	}
	if l.world == nil {
		l.world = natsd.NewSources(l.conn, l.js, jetstream.StreamConfig{
			Name: streamWorld, Description: "what all cells told",
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
			MaxAge: keepAge, MaxBytes: worldMaxBytes, Duplicates: duplicateWindow, AllowMsgTTL: true,
		}, l.cfg.Log)
	}
	if err := l.world.Set(ctx, streamWorld, []string{hubDomain}); err != nil {
		return err
	}
	if l.topology == nil {
		// A bucket that gathers instead of mirroring: a mirror took up to 40 s to come
		// back after the hub did, and cannot be helped, a source can be re-added. It
		// has no subjects: those of the hub's bucket would be stored here a second time.
		l.topology = natsd.NewSources(l.conn, l.js, jetstream.StreamConfig{
			Name: "KV_" + bucketTopology, Description: "the town's map, from the hub",
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld,
			MaxMsgsPerSubject: 1, MaxBytes: topologyMaxBytes, AllowDirect: true, AllowRollup: true,
		}, l.cfg.Log)
	}
	return l.topology.Set(ctx, "KV_"+bucketTopology, []string{hubDomain})
}
