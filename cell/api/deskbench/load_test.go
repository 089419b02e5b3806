package deskbench

import (
	"bufio"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what one variant did in all its rounds with one number of clients.
type sample struct {
	times   []time.Duration
	granted int64 // 201
	refused int64 // 429
	span    time.Duration
	used    cpu
}

func (s *sample) at(percent int) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	slices.Sort(s.times)
	return s.times[min(len(s.times)*percent/100, len(s.times)-1)]
}

func (s *sample) rate() float64 { return float64(s.granted) / s.span.Seconds() }

// cost is what a hold took of the cores, in µs: here, and in PostgreSQL's sessions.
func (s *sample) cost() (here, there float64) {
	n := float64(max(s.granted, 1))
	return float64(s.used.here.Microseconds()) / n, float64(s.used.there.Microseconds()) / n
}

// request says what a client asks for next.
type request func(r *rand.Rand) (path, body string)

// fixed asks for the same again and again.
func fixed(path, body string) request {
	return func(*rand.Rand) (string, string) { return path, body }
}

// round lets clients post one hold after the other, each on a connection of its
// own, for a span of time.
func round(addr string, ask request, clients int, span time.Duration, into *sample) error {
	var mu sync.Mutex
	var fault error
	var granted, refused atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for i := range clients {
		working.Go(func() {
			times, err := keepPosting(addr, ask, rand.New(rand.NewPCG(uint64(i), 7)), began.Add(span), &granted, &refused)
			mu.Lock()
			defer mu.Unlock()
			into.times = append(into.times, times...)
			fault = errors.Join(fault, err)
		})
	}
	working.Wait()
	into.span += time.Since(began)
	into.granted += granted.Load()
	into.refused += refused.Load()
	return fault
}

func keepPosting(addr string, ask request, r *rand.Rand, end time.Time, granted, refused *atomic.Int64) (times []time.Duration, err error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	defer c.close()
	for time.Now().Before(end) {
		path, body := ask(r)
		at := time.Now()
		status, answer, err := c.post(path, body)
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(at))
		switch status {
		case http.StatusCreated:
			granted.Add(1)
		case http.StatusTooManyRequests:
			refused.Add(1)
		default:
			return times, fmt.Errorf("answered %d: %.200s", status, answer)
		}
	}
	return times, nil
}

// connection posts on one connection. Requests are written by hand: the clients
// share the machine with what they measure.
type connection struct {
	conn net.Conn
	r    *bufio.Reader
	key  string
	n    int
	buf  []byte
}

func dial(addr string) (*connection, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, r: bufio.NewReader(conn), key: crand.Text()}, nil
}

func (c *connection) close() { _ = c.conn.Close() }

func (c *connection) post(path, body string) (status int, answer []byte, err error) {
	c.n++
	c.buf = append(c.buf[:0], "POST "...)
	c.buf = append(c.buf, path...)
	c.buf = append(c.buf, " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: "...)
	c.buf = strconv.AppendInt(c.buf, int64(len(body)), 10)
	c.buf = append(c.buf, "\r\nIdempotency-Key: "...)
	c.buf = append(c.buf, c.key...)
	c.buf = strconv.AppendInt(c.buf, int64(c.n), 10)
	c.buf = append(append(c.buf, "\r\n\r\n"...), body...)
	if _, err := c.conn.Write(c.buf); err != nil {
		return 0, nil, err
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(res.Body)
	_ = res.Body.Close()
	return res.StatusCode, answer, err
}
