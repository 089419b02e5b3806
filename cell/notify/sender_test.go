package notify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/id"
	"guichet/internal/txn"
)

// desk is a queue in memory that does what the store does, for the sender's own
// decisions; what a database does under races is storetest's.
type desk struct {
	mu      sync.Mutex
	rows    []*entry
	forgets int
}

type entry struct {
	Claimed
	state  State
	reason string
	due    time.Time
}

func (d *desk) add(m Message) *entry {
	e := &entry{Claimed: Claimed{Message: m, MessageID: m.ID(), QueuedAt: time.Now()}, state: Queued, due: time.Now()}
	d.rows = append(d.rows, e)
	return e
}

func (d *desk) Claim(_ context.Context, limit int, lease time.Duration) ([]Claimed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Claimed
	for _, e := range d.rows {
		if e.state == Queued && !e.due.After(time.Now()) && len(out) < limit {
			e.Attempt++
			e.due, e.Waited = time.Now().Add(lease), time.Since(e.QueuedAt)
			out = append(out, e.Claimed)
		}
	}
	return out, nil
}

func (d *desk) change(c Claimed, do func(e *entry)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.rows {
		if e.MessageID == c.MessageID && e.Attempt == c.Attempt && e.state == Queued {
			do(e)
		}
	}
	return nil
}

func (d *desk) End(ctx context.Context, c Claimed, s State, reason string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return d.change(c, func(e *entry) { e.state, e.reason = s, reason })
}

func (d *desk) Later(ctx context.Context, c Claimed, in time.Duration, reason string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return d.change(c, func(e *entry) { e.due, e.reason = time.Now().Add(in), reason })
}

func (d *desk) Shelve(_ context.Context, reason string, _ int) (n int64, _ error) {
	for _, e := range d.rows {
		if e.state == Queued {
			e.state, e.reason = Unsent, reason
			n++
		}
	}
	return n, nil
}

func (d *desk) Unshelve(_ context.Context, age time.Duration) (n int64, _ error) {
	for _, e := range d.rows {
		if e.state == Unsent && time.Since(e.QueuedAt) < age {
			e.state = Queued
			n++
		}
	}
	return n, nil
}

func (d *desk) Forget(context.Context, time.Duration, time.Duration, int) (int64, error) {
	d.forgets++
	return 0, nil
}
func (d *desk) ForgetCaused(context.Context, time.Duration, int) (int64, error) { return 0, nil }
func (d *desk) Caused(context.Context, txn.Tx, string, int) (time.Time, []time.Time, error) {
	return time.Time{}, nil, nil
}
func (d *desk) Enqueue(_ context.Context, _ txn.Tx, m Message) error { d.add(m); return nil }
func (d *desk) Again(context.Context, txn.Tx, Message, string, int, time.Duration) (time.Duration, error) {
	return 0, nil
}

func (d *desk) TicketsReached(context.Context, string, int) ([]id.Ticket, error) { return nil, nil }

func (d *desk) OrdersReached(context.Context, string, int) ([]id.Order, error) { return nil, nil }

// post is composer and courier; send says what becomes of the nth mail.
type post struct {
	mu    sync.Mutex
	mails []Mail
	send  func(n int, m Mail) error
	gone  error // of composing
}

func (p *post) Compose(context.Context, Message) (Facts, []Attachment, error) {
	return facts(), []Attachment{{Name: "a.pdf"}}, p.gone
}

func (p *post) Send(_ context.Context, m Mail) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mails = append(p.mails, m)
	if p.send == nil {
		return nil
	}
	return p.send(len(p.mails), m)
}

func paidMail() Message {
	return Message{Kind: OrderPaid, Order: id.NewOrder(id.NewEvent("euw3")), To: "zoe@example.org", Name: "Zoë", Locale: "fr"}
}

func TestSender_sendsWhatIsDueOnce(t *testing.T) {
	t.Parallel()
	d, p := &desk{}, &post{}
	s := &Sender{Queue: d, Composer: p, Courier: p}
	e := d.add(paidMail())
	for _, want := range []int{1, 0} {
		if n, err := s.Pass(t.Context()); n != want || err != nil {
			t.Errorf("passed %d: %v", n, err)
		}
	}
	if e.state != Sent || len(p.mails) != 1 {
		t.Fatalf("%s after %d mails", e.state, len(p.mails))
	}
	m := p.mails[0]
	if m.To != "zoe@example.org" || m.Name != "Zoë" || m.Language != "fr" || m.ID != e.MessageID || len(m.Attachments) != 1 || !m.Date.Equal(e.QueuedAt) {
		t.Errorf("%+v", m)
	}
}

func TestSender_triesAgainEverMoreSlowlyUnderOneIDAndGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		p := &post{send: func(int, Mail) error { return errors.New("451 zoe@example.org is busy\x00\xff") }}
		s := &Sender{Queue: d, Composer: p, Courier: p}
		e := d.add(paidMail())
		began := time.Now()
		for e.state == Queued {
			if _, err := s.Pass(t.Context()); err != nil && strings.Contains(err.Error(), "zoe@") {
				t.Fatalf("the address is in the log: %v", err)
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < 48*time.Hour || took > MaxAge {
			t.Errorf("gave up after %s", took)
		}
		if e.state != Parked || len(p.mails) != MaxAttempts || !strings.Contains(e.reason, "given up after 60 attempts") || strings.Contains(e.reason, "zoe@") || strings.Contains(e.reason, "\x00") {
			t.Errorf("%s after %d: %q", e.state, len(p.mails), e.reason)
		}
		for _, m := range p.mails {
			if m.ID != e.MessageID {
				t.Errorf("a second id: %s", m.ID)
			}
		}
	})
}

func TestSender_parksWhatIsRefusedOrHasNothingToTellAtOnce(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*post{
		"refused":  {send: func(int, Mail) error { return ErrRefused.With("nobody of that name") }},
		"obsolete": {gone: ErrObsolete.With("the order was canceled")},
	} {
		d := &desk{}
		e := d.add(paidMail())
		if _, err := (&Sender{Queue: d, Composer: p, Courier: p}).Pass(t.Context()); err != nil || e.state != Parked || e.reason == "" {
			t.Errorf("%s: %s %q, %v", name, e.state, e.reason, err)
		}
	}
}

func TestSender_oneMailThatFailsDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	d := &desk{}
	bad := d.add(paidMail())
	p := &post{send: func(_ int, m Mail) error {
		if m.ID == bad.MessageID {
			return errors.New("not now")
		}
		return nil
	}}
	for range 10 {
		d.add(paidMail())
	}
	if n, err := (&Sender{Queue: d, Composer: p, Courier: p}).Pass(t.Context()); n != 11 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if sent := len(slices.DeleteFunc(slices.Clone(d.rows), func(e *entry) bool { return e.state != Sent })); sent != 10 || bad.state != Queued {
		t.Errorf("%d were sent, the bad one is %s", sent, bad.state)
	}
}

func TestSender_withoutAServerKeepsMailsAndSendsThemWhenThereIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, p := &desk{}, &post{}
		old := d.add(paidMail())
		without := &Sender{Queue: d, Composer: p}
		if _, err := without.Pass(t.Context()); err != nil || old.state != Unsent || old.reason != NoServer {
			t.Fatalf("%s: %v", old.state, err)
		}
		time.Sleep(MaxAge)
		young := d.add(paidMail())
		if _, err := without.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		with := &Sender{Queue: d, Composer: p, Courier: p}
		if _, err := with.Pass(t.Context()); err != nil || young.state != Sent || old.state != Unsent {
			t.Errorf("young %s, old %s: %v", young.state, old.state, err)
		}
	})
}

// A pass has 30 seconds. A mail server that takes 20 for a mail makes it end in the
// middle of one: the mail was taken, and what is not written down is sent again.
func TestSender_aSlowPassSendsNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{}
		p := &post{send: func(int, Mail) error { time.Sleep(20 * time.Second); return nil }}
		s := &Sender{Queue: d, Composer: slow{p}, Courier: slow{p}}
		for range 20 {
			d.add(paidMail())
		}
		for left := true; left; {
			pass, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			n, err := s.Pass(pass)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			left = n > 0
		}
		sent := map[string]int{}
		for _, m := range p.mails {
			sent[m.ID]++
		}
		for _, e := range d.rows {
			if sent[e.MessageID] != 1 || e.state != Sent || e.Attempt > 2 {
				t.Errorf("%s left %d times in %d attempts and is %s", e.MessageID, sent[e.MessageID], e.Attempt, e.state)
			}
		}
	})
}

// slow does not hold the lock of its post while it sends.
type slow struct{ *post }

func (s slow) Send(ctx context.Context, m Mail) error {
	s.mu.Lock()
	s.mails = append(s.mails, m)
	n := len(s.mails)
	s.mu.Unlock()
	err := s.send(n, m)
	return errors.Join(err, ctx.Err())
}

// late is a queue that takes as long as it may to write down what became of a mail.
type late struct {
	*desk
	last time.Time // when it last did; under the desk's lock
}

func (l *late) Later(ctx context.Context, c Claimed, in time.Duration, reason string) error {
	if reason != "" { // it was begun
		time.Sleep(noteTimeout - time.Millisecond)
		l.mu.Lock()
		l.last = time.Now()
		l.mu.Unlock()
	}
	return l.desk.Later(ctx, c, in, reason)
}

// The mail server hangs for as long as a mail may take, and then the queue does, for mails
// that are claimed together: none is begun whose fate would be written down when another
// sender may have it already. What was not begun is anybody's at once.
func TestSender_beginsNothingWhoseLeaseWouldRunOutUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &late{desk: &desk{}}
		p := &post{send: func(int, Mail) error { time.Sleep(sendTimeout); return errors.New("no answer") }}
		s := &Sender{Queue: d, Composer: p, Courier: slow{p}}
		for range perPass {
			d.add(paidMail())
		}
		began := time.Now()
		_, _ = s.Pass(t.Context()) // each mail's failure is reported
		if took := d.last.Sub(began); took > lease {
			t.Errorf("the last mail's fate was written down after %s, when its lease of %s had run out", took, lease)
		}
		if n := len(p.mails); n == 0 || n == perPass {
			t.Errorf("%d of %d mails were begun", n, perPass)
		}
		free := 0
		for _, e := range d.rows {
			if !e.due.After(time.Now()) {
				free++
			}
		}
		if free < perPass-len(p.mails) {
			t.Errorf("%d mails were begun, and only %d of %d are free", len(p.mails), free, perPass)
		}
	})
}

// While the sale is busy a mail leaves now and then; once it is old it leaves at once,
// and when nothing is sold it does not wait at all.
func TestPace_yieldsToTheSaleAndNeverStarves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, p, pace := &desk{}, &post{}, &Pace{Now: time.Now}
		s := &Sender{Queue: d, Composer: p, Courier: p, Pace: pace}
		ctx, stop := context.WithCancel(t.Context())
		var selling sync.WaitGroup
		selling.Go(func() { // orders come in, and wait 100 ms for their turn
			for ctx.Err() == nil {
				pace.Waited(100 * time.Millisecond)
				time.Sleep(10 * time.Millisecond)
			}
		})
		time.Sleep(time.Second)
		began := time.Now()
		for range 1000 {
			d.add(paidMail())
		}
		for range 20 {
			if _, err := s.Pass(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 20*perPass*50*time.Millisecond {
			t.Errorf("%d mails took %s from a busy sale", len(p.mails), took)
		}
		for {
			if n, err := s.Pass(ctx); n == 0 || err != nil {
				break
			}
		}
		if took := time.Since(began); len(p.mails) != 1000 || took > time.Minute {
			t.Errorf("%d of 1000 mails left in %s", len(p.mails), took)
		}
		stop()
		selling.Wait()
		time.Sleep(time.Second)
		began = time.Now()
		d.add(paidMail())
		if _, err := s.Pass(t.Context()); err != nil || time.Since(began) > 0 {
			t.Errorf("yielded %s to nobody: %v", time.Since(began), err)
		}
	})
}

func TestMessage_idIsStableAndGivesNothingAway(t *testing.T) {
	t.Parallel()
	m := paidMail()
	again, other, part := m, m, m
	other.Kind, part.Part = Refund, "x"
	if m.ID() != again.ID() || m.ID() == other.ID() || m.ID() == part.ID() || strings.Contains(m.ID(), m.Order.String()) {
		t.Errorf("%s %s %s", m.ID(), other.ID(), part.ID())
	}
	for _, bad := range []Message{{}, {Kind: OrderPaid, To: "a@b.c"}, {Kind: FindMyTickets}, {Kind: FindMyTickets, To: "a@b.c", Part: strings.Repeat("x", 65)}} {
		if bad.Check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
}
