package deskbench

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
}

func (s *sample) at(percent int) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	slices.Sort(s.times)
	return s.times[min(len(s.times)*percent/100, len(s.times)-1)]
}

func (s *sample) rate() float64 { return float64(s.granted) / s.span.Seconds() }

// round lets clients post one hold after the other, each on a connection of its
// own, for a span of time. Requests are written by hand: the clients share the
// machine with what they measure.
func round(addr, path, body string, clients int, span time.Duration, into *sample) error {
	var mu sync.Mutex
	var fault error
	var granted, refused atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for range clients {
		working.Go(func() {
			times, err := post(addr, path, body, began.Add(span), &granted, &refused)
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

func post(addr, path, body string, end time.Time, granted, refused *atomic.Int64) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	var times []time.Duration
	key := rand.Text()
	head := "POST " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nIdempotency-Key: " + key
	buf := make([]byte, 0, 1024)
	for i := 0; time.Now().Before(end); i++ {
		buf = append(append(append(append(buf[:0], head...), strconv.Itoa(i)...), "\r\n\r\n"...), body...)
		at := time.Now()
		if _, err := conn.Write(buf); err != nil {
			return times, err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return times, err
		}
		answer, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(at))
		switch res.StatusCode {
		case http.StatusCreated:
			granted.Add(1)
		case http.StatusTooManyRequests:
			refused.Add(1)
		default:
			return times, fmt.Errorf("answered %d: %.200s", res.StatusCode, answer)
		}
	}
	return times, nil
}
