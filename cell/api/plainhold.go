package api

import (
	"strconv"
	"time"

	"guichet/cell/booking"
	"guichet/cell/money"
)

// plainHold writes what encoding/json writes of a hold's view, for a hold whose items
// have neither seats nor terms: most of them, at the hottest place of the house. It is
// nil for any other.
func plainHold(h booking.Hold) []byte {
	until := h.ExpiresAt.UTC()
	if until.Year() > 9999 || until.Year() < 0 || !plainText(string(h.State)) || !plainText(h.Total.Currency) {
		return nil
	}
	b := make([]byte, 0, 320+120*len(h.Items))
	b = append(append(b, `{"id":"`...), h.ID.String()...)
	b = append(append(b, `","event_id":"`...), h.ID.Event().String()...)
	b = append(append(b, `","state":"`...), h.State...)
	b = until.AppendFormat(append(b, `","expires_at":"`...), time.RFC3339Nano)
	b = append(b, `","items":[`...)
	for i := range h.Items {
		item := &h.Items[i]
		if len(item.Seats) > 0 || item.Fees != 0 || item.Tax != 0 || item.Saved != 0 || item.TierName != "" || item.Promo != "" ||
			item.Quantity == 0 || item.Name == "" || !plainText(item.Name) || !plainText(item.AllIn.Currency) {
			return nil
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"ticket_type_id":"`...), item.Type.String()...)
		b = strconv.AppendInt(append(b, `","quantity":`...), item.Quantity, 10)
		b = append(append(b, `,"name":"`...), item.Name...)
		b = append(appendMoney(append(b, `","price_all_in":`...), item.AllIn), '}')
	}
	return append(appendMoney(append(b, `],"total":`...), h.Total), '}')
}

func appendMoney(b []byte, m money.Money) []byte {
	b = strconv.AppendInt(append(b, `{"amount":`...), m.Amount, 10)
	return append(append(append(b, `,"currency":"`...), m.Currency...), `"}`...)
}

// plainText says that encoding/json writes the text as it is.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}
