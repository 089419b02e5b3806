package render

import (
	"fmt"
	"time"

	"guichet/cell/ticket/render/pdf"
	"guichet/internal/kind"
)

// ErrTooLong is returned for a bill with more lines than a document may have.
var ErrTooLong = kind.Unprocessable.New("too_many_lines")

// MaxBillLines is the most lines of a bill.
const MaxBillLines = 500

// Bill is an invoice or a credit note as it is to be printed. Amounts are texts:
// what they mean was decided by whoever wrote the bill.
type Bill struct {
	Title    string // "Invoice EUW3-I-000042"
	IssuedAt time.Time
	Seller   []string // name, address, tax id, a line each
	Buyer    []string
	About    []string // what it is for, a line each
	Country  string   // of the venue; decides how Chinese characters are drawn
	Lines    []BillLine
	Taxes    []BillLine // Each is the net, Total the tax
	Total    string
	Note     string
}

// BillLine is one line with its amounts.
type BillLine struct{ Quantity, Name, Each, Total string }

// Columns of a bill in points from the left edge; amounts end there.
const (
	eachEnd    = 430
	totalEnd   = 595 - margin
	nameStart  = margin + 36
	nameWidth  = 300 - 36
	billBottom = 780
)

// BillPDF is a bill as a document of A4 pages. The same bill gives the same bytes.
func BillPDF(b Bill) ([]byte, error) { return billDocument(b, true) }

func billDocument(b Bill, compress bool) ([]byte, error) {
	if len(b.Lines)+len(b.Taxes) > MaxBillLines {
		return nil, ErrTooLong.With("a bill has at most %d lines", MaxBillLines).Field("limit", MaxBillLines)
	}
	tools, _ := idle.Get().(*tools)
	defer idle.Put(tools)
	doc := &pdf.Document{Title: clean(b.Title), At: b.IssuedAt, Plain: !compress}
	w := &biller{setter: setter{tools: tools, country: b.Country, whole: true}, doc: doc, title: b.Title}
	w.next()
	w.head(b)
	w.table(b)
	out, err := doc.Bytes()
	if err != nil {
		return nil, fmt.Errorf("print %s: %w", b.Title, err)
	}
	return out, nil
}

// biller writes a bill from top to bottom.
type biller struct {
	setter

	doc   *pdf.Document
	title string
	y     float64
	pages int
}

func (w *biller) next() {
	w.page = w.doc.Page()
	w.pages++
	w.y = margin
	if w.pages > 1 {
		w.y = w.put(margin, w.y, textWidth, fmt.Sprintf("%s, page %d", w.title, w.pages), smallSize, regular, 1) + 10
	}
}

// room goes on to the next page when less than height is left.
func (w *biller) room(height float64) {
	if w.y+height > billBottom {
		w.next()
	}
}

func (w *biller) head(b Bill) {
	w.y = w.put(margin, w.y, textWidth, b.Title, titleSize, bold, 2) + 4
	w.y = w.put(margin, w.y, textWidth, "Issued "+b.IssuedAt.UTC().Format("2 January 2006"), textSize, regular, 1) + 14
	left, right := w.y, w.y
	for _, line := range b.Seller {
		left = w.put(margin, left, textWidth/2-10, line, textSize, regular, 2)
	}
	for _, line := range b.Buyer {
		right = w.put(margin+textWidth/2, right, textWidth/2, line, textSize, regular, 2)
	}
	w.y = max(left, right) + 14
	for _, line := range b.About {
		w.y = w.put(margin, w.y, textWidth, line, textSize, regular, 2)
	}
	w.y += 14
}

func (w *biller) table(b Bill) {
	w.label("", "", "each", "total")
	for _, l := range b.Lines {
		w.line(l, regular)
	}
	w.rule()
	if len(b.Taxes) > 0 {
		w.label("", "Tax included", "net", "tax")
		for _, t := range b.Taxes {
			w.line(t, regular)
		}
		w.rule()
	}
	w.line(BillLine{Name: "Total", Total: b.Total}, bold)
	w.room(40)
	w.y = w.put(margin, w.y+10, textWidth, b.Note, smallSize, regular, 3)
	if !w.whole {
		w.room(20)
		w.y = w.put(margin, w.y, textWidth, "Some letters could not be printed here and stand as boxes.", smallSize, bold, 1)
	}
}

func (w *biller) label(quantity, name, each, total string) {
	w.page.Gray(labelGray)
	w.line(BillLine{quantity, name, each, total}, regular)
	w.page.Gray(0)
}

func (w *biller) line(l BillLine, weight bool) {
	w.room(50)
	w.put(margin, w.y, nameStart-margin, l.Quantity, textSize, weight, 1)
	below := w.put(nameStart, w.y, nameWidth, l.Name, textSize, weight, 2)
	w.amount(eachEnd, l.Each, weight)
	w.amount(totalEnd, l.Total, weight)
	w.y = max(below, w.y+textSize*1.35)
}

// amount ends at x.
func (w *biller) amount(x float64, text string, weight bool) {
	w.right(x, w.y+textSize, text, textSize, weight)
}

func (w *biller) rule() {
	w.page.Line(0.5, margin, w.y+4, totalEnd, w.y+4)
	w.y += 10
}
