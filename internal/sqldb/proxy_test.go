package sqldb_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a pool and PostgreSQL and reads both sides' messages.
// request and reply say what to pass on in a message's place; nil cuts the
// connection. Both may be nil. They are called by several goroutines.
type proxy struct {
	request, reply func(message []byte) []byte

	target  string
	mu      sync.Mutex
	queries []string // simple queries that were seen
}

// through starts the proxy before dsn and answers the URL that leads through it.
func (p *proxy) through(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p.target = u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	u.Host = l.Addr().String()
	return u.String()
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	startup, err := message(client, 0)
	if err != nil {
		return
	}
	if _, err := server.Write(startup); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { pump(client, server, p.note) })
	both.Go(func() { pump(server, client, p.reply) })
	both.Wait()
}

// note remembers simple queries ('Q') on their way.
func (p *proxy) note(m []byte) []byte {
	if m[0] == 'Q' {
		p.mu.Lock()
		p.queries = append(p.queries, query(m))
		p.mu.Unlock()
	}
	if p.request == nil {
		return m
	}
	return p.request(m)
}

// saw counts the simple queries that contain text.
func (p *proxy) saw(text string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.queries {
		if strings.Contains(q, text) {
			n++
		}
	}
	return n
}

func query(m []byte) string {
	if m[0] != 'Q' {
		return ""
	}
	return strings.TrimSuffix(string(m[5:]), "\x00")
}

// pump passes messages on until one side ends, then ends the other.
func pump(from, to net.Conn, change func([]byte) []byte) {
	defer from.Close()
	defer to.Close()
	for {
		m, err := message(from, 1)
		if err != nil {
			return
		}
		if change != nil {
			if m = change(m); m == nil {
				return
			}
		}
		if _, err := to.Write(m); err != nil {
			return
		}
	}
}

// message reads one message whole: a type byte (the startup message has none),
// then its length, which counts itself.
func message(r io.Reader, typeBytes int) ([]byte, error) {
	head := make([]byte, typeBytes+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	body := make([]byte, int(binary.BigEndian.Uint32(head[typeBytes:]))-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{head, body}, nil), nil
}
