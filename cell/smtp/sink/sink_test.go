package sink

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestKeep_isBoundedByNumberAndBytes(t *testing.T) {
	t.Parallel()
	s := New(time.Now)
	for range MaxMails + 5 {
		s.keep(Mail{Size: 1, To: []string{"a@b.c"}})
	}
	if got := s.Mails(""); len(got) != MaxMails || got[0].Number != MaxMails+5 || s.bytes != MaxMails {
		t.Errorf("%d mails of %d bytes", len(got), s.bytes)
	}
	for range 10 {
		s.keep(Mail{Size: MaxMailBytes})
	}
	if got := len(s.Mails("")); s.bytes > MaxBytes || got != MaxBytes/MaxMailBytes {
		t.Errorf("%d mails of %d bytes", got, s.bytes)
	}
}

func TestAwait_returnsWhenTheMailIsThere(t *testing.T) {
	t.Parallel()
	s := New(time.Now)
	got := make(chan []Mail)
	go func() { got <- s.Await(t.Context(), "a@b.c", 2) }()
	for range 2 {
		s.keep(Mail{To: []string{"x@y.z"}})
		s.keep(Mail{To: []string{"a@b.c"}})
	}
	if n := len(<-got); n != 2 {
		t.Errorf("%d mails", n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n := len(s.Await(ended, "", 99)); n != 4 {
		t.Errorf("%d mails", n)
	}
}

// talk says lines to a sink and gives the codes that it answered.
func talk(t *testing.T, s *Sink, lines ...string) []string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		t.Fatal(err)
	}
	var codes []string
	for in := bufio.NewScanner(conn); in.Scan(); {
		if line := in.Text(); len(line) > 3 && line[3] == ' ' {
			codes = append(codes, line[:3])
		}
	}
	return codes
}

func TestServe_keepsToTheOrderOfCommandsAndRefusesWhatATestAsksToBeRefused(t *testing.T) {
	t.Parallel()
	s := New(time.Now)
	got := talk(t, s, "MAIL FROM:<a@b.c>", "HELO x", "RCPT TO:<a@b.c>", "DATA", "MAIL FROM:<a@b.c>",
		"RCPT TO:<refused@e.f>", "RCPT TO:<d@e.f>", "NOOP", "DATA", "Subject: hi", "", "..dot", ".", "DATA", "RSET", "QUIT")
	want := "220 502 250 502 502 250 550 250 250 354 250 502 250 221"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	if m := s.Mails("d@e.f"); len(m) != 1 || m[0].Subject != "hi" || strings.TrimSpace(m[0].Text) != ".dot" || m[0].From != "a@b.c" {
		t.Errorf("%+v", m)
	}
}

func TestServe_endsAtALineWithoutEnd(t *testing.T) {
	t.Parallel()
	got := talk(t, New(time.Now), strings.Repeat("x", 2*maxCommand))
	if last := got[len(got)-1]; last != "500" {
		t.Errorf("%v", got)
	}
}

func FuzzParse_neverPanicsAndStaysBounded(f *testing.F) {
	f.Add([]byte("Subject: =?utf-8?q?a?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n"))
	f.Add([]byte("Content-Type: multipart/a; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/a; boundary=c\r\n\r\n--c\r\nContent-Transfer-Encoding: base64\r\n\r\n!!\r\n"))
	f.Add([]byte("no header at all"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parse(raw)
		size := len(m.Text) + len(m.HTML)
		for _, file := range m.Files {
			size += len(file.Content)
		}
		if size > 3*len(raw)+16 || m.Size != len(raw) { // a broken byte becomes a character of three
			t.Errorf("%d bytes out of %d", size, len(raw))
		}
	})
}
