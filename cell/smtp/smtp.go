// Package smtp carries mails to a mail server by SMTP. It is the only place that
// knows MIME; what a mail says, and when to try again, is notify's.
package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"guichet/cell/mailaddr"
	"guichet/cell/notify"
	"guichet/internal/kind"
)

// ErrAddress is returned for a server's URL or a sender that cannot be used.
var ErrAddress = kind.Invalid.New("invalid_mail_configuration")

// timeout bounds a connection when the context says nothing shorter.
const timeout = 20 * time.Second

// Courier is a notify.Courier by SMTP. Each mail has a connection of its own.
type Courier struct {
	host   string
	from   *mail.Address
	domain string // of Message-IDs
	opts   []gomail.Option
}

// New makes a courier from the server's URL and the sender ("Guichet
// <tickets@example.org>").
//
//	smtp://user:password@host:587   STARTTLS is required
//	smtps://user:password@host:465  TLS from the first byte
//	smtp://127.0.0.1:1025?tls=off   in the clear: a sink on this machine, or a trusted network
func New(server, from string) (*Courier, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" {
		return nil, ErrAddress.With("the mail server is given as smtp://user:password@host:port") // never with the URL: it holds a password
	}
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, ErrAddress.With("%.100q is no sender like Guichet <tickets@example.org>", from)
	}
	c := &Courier{host: u.Hostname(), from: sender, domain: sender.Address[strings.LastIndexByte(sender.Address, '@')+1:]}
	port, opts, err := transport(u)
	if err != nil {
		return nil, err
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return nil, ErrAddress.With("the mail server's port is not one")
		}
	}
	c.opts = append(opts, gomail.WithPort(port), gomail.WithTimeout(timeout), gomail.WithHELO(c.domain))
	if u.User != nil {
		password, _ := u.User.Password()
		c.opts = append(c.opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	if _, err := gomail.NewClient(c.host, c.opts...); err != nil {
		return nil, ErrAddress.With("the mail server's URL cannot be used: %s", err.Error())
	}
	return c, nil
}

// transport reads scheme and query: how the connection is kept private.
func transport(u *url.URL) (port int, opts []gomail.Option, err error) {
	query := u.Query()
	plain := query.Get("tls") == "off"
	if len(query) > 1 || len(query) == 1 && !plain {
		return 0, nil, ErrAddress.With("the mail server's URL takes tls=off and no other parameter")
	}
	switch {
	case u.Scheme == "smtps" && !plain:
		return 465, []gomail.Option{gomail.WithSSL(), gomail.WithTLSConfig(tlsConfig(u))}, nil
	case u.Scheme == "smtp" && plain:
		if u.User != nil {
			return 0, nil, ErrAddress.With("a password is not sent in the clear: leave tls=off out, or the user")
		}
		return 25, []gomail.Option{gomail.WithTLSPolicy(gomail.NoTLS)}, nil
	case u.Scheme == "smtp":
		return 587, []gomail.Option{gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(tlsConfig(u))}, nil
	}
	return 0, nil, ErrAddress.With("the mail server's URL begins with smtp:// or smtps://")
}

func tlsConfig(u *url.URL) *tls.Config {
	return &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
}

// Send hands a mail to the server. What the server refuses for good about this
// mail is notify.ErrRefused; a server that refuses us is tried again.
func (c *Courier) Send(ctx context.Context, m notify.Mail) error {
	msg, err := c.message(m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(c.host, c.opts...)
	if err != nil {
		return fmt.Errorf("mail client: %w", err)
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach the mail server: %w", err)
	}
	// The library knows deadlines only; a context that ends cuts the connection. Its
	// own Close would wait for the answer that does not come.
	stop := context.AfterFunc(ctx, func() { _ = conn.Text.Close() })
	defer stop()
	err = client.SendWithSMTPClient(conn, msg)
	_ = client.CloseWithSMTPClient(conn) // it was taken or not; a QUIT that gets lost changes nothing
	if err == nil {
		return nil
	}
	var failed *gomail.SendError
	if errors.As(err, &failed) && failed.ErrorCode() >= 500 && aboutTheMail(failed.Reason) {
		return fmt.Errorf("%w: %s", notify.ErrRefused, err.Error())
	}
	return fmt.Errorf("hand the mail over: %w", err)
}

// aboutTheMail tells a refusal of the recipient or the content from one of ours.
func aboutTheMail(r gomail.SendErrReason) bool {
	return r == gomail.ErrSMTPRcptTo || r == gomail.ErrSMTPData || r == gomail.ErrSMTPDataClose
}

// message is the mail in MIME: text and HTML as alternatives, then the files.
func (c *Courier) message(m notify.Mail) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(c.from)
	to := mailaddr.Deliverable(m.To)
	if err := msg.AddTo(to); err != nil {
		return nil, fmt.Errorf("%w: the address cannot be written to", notify.ErrRefused)
	}
	if m.Name != "" {
		msg.ToMailAddress(&mail.Address{Name: m.Name, Address: to})
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID + "@" + c.domain)
	msg.SetDateWithValue(m.Date)
	msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday answers, please
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	for _, f := range m.Attachments {
		if err := msg.AttachReader(f.Name, bytes.NewReader(f.Content), gomail.WithFileContentType(gomail.ContentType(f.Media))); err != nil {
			return nil, fmt.Errorf("attach %s: %w", f.Name, err)
		}
	}
	return msg, nil
}
