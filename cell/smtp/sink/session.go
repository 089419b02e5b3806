package sink

import (
	"io"
	"net/mail"
	"strings"

	"github.com/emersion/go-smtp"
)

// refusedPrefix begins the addresses that the sink refuses, for trying out what a refusal does.
const refusedPrefix = "refused@"

var (
	errNoSuchUser = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "There is no such user"}
	errAddress    = &smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "The address is not valid"}
)

// session takes the mails of one connection; RFC 5321 is spoken by go-smtp.
type session struct {
	sink *Sink
	from string
	to   []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if _, err := mail.ParseAddress("<" + to + ">"); err != nil {
		return errAddress
	}
	if strings.HasPrefix(to, refusedPrefix) {
		return errNoSuchUser
	}
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session. The reader ends with an error at MaxMailBytes.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := parse(raw)
	m.At, m.From, m.To = s.sink.Now(), s.from, s.to
	s.sink.keep(m)
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }
