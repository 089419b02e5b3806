package payment

import "strings"

// Sum is what the ledger says of one of an organizer's accounts, by kind of entry.
type Sum struct {
	Currency string
	Account  Account
	Kind     Kind
	Amount   int64 // as posted: negative is owed to him
}

// Balance is what an organizer is owed in one currency, in minor units.
type Balance struct {
	Currency string
	Sold     int64 // his share of sales, tax included
	Refunded int64 // of it, given back
	Lost     int64 // of it, lost in disputes
	PaidOut  int64 // handed on to his own account at the provider, less what was taken back from there
	Owed     int64 // Sold − Refunded − Lost − PaidOut; negative when he owes us
	Tax      int64 // the tax in Sold − Refunded
}

// Balances adds up an organizer's accounts by currency, in the order in which the
// currencies come.
func Balances(sums []Sum) []Balance {
	var out []Balance
	at := map[string]int{}
	for _, s := range sums {
		i, ok := at[s.Currency]
		if !ok {
			i = len(out)
			at[s.Currency] = i
			out = append(out, Balance{Currency: s.Currency})
		}
		b := &out[i]
		switch s.Kind {
		case KindPromise:
			b.Refunded += s.Amount
		case KindLost:
			b.Lost += s.Amount
		case KindOnward:
			b.PaidOut += s.Amount
		default:
			b.Sold -= s.Amount
		}
		if strings.HasPrefix(string(s.Account), "tax:") {
			b.Tax -= s.Amount
		}
		b.Owed -= s.Amount
	}
	return out
}
