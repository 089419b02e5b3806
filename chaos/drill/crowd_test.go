package drill

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"guichet/internal/pgproxy"
)

const (
	crowdWanted = 50_000
	crowdSpare  = 3_000 // file descriptors for everything else
	// crowdMemory is what a cell's process may grow by for each connection that
	// waits or was refused (docs/desk.md), in bytes; the process itself comes on top.
	crowdMemory = 32 << 10
	crowdFloor  = 256 << 20
	// streamMemory is that for a request that shares a connection.
	streamMemory = 12 << 10
	// deskQueue and deskBatch are booking.MaxQueue and booking.BatchSize.
	deskQueue, deskBatch = 8192, 512
)

// 50,000 people, or as many as the machine gives connections where each has his own, ask one
// cell for the same event while its database stands still. The queue is bounded, whoever does
// not fit is told 429 and when to come back, the process does not outgrow its
// limit, and when the database goes on everybody is answered.
func TestCrowd_ofAnOnSaleBehindAStalledDatabaseIsBoundedAndRefusedCleanly(t *testing.T) {
	connected := &crowd{n: crowdSize(t), ask: (*crowd).connect, each: crowdMemory}
	t.Run("each over a connection of his own", connected.behindAStalledDatabase)
	multiplexed := &crowd{n: crowdWanted, ask: (*crowd).multiplex, each: streamMemory}
	t.Run("all over few", multiplexed.behindAStalledDatabase)
}

func (c *crowd) behindAStalledDatabase(t *testing.T) {
	var stalled atomic.Bool
	release := make(chan struct{})
	hold := func(_ *pgproxy.Conn, m []byte) []byte {
		if stalled.Load() {
			<-release
		}
		return m
	}
	p := openPair(t, 1_000_000, func(i int) pgproxy.Hook {
		if i == 0 {
			return hold
		}
		return nil
	}, nil)
	must(t, p.cells[1].Kill()) // one process, so that every request is its own
	l := p.buyers(t.Context(), 0)
	l.probe(t, 0, time.Now()) // it knows the event
	before, err := p.cells[0].RSS()
	must(t, err)
	stalled.Store(true)
	c.p = p
	c.ask(c, t)
	until(t, 2*time.Minute, "everybody waits or was answered", func() bool {
		return c.answered.Load()+c.failed.Load()+waitingAt(t, p.cells[0].Private) >= int64(c.n)
	})
	after, err := p.cells[0].RSS()
	must(t, err)
	waiting := waitingAt(t, p.cells[0].Private)
	limit := int64(crowdFloor + c.n*c.each)
	t.Logf("%d requests: %d wait, %d were answered at once; the process grew from %d to %d MiB, limit %d", c.n, waiting, c.answered.Load(), before>>20, after>>20, (before+limit)>>20)
	if waiting > deskQueue+deskBatch || after-before > limit {
		t.Errorf("%d wait and the process grew by %d bytes; at most %d and %d may", waiting, after-before, deskQueue+deskBatch, limit)
	}
	stalled.Store(false)
	close(release)
	c.all.Wait()
	acks := l.finish(t)
	c.judge(t, p, len(acks))
}

// crowdSize is how many connections the limits on files allow, in this process and in the cell's.
func crowdSize(t *testing.T) int {
	t.Helper()
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	ports := 25_000 // to one address, of those that the kernel hands out
	return min(crowdWanted, ports, int(files.Cur)-crowdSpare)
}

// waitingAt is what the process says of its desks.
func waitingAt(t *testing.T, url string) int64 {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "guichet_desk_waiting "); ok {
			n, err := strconv.ParseFloat(value, 64)
			must(t, err)
			return int64(n)
		}
	}
	t.Fatal("the process does not say how many wait")
	return 0
}

// crowd is everybody who asks at once.
type crowd struct {
	p                *pair
	n                int
	ask              func(c *crowd, t *testing.T)
	each             int // bytes that the process may grow by for each
	answered, failed atomic.Int64
	all              sync.WaitGroup

	mu      sync.Mutex
	codes   map[string]int
	holds   []string
	unclean []string
}

func (c *crowd) body() string {
	return fmt.Sprintf(`{"items":[{"ticket_type_id":%q,"quantity":1}]}`, c.p.event.TicketTypes[0].ID)
}

// multiplex asks over HTTP/2, as somebody does who stands before the cells: two hundred
// connections take everybody's requests.
func (c *crowd) multiplex(t *testing.T) {
	t.Helper()
	c.codes = map[string]int{}
	body := c.body()
	var client *http.Client
	for i := range c.n {
		if i%streams == 0 {
			client = c.connection(t)
		}
		asks := client
		c.all.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.p.cells[0].URL+"/v1/events/"+c.p.event.ID+"/holds", strings.NewReader(body))
			if err != nil {
				c.fail(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Idempotency-Key", "crowd-"+strconv.Itoa(i))
			resp, err := asks.Do(req)
			if err != nil {
				c.fail(err)
				return
			}
			defer resp.Body.Close()
			raw, err := io.ReadAll(resp.Body)
			if err != nil {
				c.fail(err)
				return
			}
			c.told(resp, raw)
		})
	}
}

// streams are the requests that a connection takes at once, of httpd's 250.
const streams = 240

// connection is a client with one open connection, and no other.
func (c *crowd) connection(t *testing.T) *http.Client {
	t.Helper()
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &h2, HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	resp, err := client.Get(c.p.cells[0].URL + "/livez")
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	return client
}

// connect asks over a connection for each.
func (c *crowd) connect(t *testing.T) {
	t.Helper()
	c.codes = map[string]int{}
	address := strings.TrimPrefix(c.p.cells[0].URL, "http://")
	body := c.body()
	for i := range c.n {
		conn, err := net.DialTimeout("tcp", address, 30*time.Second)
		if err == nil {
			_, err = fmt.Fprintf(conn, "POST /v1/events/%s/holds HTTP/1.1\r\nHost: cell\r\nContent-Type: application/json\r\nIdempotency-Key: crowd-%d\r\nContent-Length: %d\r\n\r\n%s", c.p.event.ID, i, len(body), body)
		}
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.all.Go(func() { c.hear(conn) })
	}
}

// hear takes one answer and keeps the connection open until all have theirs, as
// browsers do.
func (c *crowd) hear(conn net.Conn) {
	late := conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	reader := bufio.NewReaderSize(conn, 512)
	resp, err := http.ReadResponse(reader, nil)
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil || late != nil {
		c.fail(err)
		_ = conn.Close()
		return
	}
	c.told(resp, raw)
}

func (c *crowd) fail(err error) {
	c.failed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unclean = append(c.unclean, fmt.Sprint(err))
}

// told sorts an answer.
func (c *crowd) told(resp *http.Response, raw []byte) {
	c.answered.Add(1)
	var answer struct{ ID, Code string }
	err := json.Unmarshal(raw, &answer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[strconv.Itoa(resp.StatusCode)+" "+answer.Code]++
	switch {
	case err != nil:
		c.unclean = append(c.unclean, string(raw))
	case resp.StatusCode == http.StatusCreated:
		c.holds = append(c.holds, answer.ID)
	case resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "":
		c.unclean = append(c.unclean, fmt.Sprint(resp.StatusCode, resp.Header, string(raw)))
	}
}

// judge holds the answers to the promises: everybody got a clean one, and every
// hold that was told is kept.
func (c *crowd) judge(t *testing.T, p *pair, others int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("answers: %v", c.codes)
	if len(c.unclean) > 0 {
		t.Errorf("%d answers were not clean, the first: %.500s", len(c.unclean), c.unclean[0])
	}
	if c.codes["429 busy"] < c.n-deskQueue-2*deskBatch {
		t.Errorf("of %d only %d were refused at once", c.n, c.codes["429 busy"])
	}
	kept := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1 AND hold_id = ANY($2)`, p.event.ID, c.holds)
	all := p.number(t, `SELECT count(*) FROM booking.hold WHERE event_id = $1`, p.event.ID)
	held := p.number(t, `SELECT held FROM booking.quota WHERE event_id = $1`, p.event.ID)
	if kept != int64(len(c.holds)) || held != all || all < kept+int64(others) {
		t.Errorf("%d holds were told, %d of them are kept, of %d in all, with %d counted", len(c.holds), kept, all, held)
	}
}
