package drill

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/chaos/world"
	"guichet/internal/child"
)

// Ctrl-C closes the town without an orphan and without losing anything; the next
// run finds it all. A second town on the same state, and a busy port, are refused
// in one line that says why.
func TestClosing_ctrlCLosesNothingAndTheNextRunGoesOn(t *testing.T) {
	t.Parallel()
	needDatabases(t)
	p, err := programs()
	must(t, err)
	state, err := world.NewState()
	must(t, err)
	t.Cleanup(func() {
		if err := world.RemoveState(state); err != nil {
			t.Error(err)
		}
	})
	options := world.Options{Cells: "euw3", State: state}
	ctx := t.Context()
	w, err := world.Open(ctx, p, options)
	must(t, err)
	before := live(t, w)
	base := portOf(t, before.creds.Router)

	line := refusal(t, p, state, options)
	if !strings.Contains(line, "a town is open already on "+state) {
		t.Errorf("a second town on the same state says %q", line)
	}
	before.stillServed(t, w) // the second town has not hurt the first
	must(t, w.Interrupt(ctx))
	if !strings.Contains(w.Output(), "the town is closed") {
		t.Errorf("the town does not say that it is closed:\n%s", w.Output())
	}

	busy, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+10)) // the control plane's
	must(t, err)
	line = refusal(t, p, state, world.Options{Cells: "euw3", Port: base})
	must(t, busy.Close())
	if !strings.Contains(line, fmt.Sprintf("%d, needed for control-plane, is taken by", base+10)) || strings.Count(line, "\n") != 0 {
		t.Errorf("a busy port is told as %q", line)
	}

	again, err := world.Open(ctx, p, options) // on other ports: nothing may hang on them
	must(t, err)
	before.stillServed(t, again)
	order, err := buy(ctx, again, attendee(t, again, world.Paris), before.event(t, again), 1)
	must(t, err)
	if len(order.Tickets) != 1 {
		t.Errorf("%d tickets from the second run, want 1", len(order.Tickets))
	}
	must(t, again.Interrupt(ctx))
}

// life is what a town knew before it was closed.
type life struct {
	creds   world.Credentials
	concert concert
	name    string
	order   client.Order // paid
	pending client.Order
	hold    client.Hold
	paper   []byte
	stats   string
}

// live lets something of every kind happen.
func live(t *testing.T, w *world.World) *life {
	t.Helper()
	l := &life{creds: credentials(t, w), name: unique("Second run")}
	l.concert = stage(t, w, "euw3", l.name, 20, 0)
	c, ctx := attendee(t, w, world.Paris), t.Context()
	var err error
	l.order, err = buy(ctx, w, c, l.concert, 2)
	must(t, err)
	l.hold, _, err = c.CreateHold(ctx, l.concert.ID, l.concert.want(1), key("hold"))
	must(t, err)
	other, _, err := c.CreateHold(ctx, l.concert.ID, l.concert.want(3), key("hold"))
	must(t, err)
	l.pending, _, err = c.CreateOrder(ctx, orderOf(other), key("order"))
	must(t, err)
	l.stats = fmt.Sprint(l.concert.stats(t))
	until(t, 30*time.Second, "the event is found", func() bool { return finds(t, c, l.name, l.concert.ID) })
	return l
}

// event is the concert as the town of this run serves it.
func (l *life) event(t *testing.T, w *world.World) concert {
	t.Helper()
	creds := credentials(t, w)
	org, err := creds.Organizer("euw3")
	must(t, err)
	return concert{l.concert.Event, client.New(creds.Router, client.WithHTTP(world.HTTP), client.WithBearer(org.APIKey))}
}

// stillServed finds everything in a town, as it was.
func (l *life) stillServed(t *testing.T, w *world.World) {
	t.Helper()
	c, ctx := attendee(t, w, world.Paris), t.Context()
	if creds := credentials(t, w); creds.OperatorToken != l.creds.OperatorToken || fmt.Sprint(creds.Organizers) != fmt.Sprint(l.creds.Organizers) {
		t.Errorf("operator or organizers have changed: %+v", creds)
	}
	if got := fmt.Sprint(l.event(t, w).stats(t)); got != l.stats {
		t.Errorf("the organizer sees %s, want %s", got, l.stats)
	}
	until(t, 30*time.Second, "the event is found", func() bool { return finds(t, c, l.name, l.concert.ID) })
	o, _, err := c.GetOrder(ctx, l.order.ID)
	if err != nil || o.State != "paid" || fmt.Sprint(o.Tickets) != fmt.Sprint(l.order.Tickets) {
		t.Errorf("the paid order is %+v (%v)", o, err)
	}
	if o, _, err := c.GetOrder(ctx, l.pending.ID); err != nil || o.State != "pending" || o.Payment == nil || *o.Payment != *l.pending.Payment {
		t.Errorf("the pending order is %+v (%v)", o, err)
	}
	if h, _, err := c.GetHold(ctx, l.hold.ID); err != nil || h.State != "active" || !h.ExpiresAt.Equal(l.hold.ExpiresAt) {
		t.Errorf("the hold is %+v (%v)", h, err)
	}
	paper, _, err := c.TicketPDF(ctx, l.order.Tickets[0].ID)
	if err != nil || l.paper != nil && len(paper) != len(l.paper) {
		t.Errorf("the ticket on paper has %d bytes, had %d (%v)", len(paper), len(l.paper), err)
	}
	l.paper = paper
	offlineGate(t, w, c, l.order.Tickets...)
}

// refusal opens a town that must be refused, soon, and answers the line it says.
func refusal(t *testing.T, p world.Programs, state string, o world.Options) string {
	t.Helper()
	cmd := world.TownCommand(p, state, o)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, child.Start(cmd, syscall.SIGKILL))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	err := cmd.Wait()
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // Wait gives it as it is
	if !ok || exit.ExitCode() != 1 {
		t.Fatalf("the town was not refused: %v\n%s", err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	port, err := strconv.Atoi(u.Port())
	must(t, err)
	return port
}
