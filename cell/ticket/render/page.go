package render

import (
	"guichet/cell/ticket"
	"guichet/cell/ticket/render/pdf"
)

// Measures of a page in points; A4 is 595 wide.
const (
	margin    = 48
	textWidth = 595 - 2*margin
	qrWidth   = 228 // 8 cm: what a laser at arm's length likes
	columnGap = 28
	column    = margin + qrWidth + columnGap
)

// labelGray is the color of labels; on white its contrast is 6 to 1.
const labelGray = 0.376

// Sizes of text. Multiples of 3, so that a pixel of the 12-pixel bitmap font is
// a quarter of a point and edges fall alike everywhere.
const (
	titleSize = 24
	textSize  = 12
	smallSize = 9
)

const boxNote = "Some letters could not be printed here and stand as boxes. The full text is on the ticket page."

func addPage(doc *pdf.Document, tools *tools, p Page) error {
	claims, err := ticket.Peek(p.Barcode)
	if err != nil {
		return err
	}
	s := setter{page: doc.Page(), tools: tools, country: p.Country, whole: true}

	y := s.put(margin, margin, textWidth, p.Event, titleSize, bold, 3)
	y = s.put(margin, y+6, textWidth, p.Venue, textSize, regular, 2)
	y = s.put(margin, y, textWidth, when(p.StartsAt, p.TimeZone), textSize, regular, 2)
	y += 14
	s.page.Line(0.75, margin, y, margin+textWidth, y)
	y += 18

	if err := drawCode(s.page, p.Barcode, margin, y); err != nil {
		return err
	}
	below := y
	for _, field := range []struct{ label, value string }{
		{"Ticket", p.Type},
		{"Section", p.Section},
		{"Row", p.Row},
		{"Seat", p.Seat},
		{"Attendee", p.Attendee},
		{"Order", p.OrderCode},
		{"Issued", claims.IssuedAt.Format("2 January 2006, 15:04 UTC")},
	} {
		if field.value == "" {
			continue
		}
		s.page.Gray(labelGray)
		below = s.put(column, below, margin+textWidth-column, field.label, smallSize, regular, 1)
		s.page.Gray(0)
		below = s.put(column, below, margin+textWidth-column, field.value, textSize, regular, 3) + 10
	}
	y = max(y+qrWidth, below) + 14
	y = s.put(margin, y, textWidth, claims.Ticket.String(), smallSize, regular, 2)
	y = s.put(margin, y, textWidth, p.PageURL, smallSize, regular, 3)
	y = s.put(margin, y+6, textWidth, "Show this code at the entrance, on paper or on a screen. It admits once.", smallSize, regular, 2)
	if !s.whole {
		s.put(margin, y, textWidth, boxNote, smallSize, bold, 2)
	}
	return nil
}

// drawCode draws the QR code as shapes, sharp at any size, quiet zone included.
func drawCode(page *pdf.Page, barcode string, x, y float64) error {
	modules, err := code(barcode)
	if err != nil {
		return err
	}
	fill(page, modules, x, y, float64(qrWidth)/float64(len(modules)))
	return nil
}
