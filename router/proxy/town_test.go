package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/router/health"
	"guichet/router/proxy"
	"guichet/router/route"
)

const (
	key    = "k3v9x2m4q7rt"
	own    = "8h2kd0q1w5zz9c6v"
	evtEUW = "evt_euw3_" + key
	evtAPN = "evt_apn1_" + key
	hldAPN = "hld_apn1_" + key + "_" + own

	inParis = "48.85,2.35"
	inOsaka = "34.69,135.5"
)

// cell is one process of a cell: a real HTTP server that remembers what it was asked.
type cell struct {
	id, region string
	server     *httptest.Server
	url        string
	answer     atomic.Pointer[http.HandlerFunc] // nil: answer 200 with who and what
	sick       atomic.Bool                      // /readyz says 503

	mu    sync.Mutex
	asked []*http.Request // without probes; bodies are read into asked[i].Form["body"]
}

func (c *cell) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		if c.sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	body, _ := io.ReadAll(r.Body)
	seen := r.Clone(context.WithoutCancel(r.Context()))
	seen.Form = map[string][]string{"body": {string(body)}}
	c.mu.Lock()
	c.asked = append(c.asked, seen)
	c.mu.Unlock()
	w.Header().Set(httpd.HeaderCell, c.id)
	if h := c.answer.Load(); h != nil {
		(*h)(w, r)
		return
	}
	fmt.Fprintf(w, "%s %s %s %s", c.id, r.Method, r.URL.RequestURI(), body)
}

func (c *cell) does(h http.HandlerFunc) { c.answer.Store(&h) }

func (c *cell) requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *cell) last(t *testing.T) *http.Request {
	t.Helper()
	all := c.requests()
	if len(all) == 0 {
		t.Fatalf("%s was not asked anything", c.id)
	}
	return all[len(all)-1]
}

// kill closes the process's port and connections, like kill −9.
func (c *cell) kill() {
	c.server.CloseClientConnections()
	c.server.Close()
}

// restart listens on the old port again.
func (c *cell) restart(t *testing.T) {
	t.Helper()
	var l net.Listener
	until(t, "the old port is free", func() (err error) {
		l, err = net.Listen("tcp", strings.TrimPrefix(c.url, "http://"))
		return err
	})
	c.start(l)
}

func (c *cell) start(l net.Listener) {
	c.server = httptest.NewUnstartedServer(c)
	if l != nil {
		_ = c.server.Listener.Close()
		c.server.Listener = l
	}
	c.server.Start()
	c.url = c.server.URL
}

func newCell(t *testing.T, id, region string) *cell {
	t.Helper()
	c := &cell{id: id, region: region}
	c.start(nil)
	t.Cleanup(func() { c.kill() })
	return c
}

// town is three cells behind a router.
type town struct {
	*proxy.Proxy
	euw3, use1, apn1 *cell
	snapshot         *topology.Snapshot
	checker          *health.Checker
	router           *httptest.Server
	m                atomic.Pointer[route.Map]
}

func (w *town) Map() *route.Map { return w.m.Load() }

func (w *town) publish(change func(*topology.Snapshot)) {
	s := *w.snapshot
	s.Cells = slices.Clone(s.Cells)
	s.Version++
	change(&s)
	w.snapshot = &s
	w.m.Store(route.NewMap(&s))
}

// newTown opens a town. With probes the cells' health is watched as in life;
// without, all cells count as up until the test says otherwise.
func newTown(t *testing.T, probes bool, edit func(*proxy.Config)) *town {
	t.Helper()
	w := &town{euw3: newCell(t, "euw3", "eu-west-3"), use1: newCell(t, "use1", "us-east-1"), apn1: newCell(t, "apn1", "ap-northeast-1"), snapshot: &topology.Snapshot{}}
	w.publish(func(s *topology.Snapshot) {
		for _, c := range []*cell{w.apn1, w.euw3, w.use1} {
			s.Cells = append(s.Cells, topology.Cell{ID: topology.CellID(c.id), Region: c.region, URLs: []string{c.url}, Weight: 100, State: topology.CellServing})
		}
	})
	w.checker = health.New(health.Config{
		Cells:  func() []topology.Cell { return w.Map().Snapshot().Cells },
		Period: 5 * time.Millisecond, Timeout: time.Second,
	})
	if probes {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); w.checker.Run(ctx) }()
		t.Cleanup(func() { stop(); <-done })
		w.untilUp(t, "euw3", "use1", "apn1")
	}
	cfg := proxy.Config{Town: w, Vitals: w.checker, Locator: proxy.Locator{TrustNear: true}, Default: "euw3", Now: time.Now}
	if edit != nil {
		edit(&cfg)
	}
	w.Proxy = proxy.New(cfg)
	w.router = httptest.NewServer(w.Proxy)
	t.Cleanup(w.router.Close)
	return w
}

func (w *town) untilUp(t *testing.T, ids ...topology.CellID) {
	t.Helper()
	until(t, fmt.Sprint(ids, " up"), func() error {
		seen := map[topology.CellID]bool{}
		for _, p := range w.checker.View().Processes() {
			seen[p.Cell] = p.Seen && p.Up
		}
		for _, id := range ids {
			if !seen[id] {
				return fmt.Errorf("%s is not up", id)
			}
		}
		return nil
	})
}

// answer is what a client of the router got.
type answer struct {
	*http.Response
	body string
}

func (a answer) code() string {
	var doc struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal([]byte(a.body), &doc)
	return doc.Code
}

// summary is status, cell, why and, of a problem, the code.
func (a answer) summary() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s", a.StatusCode, a.Header.Get(httpd.HeaderCell), a.Header.Get(httpd.HeaderRoute), a.code()))
}

// ask sends a request through the router; headers are given in pairs.
func (w *town) ask(t *testing.T, line, body string, headers ...string) answer {
	t.Helper()
	a, err := w.tryAsk(line, strings.NewReader(body), headers...)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return a
}

func (w *town) tryAsk(line string, body io.Reader, headers ...string) (answer, error) {
	method, target, _ := strings.Cut(line, " ")
	req, err := http.NewRequest(method, w.router.URL+target, body)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.router.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close() // read to its end
	raw, err := io.ReadAll(resp.Body)
	return answer{resp, string(raw)}, err
}

func until(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s: %v", what, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// says421 is a cell that is not the home and knows who is.
func says421(home string, epoch int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusMisdirectedRequest)
		fmt.Fprintf(w, `{"code":"moved","status":421,"home_cell":%q,"epoch":%d}`, home, epoch)
	}
}
