package checkout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// ErrPaperNotFound means that no such invoice or credit note was written.
var ErrPaperNotFound = kind.NotFound.New("paper_not_found")

// PaperKind is what a paper is.
type PaperKind string

// The kinds of papers.
const (
	Invoice    PaperKind = "invoice"
	CreditNote PaperKind = "credit_note"
)

// Paper is an invoice or a credit note. Its number is consecutive per organizer,
// kind and series; the series is the cell that wrote it, so that no two cells of
// an organizer's events need to agree on a number (P6).
type Paper struct {
	Kind      PaperKind
	Cause     string // what it is for: the order of an invoice, the refund of a credit note
	Order     id.Order
	Organizer id.Organizer
	Series    string // set by the store, as is Number
	Number    int64
	Total     money.Money // gross
	IssuedAt  time.Time
	Content   PaperContent
}

// PaperContent is what stands on a paper, as it was when it was written.
type PaperContent struct {
	Seller    Seller       `json:"seller"`
	Buyer     string       `json:"buyer"`
	Event     string       `json:"event"`
	Country   string       `json:"country"` // of the venue, for its letters
	StartsAt  time.Time    `json:"starts_at"`
	TimeZone  string       `json:"time_zone"`
	OrderCode string       `json:"order_code"`
	Invoice   string       `json:"invoice,omitempty"` // title of the invoice that a credit note is about
	Reason    string       `json:"reason,omitempty"`
	Lines     []PaperLine  `json:"lines"`
	Taxes     []PaperTaxes `json:"taxes"`
}

// Seller is who sells, as the law wants it on an invoice.
type Seller struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // several lines
	TaxID   string `json:"tax_id,omitempty"`
}

// PaperLine is one line of an invoice; amounts are gross, each.
type PaperLine struct {
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
	Each     int64  `json:"each"`
}

// PaperTaxes is what of the total is taxed at one rate: gross = net + tax.
type PaperTaxes struct {
	BasisPoints int64 `json:"basis_points"`
	Gross       int64 `json:"gross"`
	Tax         int64 `json:"tax"`
}

// invoice writes a paid order's invoice, in the transaction of its payment.
func (s *Service) invoice(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order) error {
	if o.Total.Amount == 0 {
		return nil
	}
	p, err := s.paper(ctx, tx, stock, o, Invoice, o.ID.String(), o.Total)
	if err != nil {
		return err
	}
	for _, i := range o.Items {
		p.Content.Lines = append(p.Content.Lines, PaperLine{Name: i.Name, Quantity: i.Quantity, Each: i.AllIn.Amount})
	}
	p.Content.Taxes = taxesOf(stock, o.Items)
	if err := s.Store.IssuePaper(ctx, tx, p); err != nil {
		return fmt.Errorf("write invoice: %w", err)
	}
	return nil
}

func (s *Service) paper(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, k PaperKind, cause string, total money.Money) (Paper, error) {
	p := Paper{
		Kind: k, Cause: cause, Order: o.ID, Organizer: stock.Organizer, Total: total, IssuedAt: stock.Now,
		Content: PaperContent{
			Buyer: o.Buyer.Name, Event: stock.Name, Country: stock.Venue.Country, StartsAt: stock.StartsAt, TimeZone: stock.TimeZone, OrderCode: o.Code,
		},
	}
	if k == CreditNote { // it names who the invoice named
		return p, nil
	}
	var err error
	p.Content.Seller, err = s.Store.SellerOf(ctx, tx, stock.ID, stock.Organizer)
	if err != nil {
		return Paper{}, fmt.Errorf("read seller: %w", err)
	}
	return p, nil
}

// taxesOf sums an order's items by tax rate, the highest first.
func taxesOf(stock *booking.Stock, items []booking.HoldItem) []PaperTaxes {
	var taxes []PaperTaxes
	for _, i := range items {
		rate, tax := taxOf(stock, i)
		at := slices.IndexFunc(taxes, func(t PaperTaxes) bool { return t.BasisPoints == rate })
		if at < 0 {
			taxes, at = append(taxes, PaperTaxes{BasisPoints: rate}), len(taxes)
		}
		taxes[at].Gross += i.AllIn.Amount * i.Quantity
		taxes[at].Tax += tax * i.Quantity
	}
	slices.SortFunc(taxes, func(a, b PaperTaxes) int { return int(b.BasisPoints - a.BasisPoints) })
	return taxes
}

// taxOf is an item's rate in basis points, and the tax in one of it as it was held.
// A rate that its type does not know any more is reckoned from the amounts.
func taxOf(stock *booking.Stock, i booking.HoldItem) (basisPoints, tax int64) {
	if i.Tax == 0 {
		return 0, 0
	}
	if t := stock.Type(i.Type); t != nil && t.Terms != nil && t.Terms.Tax.BasisPoints > 0 {
		return t.Terms.Tax.BasisPoints, i.Tax
	}
	net := max(i.AllIn.Amount-i.Tax, 1)
	return (i.Tax*20_000 + net) / (2 * net), i.Tax
}

// Title is the number as people quote it: "EUW3-I-000042".
func (p *Paper) Title() string {
	letter := "I"
	if p.Kind == CreditNote {
		letter = "C"
	}
	return fmt.Sprintf("%s-%s-%06d", strings.ToUpper(p.Series), letter, p.Number)
}

// Paper reads an order's invoice (n is 1) or its nth credit note.
func (s *Service) Paper(ctx context.Context, order id.Order, k PaperKind, n int) (Paper, error) {
	p, err := s.Store.Paper(ctx, txn.None, order, k, n)
	if err != nil {
		return Paper{}, fmt.Errorf("read %s: %w", k, err)
	}
	return p, nil
}
