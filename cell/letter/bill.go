package letter

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/money"
	"guichet/cell/ticket/render"
)

// Bill is an invoice or a credit note as it is to be printed.
func Bill(p checkout.Paper) render.Bill {
	amount := func(minor int64) string { return money.Money{Amount: minor, Currency: p.Total.Currency}.String() }
	c := p.Content
	b := render.Bill{
		Title: "Invoice " + p.Title(), IssuedAt: p.IssuedAt, Seller: []string{c.Seller.Name}, Buyer: []string{c.Buyer}, Country: c.Country,
		About: []string{"Order " + c.OrderCode, c.Event + ", " + date(c.StartsAt, c.TimeZone)}, Total: p.Total.String(), Note: "Paid.",
	}
	b.Seller = append(b.Seller, lines(c.Seller.Address)...)
	if c.Seller.TaxID != "" {
		b.Seller = append(b.Seller, "Tax ID "+c.Seller.TaxID)
	}
	for _, l := range c.Lines {
		b.Lines = append(b.Lines, render.BillLine{Quantity: strconv.FormatInt(l.Quantity, 10), Name: l.Name, Each: amount(l.Each), Total: amount(l.Each * l.Quantity)})
	}
	for _, t := range c.Taxes {
		b.Taxes = append(b.Taxes, render.BillLine{Name: rate(t.BasisPoints), Each: amount(t.Gross - t.Tax), Total: amount(t.Tax)})
	}
	if p.Kind == checkout.CreditNote {
		b.Title, b.Note = "Credit note "+p.Title(), "It goes back by the way you paid."
		b.About = append(b.About, "Takes back from invoice "+c.Invoice)
		if c.Reason != "" {
			b.About = append(b.About, "Reason: "+c.Reason)
		}
		for i := range b.Lines {
			b.Lines[i].Name = "Refund of order " + c.OrderCode
		}
	}
	return b
}

// rate is basis points as people write them: 1900 is "19 %", 550 is "5.5 %".
func rate(basisPoints int64) string {
	text := fmt.Sprintf("%d.%02d", basisPoints/100, basisPoints%100)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " %"
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func date(at time.Time, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	return at.In(loc).Format("2 January 2006")
}
