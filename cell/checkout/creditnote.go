package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/internal/txn"
)

// MaxRefunds is how many times a part of one order may be given back. The whole of what
// is left can always be given back.
const MaxRefunds = 100

// decision is what a refund gives back.
type decision struct {
	given  int64 // minor units that went back before
	amount int64
	by     payment.Source
	reason string
	items  []PaperTaxes // what the named tickets cost, by rate; nil where an amount was named
	lines  []PaperLine  // how the credit note names it; nil where an amount was named
	named  []id.Ticket  // tickets that go back with it
}

// enough refuses one more part of an order that was given back in too many already.
func (s *Service) enough(ctx context.Context, tx txn.Tx, o *Order, d decision) error {
	if d.amount == o.Total.Amount-d.given {
		return nil
	}
	backs, err := s.Store.Refunds(ctx, tx, o.ID)
	if err == nil && len(backs) >= MaxRefunds {
		err = ErrRefundLimit.With("an order is given back in at most %d parts; all that is left may still go back", MaxRefunds).Field("limit", int64(MaxRefunds))
	}
	return err
}

// creditNote writes what a refund takes back of an invoice, in the transaction that
// decides the refund, and answers the tax in it. Named tickets take their own rate,
// net and tax; an amount takes of each rate what no note has taken yet, in proportion.
// So the notes add up to the invoice at each rate, in whatever order they are written.
// An order without an invoice has nothing to take back.
func (s *Service) creditNote(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, back payment.Back, d decision) (tax int64, err error) {
	invoice, err := s.Store.Paper(ctx, tx, o.ID, Invoice, 1)
	if errors.Is(err, ErrPaperNotFound) {
		return payment.InStep(o.tax(), d.given, d.amount, o.Total.Amount), nil
	}
	if err != nil {
		return 0, fmt.Errorf("read invoice: %w", err)
	}
	notes, err := s.Store.Papers(ctx, tx, o.ID, CreditNote)
	if err != nil {
		return 0, fmt.Errorf("read credit notes: %w", err)
	}
	p, err := s.paper(ctx, tx, stock, o, CreditNote, back.ID.String(), back.Amount)
	if err != nil {
		return 0, err
	}
	p.Content.Seller, p.Content.Buyer = invoice.Content.Seller, invoice.Content.Buyer
	p.Content.Invoice, p.Content.Reason = invoice.Title(), back.Reason
	if p.Content.Lines = d.lines; d.lines == nil {
		p.Content.Lines = []PaperLine{{Name: o.Code, Quantity: 1, Each: back.Amount.Amount}}
	}
	p.Content.Taxes = takeBack(untaken(invoice, notes), d.items, d.amount)
	for _, t := range p.Content.Taxes {
		tax += t.Tax
	}
	if err := s.Store.IssuePaper(ctx, tx, p); err != nil {
		return 0, fmt.Errorf("write credit note: %w", err)
	}
	return tax, nil
}

// untaken is what of an invoice no credit note has taken back yet, by rate.
func untaken(invoice Paper, notes []Paper) []PaperTaxes {
	left := slices.Clone(invoice.Content.Taxes)
	for _, note := range notes {
		for _, t := range note.Content.Taxes {
			if at := rateAt(left, t.BasisPoints); at >= 0 {
				left[at].Gross -= t.Gross
				left[at].Tax -= t.Tax
			}
		}
	}
	return left
}

func rateAt(all []PaperTaxes, basisPoints int64) int {
	return slices.IndexFunc(all, func(t PaperTaxes) bool { return t.BasisPoints == basisPoints })
}

// takeBack takes amount out of what is left of each rate: first what items cost, at
// their own rates and with their own tax, the rest in proportion. It answers what was
// taken, without the rates of which that is nothing.
func takeBack(left, items []PaperTaxes, amount int64) []PaperTaxes {
	left = slices.Clone(left)
	taken := make([]PaperTaxes, len(left))
	take := func(at int, gross, tax int64) {
		taken[at].Gross, taken[at].Tax = taken[at].Gross+gross, taken[at].Tax+tax
		left[at].Gross, left[at].Tax = left[at].Gross-gross, left[at].Tax-tax
		amount -= gross
	}
	for i, t := range left {
		taken[i].BasisPoints = t.BasisPoints
	}
	for _, item := range items {
		at := rateAt(left, item.BasisPoints)
		if at < 0 { // the invoice calls it otherwise
			continue
		}
		gross := max(min(item.Gross, left[at].Gross, amount), 0)
		take(at, gross, taxWithin(left[at], item, gross))
	}
	for i, t := range inProportion(left, amount) {
		take(i, t.Gross, t.Tax)
	}
	return slices.DeleteFunc(taken, func(t PaperTaxes) bool { return t.Gross == 0 && t.Tax == 0 })
}

// taxWithin is the tax in gross of what an item cost: its own, unless a refund by amount
// has taken so much of the rate before that its tax, or its net, is not there any more.
func taxWithin(left, item PaperTaxes, gross int64) int64 {
	tax := item.Tax
	if gross < item.Gross {
		tax = payment.InStep(item.Tax, 0, gross, item.Gross)
	}
	return min(max(tax, left.Tax-(left.Gross-gross), 0), left.Tax, gross)
}

// inProportion shares amount out over the rates by what is left of them. Each has its
// part rounded down, and the minor units that remain go to those who lost most by it.
func inProportion(left []PaperTaxes, amount int64) []PaperTaxes {
	var whole int64
	for _, t := range left {
		whole += t.Gross
	}
	out := make([]PaperTaxes, len(left))
	lost := make([]int64, len(left)) // in parts of whole
	rest := amount
	for i, t := range left {
		if whole > 0 {
			part, remainder := new(big.Int).QuoRem(new(big.Int).Mul(big.NewInt(t.Gross), big.NewInt(amount)), big.NewInt(whole), new(big.Int))
			out[i].Gross, lost[i] = part.Int64(), remainder.Int64()
			rest -= out[i].Gross
		}
	}
	order := make([]int, len(left))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lost[b], lost[a]) })
	for _, i := range order {
		if rest > 0 {
			out[i].Gross++
			rest--
		}
	}
	if len(out) > 0 { // more than the invoice says, which nothing but a bug or an old paper is
		out[len(out)-1].Gross += rest
	}
	for i, t := range left {
		out[i].BasisPoints = t.BasisPoints
		if out[i].Tax = t.Tax; out[i].Gross < t.Gross {
			out[i].Tax = payment.InStep(t.Tax, 0, out[i].Gross, t.Gross)
		}
	}
	return out
}

// worthOf is what tickets of an order cost, by rate and as lines of a paper.
func worthOf(stock *booking.Stock, o *Order, tickets []id.Ticket) (worth int64, items []PaperTaxes, lines []PaperLine) {
	n := 0 // in the order of Tickets: complete issues them item by item
	for _, i := range o.Items {
		var k int64
		for range i.Quantity {
			if n < len(o.Tickets) && slices.Contains(tickets, o.Tickets[n].ID) {
				k++
			}
			n++
		}
		if k == 0 || i.AllIn.Amount == 0 {
			continue
		}
		rate, tax := taxOf(stock, i)
		worth += k * i.AllIn.Amount
		lines = append(lines, PaperLine{Name: i.Name, Quantity: k, Each: i.AllIn.Amount})
		at := rateAt(items, rate)
		if at < 0 {
			items, at = append(items, PaperTaxes{BasisPoints: rate}), len(items)
		}
		items[at].Gross += k * i.AllIn.Amount
		items[at].Tax += k * tax
	}
	return worth, items, lines
}

// promiseTickets decides on the refund of single tickets: what they cost, as far as
// the order has not been refunded already. The id is zero when that is nothing.
func (s *Service) promiseTickets(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, tickets []id.Ticket, by payment.Source, reason string) (sent id.Refund, err error) {
	given, err := s.given(ctx, tx, o.ID)
	if err != nil {
		return sent, err
	}
	worth, items, lines := worthOf(stock, o, tickets)
	amount := min(worth, o.Total.Amount-given)
	if by == payment.ByBuyer {
		kept, err := o.keptOf(&stock.Event, o.placesOf(tickets), stock.Now)
		if err != nil {
			return sent, err
		}
		amount = o.keep(worth, o.Total.Amount-given, kept)
	}
	if amount <= 0 {
		return sent, nil
	}
	if amount < worth {
		lines = nil // they do not say any more what goes back
	}
	return s.promised(ctx, tx, stock, o, decision{given: given, amount: amount, by: by, reason: reason, items: items, lines: lines, named: tickets})
}
