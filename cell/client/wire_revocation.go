package client

import (
	"strconv"
	"strings"
	"time"
)

// Revocations are barcodes of an event that must not be let in any more, a page
// of them, signed by the event's home. A gate has all of them when its last page
// ends at Head; IssuedAt says how old that knowledge is.
type Revocations struct {
	EventID    string       `json:"event_id"`
	After      int64        `json:"after"`     // the page begins behind this number
	Head       int64        `json:"head"`      // number of the last one there was
	IssuedAt   time.Time    `json:"issued_at"` // whole seconds
	Items      []Revocation `json:"items"`
	NextCursor *string      `json:"next_cursor"`
	KeyID      string       `json:"kid"`
	Signature  string       `json:"signature"` // Ed25519 of the text, base64url without padding
}

// Revocation is one barcode that died. Its mark is the first 16 bytes of SHA-256
// of "guichet revocation v1\x00" and the barcode, in base64url: who has the
// barcode finds it, who has the list learns no ticket.
type Revocation struct {
	Seq  int64     `json:"seq"` // from 1, without gaps
	Mark string    `json:"mark"`
	At   time.Time `json:"at"` // whole seconds
}

// Text is what the signature is about.
func (r *Revocations) Text() string {
	var b strings.Builder
	b.WriteString(r.EventID + "\n" + strconv.FormatInt(r.After, 10) + "\n" + strconv.FormatInt(r.Head, 10) + "\n" + r.IssuedAt.UTC().Format(time.RFC3339) + "\n")
	for _, i := range r.Items {
		b.WriteString(strconv.FormatInt(i.Seq, 10) + " " + i.Mark + " " + i.At.UTC().Format(time.RFC3339) + "\n")
	}
	return b.String()
}
