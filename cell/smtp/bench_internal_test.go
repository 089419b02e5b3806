package smtp

import (
	"io"
	"testing"

	"guichet/cell/notify"
)

// What a mail's MIME costs; docs/bench/mail.md has the figures.
func BenchmarkMessage(b *testing.B) {
	c, err := New("smtp://127.0.0.1:25?tls=off", "Guichet <tickets@example.org>")
	if err != nil {
		b.Fatal(err)
	}
	m := notify.Mail{
		To: "zoe@example.org", Name: "Zoë", Subject: "Tickets", Text: "Hello", HTML: "<p>Hello</p>",
		Attachments: []notify.Attachment{{Name: "tickets.pdf", Media: "application/pdf", Content: make([]byte, 20_000)}},
	}
	b.ReportAllocs()
	for b.Loop() {
		msg, err := c.message(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := msg.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
