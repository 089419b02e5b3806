package sink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// session is one connection: enough of RFC 5321 for any client that sends.
type session struct {
	sink *Sink
	conn net.Conn
	in   *bufio.Reader

	greeted bool
	from    string
	begun   bool // MAIL was said
	to      []string
}

// command ends when it is answered by quit or when reading fails.
func (s *session) run() {
	s.in = bufio.NewReaderSize(s.conn, maxCommand)
	s.say("220 sink ESMTP, delivers to nobody")
	for {
		_ = s.conn.SetDeadline(s.sink.Now().Add(idle))
		line, err := s.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			s.say("500 5.5.2 line too long")
			return
		}
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		if !s.obey(strings.ToUpper(verb), strings.TrimSpace(rest)) {
			return
		}
	}
}

func (s *session) say(line string) { _, _ = io.WriteString(s.conn, line+"\r\n") }

// obey answers a command; false ends the session.
func (s *session) obey(verb, rest string) bool {
	switch verb {
	case "EHLO":
		s.reset()
		s.greeted = true
		s.say("250-sink")
		s.say("250-8BITMIME")
		s.say("250-SMTPUTF8")
		s.say("250-ENHANCEDSTATUSCODES")
		s.say(fmt.Sprintf("250 SIZE %d", MaxMailBytes))
	case "HELO":
		s.reset()
		s.greeted = true
		s.say("250 sink")
	case "MAIL":
		s.mail(rest)
	case "RCPT":
		s.rcpt(rest)
	case "DATA":
		return s.data()
	case "RSET":
		s.reset()
		s.say("250 2.0.0 forgotten")
	case "NOOP":
		s.say("250 2.0.0 still here")
	case "VRFY":
		s.say("252 2.5.0 everybody is welcome")
	case "QUIT":
		s.say("221 2.0.0 bye")
		return false
	default:
		s.say("502 5.5.1 not a command here")
	}
	return true
}

func (s *session) reset() { s.from, s.begun, s.to = "", false, nil }

// path reads FROM:<…> or TO:<…>; what follows it are parameters we need none of.
func path(rest, word string) (string, bool) {
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) {
		return "", false
	}
	rest = strings.TrimSpace(rest[len(word):])
	end := strings.IndexByte(rest, '>')
	if !strings.HasPrefix(rest, "<") || end < 0 {
		return "", false
	}
	return rest[1:end], true
}

func (s *session) mail(rest string) {
	from, ok := path(rest, "FROM:")
	switch {
	case !s.greeted || s.begun:
		s.say("503 5.5.1 not now")
	case !ok:
		s.say("501 5.5.4 MAIL FROM:<address>")
	default:
		s.from, s.begun = from, true
		s.say("250 2.1.0 go on")
	}
}

func (s *session) rcpt(rest string) {
	to, ok := path(rest, "TO:")
	_, err := mail.ParseAddress("<" + to + ">")
	switch {
	case !s.begun:
		s.say("503 5.5.1 not now")
	case !ok || err != nil:
		s.say("501 5.1.3 RCPT TO:<address>")
	case len(s.to) == maxRecipients:
		s.say("452 4.5.3 enough of them")
	case strings.HasPrefix(to, "refused@"): // for trying out what a refusal does
		s.say("550 5.1.1 nobody of that name")
	default:
		s.to = append(s.to, to)
		s.say("250 2.1.5 go on")
	}
}

// data reads the mail; one that is too long is read to its end and refused.
func (s *session) data() bool {
	if len(s.to) == 0 {
		s.say("503 5.5.1 to whom?")
		return true
	}
	s.say("354 end with a line of one dot")
	dot := textproto.NewReader(s.in).DotReader()
	limited := &deadlined{r: dot, conn: s.conn, now: s.sink.Now}
	raw, err := io.ReadAll(io.LimitReader(limited, MaxMailBytes+1))
	if err == nil && len(raw) > MaxMailBytes {
		_, err = io.Copy(io.Discard, io.LimitReader(limited, 10*MaxMailBytes))
		if err == nil {
			s.say("552 5.3.4 too long")
			s.reset()
		}
		return err == nil
	}
	if err != nil {
		return false
	}
	m := parse(raw)
	m.At, m.From, m.To = s.sink.Now(), s.from, s.to
	s.sink.keep(m)
	s.say("250 2.0.0 taken, and delivered to nobody")
	s.reset()
	return true
}

// deadlined moves the connection's deadline with every piece that comes.
type deadlined struct {
	r    io.Reader
	conn net.Conn
	now  func() time.Time
}

func (d *deadlined) Read(p []byte) (int, error) {
	_ = d.conn.SetReadDeadline(d.now().Add(idle))
	return d.r.Read(p)
}
