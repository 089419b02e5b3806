package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/router/proxy"
)

func TestProxy_readsGoToTheNearestCellAndDecisionsHome(t *testing.T) {
	w := newTown(t, false, nil)
	for _, c := range []struct{ line, body, near, want string }{
		{"GET /v1/events?q=jazz%20night&facets=city", "", inParis, "200 euw3 nearest"},
		{"GET /v1/events", "", inOsaka, "200 apn1 nearest"},
		{"GET /v1/events", "", "", "200 euw3 nearest"}, // the default
		{"GET /v1/events", "", "not a place", "200 euw3 nearest"},
		{"GET /v1/events/" + evtAPN, "", inParis, "200 apn1 home"},
		{"POST /v1/events/" + evtAPN + "/holds", `{"items":[]}`, inParis, "200 apn1 home"},
		{"POST /v1/orders", `{"hold_id":"` + hldAPN + `","buyer":{}}`, inParis, "200 apn1 home"},
		{"POST /v1/orders", `{"buyer":{}}`, inParis, "200 euw3 nearest"},
		{"POST /v1/organizers?home_region=us-east-1", `{"name":"x"}`, inParis, "200 use1 home"},
		{"POST /v1/organizers?home_region=mars", `{"name":"x"}`, inParis, "400   unknown_region"},
		{"GET /v1/events/evt_zzz9_" + key, "", inParis, "404   unknown_cell"},
		{"GET /v1/tickets/tkt_apn1_" + key + "_" + own + ".pdf", "", inParis, "200 apn1 home"},
	} {
		a := w.ask(t, c.line, c.body, httpd.HeaderNear, c.near)
		if a.summary() != c.want {
			t.Errorf("%s from %q: %s, want %s", c.line, c.near, a.summary(), c.want)
		}
		method, target, _ := strings.Cut(c.line, " ")
		if sent := method + " " + target + " " + c.body; a.StatusCode == 200 && !strings.HasSuffix(a.body, sent) {
			t.Errorf("%s: the cell saw %q, want %q", c.line, a.body, sent)
		}
	}
}

func TestProxy_passesTheAnswerOnUnchanged(t *testing.T) {
	w := newTown(t, false, nil)
	w.euw3.does(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("ETag", `"v1"`)
		rw.Header().Add("Link", "<a>")
		rw.Header().Add("Link", "<b>")
		rw.Header().Set("Connection", "X-Hop")
		rw.Header().Set("X-Hop", "1")
		rw.WriteHeader(http.StatusConflict)
		_, _ = rw.Write([]byte("sold out"))
	})
	a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inParis)
	if a.StatusCode != http.StatusConflict || a.body != "sold out" || a.Header.Get("ETag") != `"v1"` || len(a.Header["Link"]) != 2 || a.Header.Get("X-Hop") != "" {
		t.Errorf("%d %q %v", a.StatusCode, a.body, a.Header)
	}
	if head := w.ask(t, "HEAD /v1/events", "", httpd.HeaderNear, inOsaka); head.StatusCode != 200 || head.body != "" || head.ContentLength <= 0 {
		t.Errorf("HEAD: %d, %q, length %d", head.StatusCode, head.body, head.ContentLength)
	}
}

func TestProxy_aClientCannotSpeakForTheRouter(t *testing.T) {
	w := newTown(t, false, nil)
	a := w.ask(t, "GET /v1/events", "",
		httpd.HeaderNear, inParis, httpd.HeaderCell, "apn1", httpd.HeaderRoute, "home", "X-Guichet-Secret", "1", httpd.HeaderForce, "apn1",
		"X-Forwarded-For", "203.0.113.9", "X-Real-Ip", "203.0.113.9", "Forwarded", "for=203.0.113.9", "Connection", "X-Private", "X-Private", "1", "Te", "trailers",
		"Authorization", "Bearer abc", "Accept-Encoding", "gzip")
	if a.summary() != "200 euw3 nearest" {
		t.Error(a.summary())
	}
	got := w.euw3.last(t).Header
	for _, name := range []string{httpd.HeaderCell, httpd.HeaderRoute, "X-Guichet-Secret", httpd.HeaderForce, "X-Real-Ip", "Forwarded", "X-Private", "Te"} {
		if got.Get(name) != "" {
			t.Errorf("the cell saw %s: %s", name, got.Get(name))
		}
	}
	for name, want := range map[string]string{httpd.HeaderHop: "1", httpd.HeaderNear: inParis, "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "Authorization": "Bearer abc", "Accept-Encoding": "gzip"} {
		if got.Get(name) != want {
			t.Errorf("the cell saw %s: %q, want %q", name, got.Get(name), want)
		}
	}
}

func TestProxy_requestAndTraceIDsTravel(t *testing.T) {
	w := newTown(t, false, nil)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := w.ask(t, "GET /v1/events", "", "X-Request-Id", "abc-123", "Traceparent", parent, "Tracestate", "a=b")
	got := w.euw3.last(t).Header
	if a.Header.Get("X-Request-Id") != "abc-123" || got.Get("X-Request-Id") != "abc-123" || got.Get("Traceparent") != parent || got.Get("Tracestate") != "a=b" {
		t.Errorf("a sane id and trace did not travel: %v", got)
	}
	a = w.ask(t, "GET /v1/events", "", "X-Request-Id", "<script>", "Traceparent", "00-zz-zz-01", "Tracestate", "a=b")
	got = w.euw3.last(t).Header
	if id := a.Header.Get("X-Request-Id"); id == "" || id == "<script>" || got.Get("X-Request-Id") != id {
		t.Errorf("request id %q, the cell saw %q", id, got.Get("X-Request-Id"))
	}
	if tp := got.Get("Traceparent"); len(tp) != 55 || strings.Contains(tp, "z") || got.Get("Tracestate") != "" {
		t.Errorf("traceparent %q, tracestate %q", tp, got.Get("Tracestate"))
	}
	if refusal := w.ask(t, "GET /v1/events/evt_zzz9_"+key, ""); refusal.Header.Get("X-Request-Id") == "" {
		t.Error("a refusal has no request id")
	}
}

func TestProxy_aForwardedRequestIsNotForwardedAgain(t *testing.T) {
	w := newTown(t, false, nil)
	if a := w.ask(t, "GET /v1/events", "", httpd.HeaderHop, "1"); a.StatusCode != 421 || a.code() != "routing_loop" {
		t.Error(a.summary())
	}
	// Two routers that point at each other: the town's Paris is the router itself.
	w.publish(func(s *topology.Snapshot) {
		s.Cells[1].URLs = []string{w.router.URL}
	})
	if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inParis); a.StatusCode != 421 {
		t.Errorf("a loop gave %s", a.summary())
	}
	if n := len(w.euw3.requests()) + len(w.use1.requests()) + len(w.apn1.requests()); n != 0 {
		t.Errorf("cells were asked %d times", n)
	}
}

func TestProxy_bodiesOverTheLimitReachNoCell(t *testing.T) {
	w := newTown(t, false, nil)
	big := strings.Repeat("x", 2<<20)
	line := "POST /v1/events/" + evtAPN + "/holds"
	for name, body := range map[string]io.Reader{"length said": strings.NewReader(big), "length unsaid": io.MultiReader(strings.NewReader(big))} {
		a, err := w.tryAsk(line, body)
		if err != nil || a.StatusCode != 413 || a.code() != "body_too_large" {
			t.Errorf("%s: %v, %v", name, a.Response, err)
		}
	}
	if n := len(w.apn1.requests()); n != 0 {
		t.Errorf("the cell was asked %d times", n)
	}
	exact := strings.Repeat("x", httpd.MaxBody)
	for name, body := range map[string]io.Reader{"length said": strings.NewReader(exact), "length unsaid": io.MultiReader(strings.NewReader(exact))} {
		if a, err := w.tryAsk(line, body); err != nil || a.StatusCode != 200 || !strings.HasSuffix(a.body, exact) {
			t.Errorf("exactly the limit, %s: %v, %v", name, a.Response, err)
		}
	}
}

func TestProxy_aSeatingPlanHasALimitOfItsOwn(t *testing.T) {
	w := newTown(t, false, nil)
	exact := strings.Repeat("x", httpd.MaxPlanBody)
	for line, want := range map[string]int{
		"PUT /v1/events/" + evtAPN + "/seating": 200, "POST /v1/events/" + evtAPN + "/seating": 413, "PUT /v1/events/" + evtAPN + "/quotas/x": 413,
	} {
		if a, err := w.tryAsk(line, strings.NewReader(exact)); err != nil || a.StatusCode != want {
			t.Errorf("%s: %v, %v, want %d", line, a.Response, err, want)
		}
	}
	a, err := w.tryAsk("PUT /v1/events/"+evtAPN+"/seating", io.MultiReader(strings.NewReader(exact+"x")))
	if err != nil || a.StatusCode != 413 || !strings.Contains(a.body, "8388608") {
		t.Errorf("a byte more: %v, %v", a.Response, err)
	}
}

func TestProxy_aBodyThatBreaksOffReachesNoCell(t *testing.T) {
	w := newTown(t, false, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.router.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/events/%s/holds HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort", evtAPN)
	_ = conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("answered %d", resp.StatusCode)
		}
	}
	if n := len(w.apn1.requests()); n != 0 {
		t.Errorf("the cell was asked %d times", n)
	}
}

func TestProxy_answersStream(t *testing.T) {
	w := newTown(t, false, nil)
	next := make(chan struct{})
	w.apn1.does(func(rw http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprintf(rw, "line %d\n", i)
			_ = http.NewResponseController(rw).Flush()
			<-next // the cell goes on only after the client has the line
		}
	})
	resp, err := w.router.Client().Get(w.router.URL + "/v1/events/" + evtAPN + "/attendees.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for i := range 3 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d: %q, %v", i, lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}

func TestProxy_anAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	w := newTown(t, false, nil)
	w.apn1.does(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write(bytes.Repeat([]byte("x"), 100_000))
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	if a, err := w.tryAsk("GET /v1/events/"+evtAPN+"/attendees.csv", nil); err == nil {
		t.Errorf("%d bytes of a broken answer look whole", len(a.body))
	}
}

func TestProxy_aClientThatLeavesFreesTheCell(t *testing.T) {
	w := newTown(t, false, nil)
	inside, left := make(chan struct{}), make(chan struct{})
	w.apn1.does(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(left)
	})
	client := &http.Client{Transport: &http.Transport{}}
	req, _ := http.NewRequest(http.MethodGet, w.router.URL+"/v1/events/"+evtAPN, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := client.Do(req.WithContext(ctx)); err == nil {
			_ = resp.Body.Close()
			t.Error("there was an answer")
		}
	}()
	<-inside
	cancel()
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the cell is still busy with a client that left")
	}
	<-done
}

func TestProxy_aStalledCellDoesNotHoldUpOthers(t *testing.T) {
	const limit = 4
	w := newTown(t, false, func(c *proxy.Config) {
		c.InFlight = limit
		c.Patience = proxy.Patience{Read: time.Minute, Home: time.Minute, Write: time.Minute, Total: time.Minute}
	})
	release := make(chan struct{})
	var stuck, done sync.WaitGroup
	stuck.Add(limit)
	w.apn1.does(func(http.ResponseWriter, *http.Request) { stuck.Done(); <-release })
	for range limit {
		done.Go(func() {
			if a, err := w.tryAsk("POST /v1/events/"+evtAPN+"/holds", nil); err != nil || a.StatusCode != 200 {
				t.Errorf("a request the cell had taken: %v %v", a.Response, err)
			}
		})
	}
	stuck.Wait()
	full := w.ask(t, "POST /v1/events/"+evtAPN+"/holds", "")
	if full.StatusCode != 503 || full.code() != "cell_busy" || full.Header.Get("Retry-After") == "" {
		t.Errorf("one request too many for the stalled cell: %s", full.summary())
	}
	for range 20 {
		if a := w.ask(t, "POST /v1/events/"+evtEUW+"/holds", ""); a.summary() != "200 euw3 home" {
			t.Fatalf("another cell's decision: %s", a.summary())
		}
		if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inOsaka); a.summary() != "200 use1 nearest" {
			t.Fatalf("a read near the stalled cell: %s", a.summary())
		}
	}
	close(release)
	done.Wait()
}

func TestProxy_aCellThatDoesNotBeginToAnswerIsGivenUp(t *testing.T) {
	w := newTown(t, false, func(c *proxy.Config) {
		c.Patience = proxy.Patience{Read: 30 * time.Millisecond, Home: 30 * time.Millisecond, Write: 30 * time.Millisecond, Total: 10 * time.Second}
	})
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	w.apn1.does(hang)
	for _, c := range []struct{ line, want string }{
		{"GET /v1/events", "200 use1 nearest"},
		{"GET /v1/events/" + evtAPN, "200 use1 nearest"},
		{"GET /v1/events/" + evtAPN + "/stats", "503   home_unavailable"},
		{"POST /v1/events/" + evtAPN + "/holds", "503   outcome_unknown"},
	} {
		a := w.ask(t, c.line, "", httpd.HeaderNear, inOsaka)
		if a.summary() != c.want || a.StatusCode == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s, want %s", c.line, a.summary(), c.want)
		}
	}
}

func TestProxy_drillsForceACellOnlyWhereThatIsAllowed(t *testing.T) {
	w := newTown(t, false, func(c *proxy.Config) { c.Force = true })
	for force, want := range map[string]string{"apn1": "200 apn1 forced", "zzz9": "404  forced unknown_cell", "../x": "400   invalid_cell"} {
		if a := w.ask(t, "GET /v1/events", "", httpd.HeaderNear, inParis, httpd.HeaderForce, force); a.summary() != want {
			t.Errorf("forced %s: %s, want %s", force, a.summary(), want)
		}
	}
}

func TestProxy_playsTheDistanceOnce(t *testing.T) {
	var played []string
	w := newTown(t, false, func(c *proxy.Config) {
		c.Delay = func(from, to string) time.Duration {
			played = append(played, from+" to "+to)
			return time.Nanosecond
		}
	})
	w.euw3.does(says421("apn1", 2)) // two cells are asked, but the attendee waits once
	w.ask(t, "POST /v1/events/"+evtEUW+"/holds", "", httpd.HeaderNear, inOsaka)
	w.ask(t, "GET /v1/events/"+evtAPN, "")
	if got := strings.Join(played, ", "); got != "ap-northeast-3 to eu-west-3, eu-west-3 to ap-northeast-1" {
		t.Errorf("played %s", got)
	}
	if rtt := proxy.MeasuredRTT("eu-west-3", "ap-northeast-1"); rtt < 200*time.Millisecond || rtt > 250*time.Millisecond {
		t.Errorf("Paris to Tokyo takes %v", rtt)
	}
	if rtt := proxy.MeasuredRTT("", "mars"); rtt != 0 {
		t.Errorf("to Mars takes %v", rtt)
	}
}
