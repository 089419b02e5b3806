package sink

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// Limits of what is read out of a mail.
const (
	maxParts = 50
	maxDepth = 5
)

// Mail is a mail as it came.
type Mail struct {
	Number    int       `json:"number"`
	At        time.Time `json:"at"`
	From      string    `json:"from"` // of the envelope
	To        []string  `json:"to"`   // of the envelope
	Subject   string    `json:"subject"`
	MessageID string    `json:"message_id"`
	Language  string    `json:"language"`
	Text      string    `json:"text"`
	HTML      string    `json:"html"`
	Files     []File    `json:"files"`
	Size      int       `json:"size"` // bytes as sent
	Broken    string    `json:"broken,omitempty"`
}

// File is an attachment; its content is served apart.
type File struct {
	Name    string `json:"name"`
	Media   string `json:"media"`
	Bytes   int    `json:"bytes"`
	Content []byte `json:"-"`
}

func (m *Mail) isTo(address string) bool {
	return slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, address) })
}

// parse takes a mail apart; what cannot be read is shown as it is, with a word
// about why.
func parse(raw []byte) Mail {
	m := Mail{Size: len(raw), Files: []File{}}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		m.Text, m.Broken = string(bytes.ToValidUTF8(raw, []byte("\uFFFD"))), "no header: "+err.Error()
		return m
	}
	m.Subject = decoded(msg.Header.Get("Subject"))
	m.MessageID = strings.Trim(msg.Header.Get("Message-ID"), "<> ")
	m.Language = msg.Header.Get("Content-Language")
	left := maxParts
	if err := m.read(part{header: msg.Header.Get, body: msg.Body}, 0, &left); err != nil {
		m.Broken = err.Error()
	}
	return m
}

func decoded(header string) string {
	text, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		return header
	}
	return text
}

type part struct {
	header func(name string) string
	body   io.Reader
}

// read sorts a part and what is inside it.
func (m *Mail) read(p part, depth int, left *int) error {
	if *left--; *left < 0 || depth > maxDepth {
		return io.ErrShortBuffer
	}
	media, params, err := mime.ParseMediaType(p.header("Content-Type"))
	if err != nil {
		media = "text/plain"
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(p.body, params["boundary"])
		for {
			inner, err := parts.NextRawPart()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := m.read(part{header: inner.Header.Get, body: inner}, depth+1, left); err != nil {
				return err
			}
		}
	}
	content, err := io.ReadAll(transfer(p))
	if err != nil {
		return err
	}
	disposition, dparams, _ := mime.ParseMediaType(p.header("Content-Disposition"))
	switch {
	case disposition == "attachment":
		m.Files = append(m.Files, File{Name: decoded(dparams["filename"]), Media: p.header("Content-Type"), Bytes: len(content), Content: content})
	case media == "text/html" && m.HTML == "":
		m.HTML = string(bytes.ToValidUTF8(content, []byte("\uFFFD")))
	case m.Text == "":
		m.Text = string(bytes.ToValidUTF8(content, []byte("\uFFFD")))
	}
	return nil
}

// transfer undoes a part's transfer encoding.
func transfer(p part) io.Reader {
	switch strings.ToLower(p.header("Content-Transfer-Encoding")) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, p.body)
	case "quoted-printable":
		return quotedprintable.NewReader(p.body)
	}
	return p.body
}
