package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
)

// TestProxy_aKilledCellTakesOnlyItsOwnWritesAlong is the blast radius (P7) and
// the honest answer (P9): no read fails anywhere, its events come from a copy, its
// writes are refused with a time, and it is back by itself once it is ready.
func TestProxy_aKilledCellTakesOnlyItsOwnWritesAlong(t *testing.T) {
	w := newTown(t, true, nil)
	w.euw3.does(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "availability unknown %s", r.URL.Path)
	})
	stop, done := make(chan struct{}), make(chan error, 1)
	var reads atomic.Int64
	go func() { // attendees in Osaka, all the while
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			line := []string{"GET /v1/events?q=x", "GET /v1/events/" + evtAPN, "POST /v1/events/" + evtEUW + "/holds"}[i%3]
			a, err := w.tryAsk(line, nil, httpd.HeaderNear, inOsaka)
			if err != nil || a.StatusCode != 200 {
				done <- fmt.Errorf("%s: %v %w", line, a.Response, err)
				return
			}
			reads.Add(1)
		}
	}()
	some := func(what string) {
		from := reads.Load()
		until(t, what, func() error {
			if reads.Load() < from+30 && len(done) == 0 {
				return fmt.Errorf("%d reads", reads.Load()-from)
			}
			return nil
		})
	}
	some("before")
	w.apn1.kill()
	some("after the kill")

	if a := w.ask(t, "GET /v1/events/"+evtAPN, "", httpd.HeaderNear, inParis); a.summary() != "200 euw3 nearest" || !strings.Contains(a.body, "unknown") {
		t.Errorf("the dead cell's event: %s %q", a.summary(), a.body)
	}
	for _, line := range []string{"POST /v1/events/" + evtAPN + "/holds", "GET /v1/holds/" + hldAPN, "DELETE /v1/holds/" + hldAPN} {
		if a := w.ask(t, line, ""); a.StatusCode != 503 || a.code() != "home_unavailable" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s of the dead cell: %s", line, a.summary())
		}
	}

	w.apn1.sick.Store(true)
	w.apn1.restart(t)
	if a := w.ask(t, "POST /v1/events/"+evtAPN+"/holds", ""); a.code() != "home_unavailable" {
		t.Errorf("alive but not ready: %s", a.summary())
	}
	w.apn1.sick.Store(false)
	until(t, "the cell is back", func() error {
		if a := w.ask(t, "POST /v1/events/"+evtAPN+"/holds", ""); a.summary() != "200 apn1 home" {
			return fmt.Errorf("%s", a.summary())
		}
		return nil
	})
	some("after it is back")
	close(stop)
	if err := <-done; err != nil {
		t.Errorf("a read or another cell's decision failed: %v", err)
	}
}

func TestProxy_theDeadCellIsNoticedByTheFirstRequest(t *testing.T) {
	w := newTown(t, false, nil) // nobody probes
	w.apn1.kill()
	if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inOsaka); a.summary() != "200 use1 nearest" {
		t.Errorf("a read near the dead cell: %s", a.summary())
	}
	if a := w.ask(t, "POST /v1/events/"+evtAPN+"/holds", ""); a.code() != "home_unavailable" || a.StatusCode != 503 {
		t.Errorf("a write to it: %s", a.summary())
	}
	w.euw3.kill()
	w.use1.kill()
	if a := w.ask(t, "GET /v1/events", ""); a.StatusCode != 503 || a.code() != "no_cell_available" || a.Header.Get("Retry-After") == "" {
		t.Errorf("with all dead: %s", a.summary())
	}
	if a := w.ask(t, "GET /v1/events/"+evtAPN, ""); a.StatusCode != 503 || a.code() != "home_unavailable" {
		t.Errorf("an event with all dead: %s", a.summary())
	}
}

func TestProxy_aCopyThatDoesNotKnowTheEventIsNotAProofThatThereIsNone(t *testing.T) {
	unknown := func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNotFound) }
	for name, copies := range map[string]http.HandlerFunc{
		"it points home, as cells do":          says421("apn1", 1),
		"it points elsewhere, with an old map": says421("use1", 0),
		"it points on, and that is away too":   says421("use1", 2),
		"it takes itself for the home":         unknown,
	} {
		w := newTown(t, false, nil)
		w.euw3.does(copies)
		w.apn1.does(unknown)
		w.use1.kill()
		for _, line := range []string{"GET /v1/events/" + evtAPN, "GET /v1/events/" + evtAPN + "?access_code=X"} {
			if a := w.ask(t, line, "", httpd.HeaderNear, inParis); a.StatusCode != 404 {
				t.Errorf("%s: the home itself does not know it: %s", name, a.summary())
			}
		}
		w.apn1.kill()
		for _, line := range []string{"GET /v1/events/" + evtAPN, "GET /v1/events/" + evtAPN + "?access_code=X"} {
			if a := w.ask(t, line, "", httpd.HeaderNear, inParis); a.code() != "home_unavailable" || a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
				t.Errorf("%s: only a copy does not know it: %s", name, a.summary())
			}
		}
	}
}

func TestProxy_aCellThatCannotAnswerAReadIsPassedOverOnce(t *testing.T) {
	w := newTown(t, false, nil)
	broken := func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(rw, `{"code":"database_away"}`)
	}
	w.apn1.does(broken)
	if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inOsaka); a.summary() != "200 use1 nearest" {
		t.Errorf("one cell broken: %s", a.summary())
	}
	if a := w.ask(t, "POST /v1/events/"+evtAPN+"/holds", ""); a.summary() != "503 apn1 home database_away" {
		t.Errorf("a decision must not go elsewhere: %s", a.summary())
	}
	w.use1.does(broken)
	w.euw3.does(broken)
	before := len(w.euw3.requests())
	if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inOsaka); a.summary() != "503 use1 nearest database_away" {
		t.Errorf("all broken: %s", a.summary())
	}
	if n := len(w.euw3.requests()) - before; n != 0 {
		t.Errorf("a third cell was asked %d times: an overload would go around the town", n)
	}
}

// TestProxy_whatMayHaveHappenedIsNotRepeatedWithoutAKey: a process that dies after
// it took a request has perhaps done it.
func TestProxy_whatMayHaveHappenedIsNotRepeatedWithoutAKey(t *testing.T) {
	w := newTown(t, false, nil)
	second := newCell(t, "euw3", "eu-west-3")
	w.publish(func(s *topology.Snapshot) { s.Cells[1].URLs = []string{w.euw3.url, second.url} })
	die := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	line := "POST /v1/events/" + evtEUW + "/holds"
	w.euw3.does(die)
	second.does(die)
	asked := func() int { return len(w.euw3.requests()) + len(second.requests()) }

	if a := w.ask(t, line, "{}"); a.code() != "outcome_unknown" || asked() != 1 {
		t.Errorf("without a key: %s after %d tries", a.summary(), asked())
	}
	before := asked()
	if a := w.ask(t, line, "{}", httpd.HeaderIdemKey, "k1"); a.code() != "outcome_unknown" || asked()-before < 2 {
		t.Errorf("with a key: %s after %d tries", a.summary(), asked()-before)
	}
	second.answer.Store(nil)
	w.euw3.answer.Store(nil)
	before = asked()
	if a := w.ask(t, line, `{"a":1}`, httpd.HeaderIdemKey, "k2"); a.StatusCode != 200 || asked()-before != 1 || !strings.HasSuffix(a.body, `{"a":1}`) {
		t.Errorf("both well: %s after %d tries", a.summary(), asked()-before)
	}
}

func TestProxy_anotherProcessOfTheCellTakesOver(t *testing.T) {
	w := newTown(t, true, nil)
	second := newCell(t, "euw3", "eu-west-3")
	w.publish(func(s *topology.Snapshot) { s.Cells[1].URLs = []string{w.euw3.url, second.url} })
	seen := func() (n int) { return len(w.euw3.requests()) + len(second.requests()) }
	until(t, "both are watched", func() error {
		if n := len(w.checker.View().Processes()); n != 4 {
			return fmt.Errorf("%d processes", n)
		}
		return nil
	})
	line := "POST /v1/events/" + evtEUW + "/holds"
	for range 10 {
		w.ask(t, line, "")
	}
	desk, other := w.euw3, second
	if len(desk.requests()) == 0 {
		desk, other = other, desk
	}
	if len(desk.requests()) != 10 || len(other.requests()) != 0 {
		t.Errorf("one event met at two desks: %d and %d", len(desk.requests()), len(other.requests()))
	}
	before := seen()
	desk.kill()
	if a := w.ask(t, line, "body", httpd.HeaderIdemKey, "k"); a.StatusCode != 200 || seen()-before != 1 || !strings.HasSuffix(a.body, "body") {
		t.Errorf("after one process died: %s", a.summary())
	}
	events := map[string]int{}
	desk.restart(t)
	until(t, "both take events again", func() error {
		id := fmt.Sprintf("evt_euw3_%012d", len(events))
		events[id] = len(desk.requests())
		w.ask(t, "POST /v1/events/"+id+"/holds", "")
		if len(desk.requests()) <= 10 {
			return fmt.Errorf("the restarted process took none of %d events", len(events))
		}
		return nil
	})
}

func TestProxy_learnsAMovedHomeAndRetriesOnce(t *testing.T) {
	w := newTown(t, false, nil)
	w.euw3.does(says421("apn1", 2))
	line := "POST /v1/events/" + evtEUW + "/holds"
	body := strings.Repeat("b", 100_000)
	if a := w.ask(t, line, body); a.summary() != "200 apn1 moved" || !strings.HasSuffix(a.body, body) {
		t.Errorf("first: %s", a.summary())
	}
	if a := w.ask(t, line, "{}"); a.summary() != "200 apn1 home" || len(w.euw3.requests()) != 1 {
		t.Errorf("the second goes straight: %s, the old home was asked %d times", a.summary(), len(w.euw3.requests()))
	}
	if a := w.ask(t, "POST /v1/orders", `{"hold_id":"hld_euw3_`+key+"_"+own+`"}`); a.summary() != "200 apn1 home" {
		t.Errorf("so does all that belongs to the event: %s", a.summary())
	}

	// The new home has not heard of the move and points back, in an older epoch.
	w.apn1.does(says421("euw3", 1))
	if a := w.ask(t, line, "{}"); a.summary() != "421 apn1 home moved" {
		t.Errorf("pointing back: %s", a.summary())
	}
	// A third home, in a newer epoch; and it points on again.
	w.apn1.does(says421("use1", 3))
	w.use1.does(says421("euw3", 4))
	before := len(w.euw3.requests())
	if a := w.ask(t, line, "{}"); a.summary() != "421 use1 moved moved" || len(w.euw3.requests()) != before {
		t.Errorf("pointing on twice: %s", a.summary())
	}
	// The snapshot has caught up, and overtaken what was learned.
	w.euw3.answer.Store(nil)
	w.publish(func(s *topology.Snapshot) {
		s.Placements = []topology.Placement{{EventID: evtEUW, Home: "euw3", Epoch: 9}}
	})
	if a := w.ask(t, line, "{}"); a.summary() != "200 euw3 home" {
		t.Errorf("after a newer snapshot: %s", a.summary())
	}
}

func TestProxy_a421ThatLeadsNowhereIsPassedOn(t *testing.T) {
	w := newTown(t, false, nil)
	for name, h := range map[string]http.HandlerFunc{
		"itself": says421("euw3", 5), "a cell outside the town": says421("zzz9", 5), "no cell": says421("../..", 5), "no epoch": says421("apn1", 0),
		"no document": func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusMisdirectedRequest) },
	} {
		w.euw3.does(h)
		before := len(w.euw3.requests())
		a := w.ask(t, "POST /v1/events/"+evtEUW+"/holds", "{}")
		if a.StatusCode != 421 || len(w.euw3.requests())-before != 1 {
			t.Errorf("%s: %s", name, a.summary())
		}
		if name == "a cell outside the town" && !strings.Contains(a.body, "zzz9") {
			t.Errorf("%s: the document was lost: %q", name, a.body)
		}
	}
	if n := len(w.apn1.requests()); n != 0 {
		t.Errorf("another cell was asked %d times", n)
	}
}
