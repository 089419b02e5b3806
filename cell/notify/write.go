package notify

import (
	"bytes"
	"fmt"
	htmltemplate "html/template"
	"strconv"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"guichet/cell/legible"
	"guichet/cell/money"
)

// Facts are what a mail can tell. What is empty is not told.
type Facts struct {
	Name  string // of who gets the mail
	Other string // of the other person of a transfer, or of who invites
	// Organizer and Role are what an invitation is to; a role's label is role_<role>.
	Organizer, Role string
	Event           string
	Venue           string // "Suntory Hall, Tokyo"
	StartsAt        time.Time
	TimeZone        string // IANA, of the event
	Code            string // of the order
	Items           []Item
	Total           *money.Money
	Amount          *money.Money // that goes back
	Count           int          // of orders found
	Link            string
	Until           time.Time // end of the link
	// Was is when and where a rescheduled event was to take place; zero for no change.
	WasAt                 time.Time
	WasTimeZone, WasVenue string
	RefundUntil           time.Time    // until when tickets may be given back; zero is not told
	RefundFee             *money.Money // kept of each, as is RefundBasisPoints of its price
	RefundBasisPoints     int64
	Refunds               string // "none" or "organizer" where there is no such time; "" is not told
}

// Item is a line of an order.
type Item struct {
	Quantity int64
	Name     string
}

var (
	layoutText = texttemplate.Must(texttemplate.ParseFS(words, "lang/mail.txt"))
	layoutHTML = htmltemplate.Must(htmltemplate.ParseFS(words, "lang/mail.html"))
)

type row struct{ Label, Value string }

// page is what the layouts show.
type page struct {
	Language, Subject, Hello string
	Lines                    []string
	Rows                     []row
	Action, Link, Footer     string
}

// Write puts a mail into words: in the language nearest to locale, as text and as
// HTML. Names and titles are strangers' text: the HTML escapes them, and no line
// break of theirs reaches a subject or begins a line of its own.
func Write(k Kind, locale string, f Facts) (Mail, error) {
	t := tongueOf(locale)
	l, ok := t.Kinds[k]
	if !ok {
		return Mail{}, ErrRefused.With("there is no mail for %.40q", k)
	}
	p, err := t.page(l, f)
	if k == SignIn {
		p.Footer = t.Labels["footer_sign_in"]
	}
	if err != nil {
		return Mail{}, err
	}
	var text, html bytes.Buffer
	if err := layoutText.Execute(&text, p); err != nil {
		return Mail{}, fmt.Errorf("write text: %w", err)
	}
	if err := layoutHTML.Execute(&html, p); err != nil {
		return Mail{}, fmt.Errorf("write HTML: %w", err)
	}
	return Mail{Subject: p.Subject, Text: text.String(), HTML: html.String(), Language: p.Language}, nil
}

func (t *tongue) page(l letter, f Facts) (page, error) {
	b := blanks{Name: line(f.Name), Other: line(f.Other), Event: line(f.Event), Code: f.Code, Count: f.Count, Organizer: line(f.Organizer), Until: !f.RefundUntil.IsZero()}
	if f.Amount != nil {
		b.Amount = t.price(*f.Amount)
	}
	p := page{Language: t.tag.String(), Hello: t.Labels["hello_nobody"], Action: l.Action, Link: f.Link, Footer: t.Labels["footer"]}
	if f.Organizer != "" {
		p.Footer = t.Labels["footer_invitation"]
	}
	var err error
	if p.Subject, err = t.say(l.Subject, b); err != nil {
		return page{}, err
	}
	if b.Name != "" {
		if p.Hello, err = t.say(t.Labels["hello"], b); err != nil {
			return page{}, err
		}
	}
	for _, text := range l.Lines {
		said, err := t.say(text, b)
		if err != nil {
			return page{}, err
		}
		p.Lines = append(p.Lines, said)
	}
	p.Rows = t.rows(f, b)
	return p, nil
}

// rows are the facts as a table.
func (t *tongue) rows(f Facts, b blanks) []row {
	var rows []row
	add := func(label, value string) {
		if value != "" {
			rows = append(rows, row{t.Labels[label], value})
		}
	}
	add("organizer", b.Organizer)
	add("role", t.Labels["role_"+f.Role])
	add("event", b.Event)
	if !f.StartsAt.IsZero() {
		add("when", t.when(f.StartsAt, f.TimeZone))
	}
	add("where", line(f.Venue))
	if !f.WasAt.IsZero() {
		add("was_when", t.when(f.WasAt, f.WasTimeZone))
	}
	add("was_where", line(f.WasVenue))
	add("order", b.Code)
	items := make([]string, 0, len(f.Items))
	for _, i := range f.Items {
		items = append(items, strconv.FormatInt(i.Quantity, 10)+" × "+line(i.Name))
	}
	add("tickets", strings.Join(items, ", "))
	if f.Total != nil {
		add("total", t.price(*f.Total))
	}
	add("amount", b.Amount)
	if !f.Until.IsZero() {
		add("until", t.when(f.Until, f.TimeZone))
	}
	if !f.RefundUntil.IsZero() {
		add("refund_until", t.when(f.RefundUntil, f.TimeZone))
		add("refund_fee", t.fee(f))
	}
	add("refunds", t.Labels["refunds_"+f.Refunds])
	return rows
}

// fee is what is kept of a ticket that is given back; "" for nothing.
func (t *tongue) fee(f Facts) string {
	var parts []string
	if f.RefundFee != nil && f.RefundFee.Amount > 0 {
		parts = append(parts, t.price(*f.RefundFee))
	}
	if f.RefundBasisPoints > 0 {
		parts = append(parts, message.NewPrinter(t.tag).Sprint(number.Percent(float64(f.RefundBasisPoints)/10_000, number.MaxFractionDigits(2))))
	}
	return strings.Join(parts, " + ")
}

// maxLine bounds what a stranger's text takes of a mail, in characters.
const maxLine = 200

// line makes one line of a stranger's text: no control or direction-override
// characters, no breaks, bounded. One that runs from right to left is isolated: the
// dates and sums beside it keep their order.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxLine {
		s = string(runes[:maxLine-1]) + "…"
	}
	return legible.Isolate(s)
}
