// Package render puts tickets on paper and screens: a PNG of the barcode and a
// PDF with a page per ticket. It decides nothing and asks nobody: the same page
// gives the same bytes, today and in a year, so a ticket can be made again
// wherever it is asked for.
//
// Names come in all the world's scripts. Latin, Greek and Cyrillic are set in
// the Go fonts; Arabic, Hebrew, Thai, Devanagari and others in subsets of Noto, joined
// and ordered as the script wants it; Chinese, Japanese and Korean are drawn
// from a bitmap font; a letter that none has becomes a visible box and the
// page says where the name stands in full. Nothing is ever dropped in silence.
package render

import (
	"fmt"
	"time"

	"guichet/cell/ticket"
	"guichet/cell/ticket/render/pdf"
	"guichet/internal/kind"
)

// ErrTooMany is returned for more pages than a document may have.
var ErrTooMany = kind.Unprocessable.New("too_many_tickets")

// MaxPages is the most tickets in one document.
const MaxPages = 200

// Page is one ticket as it is to be printed.
type Page struct {
	Barcode   string // as ticket.Signer made it; checked for form, not for its signature
	Event     string
	Venue     string // "Suntory Hall, Tokyo"
	Country   string // of the venue, ISO 3166-1; decides how Chinese characters are drawn
	StartsAt  time.Time
	TimeZone  string // IANA name; the date is printed as the clock on the venue's wall says
	Type      string // of the ticket: "Balcony"
	Attendee  string // may be empty
	OrderCode string
	Section   string // of the seat; empty, like the next two, for general admission
	Row       string
	Seat      string
	PageURL   string // where the ticket can be seen in full; may be empty
}

// PDF is a document with one A4 page per ticket, in the order given.
func PDF(pages []Page) ([]byte, error) {
	return document(pages, true)
}

// document leaves the content readable for tests when it is not to be compressed.
func document(pages []Page, compress bool) ([]byte, error) {
	if len(pages) == 0 || len(pages) > MaxPages {
		return nil, ErrTooMany.With("a document has 1 to %d tickets, not %d", MaxPages, len(pages)).Field("limit", MaxPages)
	}
	first, err := ticket.Peek(pages[0].Barcode)
	if err != nil {
		return nil, fmt.Errorf("print ticket: %w", err)
	}
	// The same ticket is the same file: no clock, no map order.
	doc := &pdf.Document{Title: clean(pages[0].Event), At: first.IssuedAt, Plain: !compress}
	tools, _ := idle.Get().(*tools)
	defer idle.Put(tools)
	for _, p := range pages {
		if err := addPage(doc, tools, p); err != nil {
			return nil, fmt.Errorf("print ticket: %w", err)
		}
	}
	return doc.Bytes()
}

// when is the start as the venue's clock shows it. A zone this machine does not
// know leaves the offset the time came with, and says so.
func when(at time.Time, zone string) string {
	const day = "Monday 2 January 2006, 15:04"
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return at.Format(day + " (UTC-07:00)")
	}
	at = at.In(loc)
	return at.Format(day) + " (" + loc.String() + ", " + at.Format("UTC-07:00") + ")"
}
