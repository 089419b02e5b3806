package shop

import (
	"guichet/cell/client"
	"guichet/cell/money"
)

// priceNote is what an all-in price has in it.
func priceNote(l *tongue, t client.TicketType) string {
	fees, tax := t.Fees.Amount > 0, t.Tax != nil && t.Tax.BasisPoints > 0
	switch {
	case fees && tax:
		return l.T("incl_both", l.money(t.Fees), percent(t.Tax.BasisPoints))
	case fees:
		return l.T("incl_fees", l.money(t.Fees))
	case tax:
		return l.T("incl_tax", percent(t.Tax.BasisPoints))
	}
	return l.T("all_in")
}

// times is n times an amount.
func times(m money.Money, n int64) money.Money {
	return money.Money{Amount: m.Amount * n, Currency: m.Currency}
}
