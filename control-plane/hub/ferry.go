package hub

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"guichet/control-plane/topology"
	"guichet/internal/natsd"
	"guichet/internal/trunk"
)

// ferry carries what one cell told to another, in order, at least once.
type ferry struct {
	*line

	from  topology.CellID
	known place // how far this process knows that it came
}

func (f *ferry) session(ctx context.Context) error {
	_, epoch, err := epochOf(ctx, f.hub.js, toldPrefix+string(f.from))
	if err != nil {
		return err
	}
	said, err := f.arrived(ctx, epoch)
	if err != nil {
		return fmt.Errorf("ask %s how far it came: %w", f.cell, err)
	}
	at := resumeAt(epoch, said, f.known)
	f.known = place{epoch, at}
	tail, err := openTail(ctx, f.hub.conn, natsd.LocalAPI, toldPrefix+string(f.from), at+1)
	if err != nil {
		return err
	}
	defer tail.Close()
	for {
		entries, err := tail.Next(ctx)
		if err != nil {
			return err
		}
		batch := make([]*nats.Msg, len(entries))
		for i, e := range entries {
			subject := e.Subject[len(toldSubjects)+len(f.from)+1:]
			m := &nats.Msg{Subject: trunk.Told(string(f.cell)) + subject, Data: e.Data, Header: nats.Header{trunk.HeaderTold: {place{epoch, e.Seq}.String()}}}
			for _, keep := range []string{jetstream.MsgIDHeader, jetstream.MsgTTLHeader} {
				if v := e.Header.Get(keep); v != "" {
					m.Header.Set(keep, v)
				}
			}
			batch[i] = m
		}
		n, err := store(ctx, f.js, trunk.World, batch)
		if n > 0 {
			f.known.seq = entries[n-1].Seq
		}
		if err != nil {
			return fmt.Errorf("carry from %s: %w", f.from, err)
		}
	}
}

// arrived is the newest message of the other cell that this cell has, by its own word.
func (f *ferry) arrived(ctx context.Context, epoch int64) (newest place, err error) {
	world, _, err := epochOf(ctx, f.js, trunk.World)
	if err != nil {
		return place{}, err
	}
	for _, subject := range []string{catalog + string(f.from) + ".*", availability + string(f.from)} {
		p, err := lastPlace(ctx, world, subject, trunk.HeaderTold)
		if err != nil {
			return place{}, err
		}
		if p.epoch == epoch && p.seq >= newest.seq {
			newest = p
		}
	}
	return newest, nil
}
