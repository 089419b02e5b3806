package render

import (
	"fmt"

	"github.com/go-pdf/fpdf"
	qrcode "github.com/skip2/go-qrcode"

	"guichet/cell/ticket"
)

// Measures of a page in points; A4 is 595 wide.
const (
	margin    = 48
	textWidth = 595 - 2*margin
	qrWidth   = 228 // 8 cm: what a laser at arm's length likes
	columnGap = 28
	column    = margin + qrWidth + columnGap
)

// Sizes of text. Multiples of 3, so that a pixel of the 12-pixel bitmap font is
// a quarter of a point and edges fall alike everywhere.
const (
	titleSize = 24
	textSize  = 12
	smallSize = 9
)

const boxNote = "Some letters could not be printed here and stand as boxes. The full text is on the ticket page."

func addPage(pdf *fpdf.Fpdf, p Page) error {
	claims, err := ticket.Peek(p.Barcode)
	if err != nil {
		return err
	}
	pdf.AddPage()
	s := setter{pdf: pdf, country: p.Country, whole: true}

	y := s.put(margin, margin, textWidth, p.Event, titleSize, bold, 3)
	y = s.put(margin, y+6, textWidth, p.Venue, textSize, regular, 2)
	y = s.put(margin, y, textWidth, when(p.StartsAt, p.TimeZone), textSize, regular, 2)
	y += 14
	pdf.SetLineWidth(0.75)
	pdf.Line(margin, y, margin+textWidth, y)
	y += 18

	if err := drawCode(pdf, p.Barcode, margin, y); err != nil {
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
		pdf.SetTextColor(96, 96, 96)
		below = s.put(column, below, margin+textWidth-column, field.label, smallSize, regular, 1)
		pdf.SetTextColor(0, 0, 0)
		below = s.put(column, below, margin+textWidth-column, field.value, textSize, regular, 3) + 10
	}
	y = max(y+qrWidth, below) + 14
	y = s.put(margin, y, textWidth, claims.Ticket.String(), smallSize, regular, 2)
	y = s.put(margin, y, textWidth, p.PageURL, smallSize, regular, 3)
	y = s.put(margin, y+6, textWidth, "Show this code at the entrance, on paper or on a screen. It admits once.", smallSize, regular, 2)
	if !s.whole {
		s.put(margin, y, textWidth, boxNote, smallSize, bold, 2)
	}
	if err := pdf.Error(); err != nil {
		return fmt.Errorf("lay out %s: %w", claims.Ticket, err)
	}
	return nil
}

// drawCode draws the QR code as shapes, sharp at any size, quiet zone included.
func drawCode(pdf *fpdf.Fpdf, barcode string, x, y float64) error {
	code, err := qrcode.New(barcode, qrcode.Medium)
	if err != nil {
		return fmt.Errorf("draw barcode: %w", err)
	}
	modules := code.Bitmap()
	fill(pdf, modules, x, y, float64(qrWidth)/float64(len(modules)))
	return nil
}

// fill draws the true cells of a picture as squares of one path, which leaves no
// hairlines between them.
func fill(pdf *fpdf.Fpdf, cells [][]bool, x, y, side float64) {
	_, height := pdf.GetPageSize()
	drawn := false
	for row, line := range cells {
		for from := 0; from < len(line); from++ {
			if !line[from] {
				continue
			}
			to := from
			for to < len(line) && line[to] {
				to++
			}
			pdf.RawWriteStr(fmt.Sprintf("%.3f %.3f %.3f %.3f re",
				x+float64(from)*side, height-y-float64(row+1)*side, float64(to-from)*side, side))
			drawn, from = true, to
		}
	}
	if drawn {
		pdf.RawWriteStr("f")
	}
}
