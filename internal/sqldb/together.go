package sqldb

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5"
)

// Part is one of the functions that share a transaction.
type Part struct {
	// Ctx is Do's.
	Ctx context.Context //nolint:containedctx // a part is somebody's request
	// Subject is what it is about: of the same one, a part begins when those before
	// it have ended. "" is about nothing that another could be about.
	Subject string
	// Do runs in the transaction. It must wait for nothing else.
	Do func(ctx context.Context, tx *Tx) error
	// With is what the transaction's With answers to it; nil for nothing.
	With any

	// Err is what Do answered. Undo says that it had changed something by then.
	Err  error
	Undo bool

	own   *partTx
	begun bool
}

// Shared is a transaction of several parts.
type Shared struct {
	// Read queues what travels with BEGIN.
	Read func(b *pgx.Batch)
	// Further queue reads that depend on those before; see InPipe.
	Further []func(b *pgx.Batch)
	// Ready is called when the reads are answered, before the parts begin.
	Ready func() error
	Parts []*Part
	// Last queues what travels with COMMIT, when every part has ended.
	Last func(b *pgx.Batch) error
}

// ErrUndone says that nothing was stored, since a part refused after it had
// changed something: those with Undo. The others may be run again without them.
var ErrUndone = errors.New("a part of the transaction must be undone")

// Together runs the parts in one transaction, in step: what they ask of the database
// at the same time travels in one message, so that many share a round trip as they
// share the commit. One part runs at a time, up to where it waits for an answer; so
// what they keep in memory needs no lock, and what two parts decide on must be
// decided without a question in between. All may run again, as with InTx. What
// After is told in a part is done if that part did not refuse.
//
// A part that refuses and has changed nothing yet leaves the others alone. A statement
// that fails ends the transaction for all.
func (db *DB) Together(ctx context.Context, s *Shared) error {
	return db.onSession(ctx, db.pipes, s.run)
}

// run is one attempt.
func (s *Shared) run(ctx context.Context, conn *pgx.Conn) error {
	t := &together{ctx: ctx, conn: conn, turn: make(chan struct{})}
	b := &pgx.Batch{}
	b.Queue(beginReadCommitted)
	s.Read(b)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return abandon(ctx, conn, err)
	}
	if err := readMore(ctx, conn, s.Further); err != nil {
		return abandon(ctx, conn, err)
	}
	if err := s.Ready(); err != nil {
		return abandon(ctx, conn, err)
	}
	if err := t.play(s.Parts); err != nil {
		return abandon(ctx, conn, err)
	}
	for _, p := range s.Parts {
		if p.Undo {
			return abandon(ctx, conn, ErrUndone)
		}
	}
	last := merge(t.next)
	if err := s.Last(last); err != nil {
		return abandon(ctx, conn, err)
	}
	if err := sendCommit(ctx, conn, last); err != nil {
		return err
	}
	for _, p := range s.Parts {
		if p.Err == nil {
			for _, do := range p.own.tx.after {
				do()
			}
		}
	}
	return nil
}

// together is an attempt while its parts run.
type together struct {
	ctx  context.Context //nolint:containedctx // of the transaction, not of a part
	conn *pgx.Conn
	next []asked       // what the parts have asked, not sent yet
	turn chan struct{} // the part at work gives the floor back
	err  error         // what ended the transaction
}

// play runs the parts to their ends.
func (t *together) play(parts []*Part) error {
	for _, p := range parts {
		p.own, p.begun, p.Err, p.Undo = &partTx{t: t, answered: make(chan struct{})}, false, nil, false
		p.own.who = p.own
		if p.Subject != "" {
			p.own.who = p.Subject
		}
	}
	for {
		waiting := 0
		busy := map[string]bool{}
		for _, p := range parts {
			if p.own.ended {
				continue
			}
			waiting++
			if p.Subject != "" && busy[p.Subject] {
				continue // somebody before is at it
			}
			busy[p.Subject] = true
			t.goOn(p)
			if p.own.ended {
				waiting--
				delete(busy, p.Subject)
			}
		}
		if waiting == 0 {
			return t.err
		}
		t.send()
	}
}

// goOn gives a part the floor until it waits or ends.
func (t *together) goOn(p *Part) {
	if !p.begun {
		p.begun = true
		go p.perform(t)
	} else {
		p.own.answered <- struct{}{}
	}
	<-t.turn
}

func (p *Part) perform(t *together) {
	defer func() {
		if v := recover(); v != nil {
			p.Err = fmt.Errorf("a part of a transaction panicked: %v\n%s", v, debug.Stack())
		}
		p.own.ended = true
		p.Undo = p.Err != nil && p.own.wrote
		t.turn <- struct{}{}
	}()
	p.own.tx = Tx{Querier: p.own, part: p.own, with: p.With}
	p.Err = p.Do(p.Ctx, &p.own.tx)
}

// send asks the database what the parts have queued. A failure there is everybody's.
func (t *together) send() {
	b := merge(t.next)
	t.next = nil
	if t.err == nil && b.Len() > 0 {
		t.err = t.conn.SendBatch(t.ctx, b).Close()
	}
}
