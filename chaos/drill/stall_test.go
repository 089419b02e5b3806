package drill

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/internal/pgproxy"
)

// Promises about time, and how much more a busy machine of tests may take. With
// the margin "others go on" is still less than the stop lasts.
const (
	othersGoOn   = 2 * time.Second
	restartedIn  = 5 * time.Second
	testsMargin  = 4 // times
	stoppedFor   = 10 * time.Second
	pairBuyers   = 16
	replyPercent = 8
)

// Drill 1: kill -9 one of two processes under load. The other goes on at once, the
// killed one is back within 5 s, and every hold that was acknowledged is there once.
func TestDrill01_killNineOfOneProcessStopsNobodyAndLosesNothing(t *testing.T) {
	t.Parallel()
	p := openPair(t, 1_000_000, nil, nil)
	l := p.buyers(t.Context(), pairBuyers)
	for i := range 3 {
		l.grows(t, 100)
		killed := time.Now()
		must(t, p.cells[0].Kill())
		on := l.probe(t, 1, killed)
		l.grows(t, 50)
		started := time.Now()
		must(t, p.cells[0].Start())
		back := l.probe(t, 0, started)
		l.grows(t, 50)
		t.Logf("kill %d: the other process acknowledged after %s, the restarted one after %s", i, on, back)
		if on > othersGoOn*testsMargin {
			t.Errorf("the other process acknowledged only after %s", on)
		}
		if back > restartedIn*testsMargin {
			t.Errorf("the restarted process acknowledged only after %s", back)
		}
	}
	acks := l.finish(t)
	p.wantOnce(t, acks)
	t.Logf("%d holds acknowledged", len(acks))
}

// midBatch catches a process between the reading and the writing of a batch: it
// has locked the event's row and has not yet heard so.
type midBatch struct {
	armed  atomic.Bool
	caught chan struct{} // closed when a process is to be stopped
	goOn   chan struct{} // closed when it stands
}

// request notes when a connection asks for the event's lock.
func (m *midBatch) request(c *pgproxy.Conn, message []byte) []byte {
	if text := c.Runs(message); strings.Contains(text, "booking.event") && strings.Contains(text, "FOR UPDATE") {
		c.Note("batch", "reads")
	}
	return message
}

// reply holds the answer to the reading back until the process stands.
func (m *midBatch) reply(c *pgproxy.Conn, message []byte) []byte {
	if message[0] == 'Z' && c.Noted("batch") == "reads" && message[5] == 'T' {
		c.Note("batch", "")
		if m.armed.CompareAndSwap(true, false) {
			close(m.caught)
			<-m.goOn
		}
	}
	return message
}

// Drill 2: SIGSTOP a process in mid-batch for 10 s, then CONT. Its session is cut
// after 1 s, the other process goes on within 2 s, and afterwards nothing of the
// old batch lands.
func TestDrill02_processThatStopsInMidBatchIsCutAndLandsNothingStale(t *testing.T) {
	t.Parallel()
	m := &midBatch{caught: make(chan struct{}), goOn: make(chan struct{})}
	only := func(process int, hook pgproxy.Hook) pgproxy.Hook {
		if process == 0 {
			return hook
		}
		return nil
	}
	p := openPair(t, 1_000_000, func(i int) pgproxy.Hook { return only(i, m.request) }, func(i int) pgproxy.Hook { return only(i, m.reply) })
	l := p.buyers(t.Context(), pairBuyers)
	l.grows(t, 200)
	m.armed.Store(true)
	select {
	case <-m.caught:
	case <-time.After(time.Minute):
		t.Fatal("no batch came by")
	}
	must(t, p.cells[0].Stop(t.Context()))
	stopped := time.Now()
	close(m.goOn)
	on := l.probe(t, 1, stopped)
	must(t, pause(t.Context(), time.Until(stopped.Add(stoppedFor)))) // the drill's own length
	before := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1`, p.event.ID)
	clock := p.clock(t)
	must(t, p.cells[0].Continue())
	l.grows(t, 100)
	acks := l.finish(t)
	t.Logf("the other process acknowledged %s after the stop; %d holds until CONT, %d in the end", on, before, len(acks))
	if on > othersGoOn*testsMargin {
		t.Errorf("the other process went on only after %s", on)
	}
	if back := firstAfter(acks, 0, stopped.Add(stoppedFor)); back < 0 {
		t.Error("the process that stood does not work again")
	}
	// What was decided before CONT was there before CONT.
	if old := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1 AND created_at < $2`, p.event.ID, clock); old != before {
		t.Errorf("%d holds were decided before the process went on, and only %d of them were there then: stale commits", old, before)
	}
	p.wantOnce(t, acks)
}

// clock is the database's.
func (p *pair) clock(t *testing.T) time.Time {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var now time.Time
	must(t, p.db.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now))
	return now
}
