// Package sink is a mail server that delivers to nobody: it takes every mail on
// the loopback and shows it on a page and as JSON. It stands where a third party
// stands, for the town and for tests, and keeps the last mails in memory only.
package sink

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/net/netutil"
)

// Limits of a sink.
const (
	MaxMails       = 500
	MaxBytes       = 64 << 20 // of all mails kept; the oldest make room
	MaxMailBytes   = 10 << 20
	maxRecipients  = 100
	maxConnections = 32
	idle           = 30 * time.Second // between two commands
	maxCommand     = 2000             // octets of a line; RFC 5321 (4.5.3.1.6) allows 1000
)

// Sink takes mails and shows them.
type Sink struct {
	// Now stamps mails as they arrive.
	Now func() time.Time

	mu    sync.Mutex
	mails []Mail // oldest first
	bytes int
	taken int // ever
	more  chan struct{}
}

// New makes an empty sink.
func New(now func() time.Time) *Sink { return &Sink{Now: now, more: make(chan struct{})} }

// keep adds a mail and lets the oldest go.
func (s *Sink) keep(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	m.Number = s.taken
	s.mails = append(s.mails, m)
	s.bytes += m.Size
	for len(s.mails) > MaxMails || s.bytes > MaxBytes {
		s.bytes -= s.mails[0].Size
		s.mails[0] = Mail{}
		s.mails = s.mails[1:]
	}
	close(s.more)
	s.more = make(chan struct{})
}

// Mails are those kept to an address, or all for "", newest first.
func (s *Sink) Mails(to string) []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Mail{}
	for i := len(s.mails) - 1; i >= 0; i-- {
		if to == "" || s.mails[i].isTo(to) {
			found = append(found, s.mails[i])
		}
	}
	return found
}

// Await returns the mails to an address as soon as there are n of them, newest
// first, or what there is when ctx ends.
func (s *Sink) Await(ctx context.Context, to string, n int) []Mail {
	for {
		s.mu.Lock()
		more := s.more
		s.mu.Unlock()
		if found := s.Mails(to); len(found) >= n {
			return found
		}
		select {
		case <-more:
		case <-ctx.Done():
			return s.Mails(to)
		}
	}
}

// Serve takes mails by SMTP until ctx ends, then closes the listener and every
// connection.
func (s *Sink) Serve(ctx context.Context, l net.Listener) error {
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{sink: s}, nil }))
	server.Domain, server.EnableSMTPUTF8 = "sink", true
	server.MaxRecipients, server.MaxMessageBytes, server.MaxLineLength = maxRecipients, MaxMailBytes, maxCommand
	server.ReadTimeout, server.WriteTimeout = idle, idle
	server.ErrorLog = log.New(io.Discard, "", 0) // a client that hangs up is no event here
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Handler is the sink's page and JSON:
//
//	GET /                     the mails on a page
//	GET /mails?to=            the mails as JSON, newest first
//	GET /mails/{n}/html       a mail's HTML part
//	GET /mails/{n}/files/{i}  an attachment
//	GET /livez, /readyz       200
func (s *Sink) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /mails", s.list)
	mux.HandleFunc("GET /mails/{n}/html", s.html)
	mux.HandleFunc("GET /mails/{n}/files/{i}", s.file)
	for _, probe := range []string{"GET /livez", "GET /readyz"} {
		mux.HandleFunc(probe, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("{\"status\":\"ok\"}\n"))
		})
	}
	return mux
}

func (s *Sink) list(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // the reader may be gone
		Items []Mail `json:"items"`
	}{s.Mails(r.URL.Query().Get("to"))})
}

func (s *Sink) find(r *http.Request) (Mail, bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		return Mail{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.mails {
		if m.Number == n {
			return m, true
		}
	}
	return Mail{}, false
}

// foreign marks what came by mail: it runs nothing and loads nothing here.
func foreign(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
}

func (s *Sink) html(w http.ResponseWriter, r *http.Request) {
	m, ok := s.find(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	foreign(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(m.HTML))
}

func (s *Sink) file(w http.ResponseWriter, r *http.Request) {
	m, ok := s.find(r)
	i, err := strconv.Atoi(r.PathValue("i"))
	if !ok || err != nil || i < 0 || i >= len(m.Files) {
		http.NotFound(w, r)
		return
	}
	foreign(w)
	f := m.Files[i]
	media := "application/octet-stream"
	if known, _, _ := strings.Cut(f.Media, ";"); known == "application/pdf" || known == "text/calendar" {
		media = known
	}
	w.Header().Set("Content-Type", media)
	_, _ = w.Write(f.Content)
}

var pageTemplate = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Mail sink</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
article{border-top:1px solid #ccc;padding:.5rem 0}pre{white-space:pre-wrap;background:#f6f6f6;padding:.5rem 1rem}</style>
<h1>Mail sink</h1><p>Mails that the town sent. They went to nobody. The last {{.Max}} are kept, in memory.</p>
{{range .Mails}}<article><h2>{{.Subject}}</h2><p>to {{range .To}}{{.}} {{end}}from {{.From}}, {{.At.Format "15:04:05"}}{{if .HTML}}, <a href="/mails/{{.Number}}/html">HTML</a>{{end}}
{{$n := .Number}}{{range $i, $f := .Files}}, <a href="/mails/{{$n}}/files/{{$i}}">{{$f.Name}}</a>{{end}}</p><pre>{{.Text}}</pre></article>
{{else}}<p>none yet</p>{{end}}</html>`))

func (s *Sink) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_ = pageTemplate.Execute(w, struct {
		Max   int
		Mails []Mail
	}{MaxMails, s.Mails("")})
}
