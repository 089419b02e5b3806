// Package pgproxy stands between a program and PostgreSQL, reads the messages of
// both and lets a test lose, change or delay any of them: a COMMIT whose answer
// never comes, a process that stops in mid-batch. It is for tests and drills; no
// program imports it. It speaks as much of the protocol as its framing: a type
// byte and a length (PostgreSQL documentation, "Message Formats"), no TLS.
package pgproxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of the proxy.
const (
	maxMessage  = 64 << 20
	dialTimeout = 5 * time.Second
)

// Hook is shown a message, whole, and says what to pass on in its place; nil cuts
// the connection, an empty message passes nothing on. Hooks are called by many
// goroutines, for one connection by one at a time in each direction.
type Hook func(c *Conn, message []byte) []byte

// Conn is one connection, for hooks to remember what they saw on it.
type Conn struct {
	mu       sync.Mutex
	lost     bool              // guarded by mu
	notes    map[string]string // guarded by mu
	prepared map[string]string // guarded by mu: texts of statements by name
}

// LoseAnswers lets what was asked happen, and cuts the connection in place of the answer.
func (c *Conn) LoseAnswers() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = true
}

func (c *Conn) losing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// Note keeps a text with the connection.
func (c *Conn) Note(name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes[name] = text
}

// Noted is what was kept, "" for nothing.
func (c *Conn) Noted(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes[name]
}

// Proxy listens on a free local port until it is closed.
type Proxy struct {
	request, reply Hook
	listener       net.Listener
	target         string

	mu    sync.Mutex
	conns map[net.Conn]struct{} // clients' ends
}

// Start opens a proxy before the server that dsn names. Hooks may be nil.
func Start(ctx context.Context, dsn string, request, reply Hook) (*Proxy, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the database URL cannot be read") // the error would quote a password
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p := &Proxy{request: request, reply: reply, listener: l, target: u.Host, conns: map[net.Conn]struct{}{}}
	go p.accept() //nolint:contextcheck // connections outlive the call; Close ends them
	return p, nil
}

// URL is dsn, led through the proxy.
func (p *Proxy) URL(dsn string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", errors.New("the database URL cannot be read")
	}
	u.Host = p.listener.Addr().String()
	return u.String(), nil
}

// Cut cuts every connection; new ones are taken.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// Close takes no more connections and cuts those there are.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Cut()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns[client] = struct{}{}
		p.mu.Unlock()
		go func() {
			p.serve(client)
			p.mu.Lock()
			delete(p.conns, client)
			p.mu.Unlock()
		}()
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	startup, err := read(client, 0)
	if err != nil {
		return
	}
	if _, err := server.Write(startup); err != nil {
		return
	}
	if IsCancel(startup) {
		_, _ = io.Copy(client, server)
		return
	}
	c := &Conn{notes: map[string]string{}, prepared: map[string]string{}}
	var both sync.WaitGroup
	both.Go(func() { pump(c, client, server, p.asked) })
	both.Go(func() { pump(c, server, client, p.answers) })
	both.Wait()
}

// asked is the request hook behind the memory of prepared statements.
func (p *Proxy) asked(c *Conn, m []byte) []byte {
	if m[0] == 'P' {
		if parts := bytes.SplitN(m[5:], []byte{0}, 3); len(parts) == 3 {
			c.mu.Lock()
			c.prepared[string(parts[0])] = string(parts[1])
			c.mu.Unlock()
		}
	}
	if p.request == nil {
		return m
	}
	return p.request(c, m)
}

// answers is the reply hook behind LoseAnswers.
func (p *Proxy) answers(c *Conn, m []byte) []byte {
	if c.losing() {
		if m[0] == 'Z' { // ready again: what was asked is done
			return nil
		}
		return []byte{}
	}
	if p.reply == nil {
		return m
	}
	return p.reply(c, m)
}

// pump passes messages on until one side ends, then ends the other.
func pump(c *Conn, from, to net.Conn, change Hook) {
	defer from.Close()
	defer to.Close()
	for {
		m, err := read(from, 1)
		if err != nil {
			return
		}
		if change != nil {
			if m = change(c, m); m == nil {
				return
			}
		}
		if _, err := to.Write(m); err != nil {
			return
		}
	}
}

// read reads one message whole: a type byte (the startup message has none), then
// its length, which counts itself.
func read(r io.Reader, typeBytes int) ([]byte, error) {
	head := make([]byte, typeBytes+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[typeBytes:])
	if length < 4 || length > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return slices.Concat(head, body), nil
}

// cancelRequest is the code in place of a protocol version.
const cancelRequest = 80877102

// IsCancel says whether a startup message asks to cancel another session's query.
func IsCancel(startup []byte) bool {
	return len(startup) >= 8 && binary.BigEndian.Uint32(startup[4:]) == cancelRequest
}

// Runs is the text of the statement that a message runs: a simple query, or a
// prepared statement that is given its arguments; "" of any other message.
func (c *Conn) Runs(m []byte) string {
	switch m[0] {
	case 'Q':
		return strings.TrimSuffix(string(m[5:]), "\x00")
	case 'B':
		if parts := bytes.SplitN(m[5:], []byte{0}, 3); len(parts) == 3 {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.prepared[string(parts[1])]
		}
	}
	return ""
}

// Commits says whether a message is the COMMIT of a transaction.
func (c *Conn) Commits(m []byte) bool { return strings.EqualFold(c.Runs(m), "commit") }

// Blank overwrites a text inside a message with spaces, so that its length stays.
func Blank(m []byte, text string) []byte {
	return bytes.ReplaceAll(m, []byte(text), bytes.Repeat([]byte{' '}, len(text)))
}
