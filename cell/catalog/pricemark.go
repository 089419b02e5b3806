package catalog

import (
	"strings"

	"guichet/cell/money"
)

// marks are how currencies are written, longest first; each names the currencies it
// may stand for.
var marks = []struct{ text, currencies string }{
	{"dollars", "USD CAD AUD NZD SGD HKD TWD"},
	{"dollar", "USD CAD AUD NZD SGD HKD TWD"},
	{"pounds", "GBP EGP"},
	{"pound", "GBP EGP"},
	{"euros", "EUR"},
	{"euro", "EUR"},
	{"francs", "CHF XAF XOF XPF RWF"},
	{"yen", "JPY"},
	{"us$", "USD"},
	{"hk$", "HKD"},
	{"ca$", "CAD"},
	{"au$", "AUD"},
	{"nz$", "NZD"},
	{"nt$", "TWD"},
	{"mx$", "MXN"},
	{"sg$", "SGD"},
	{"c$", "CAD"},
	{"a$", "AUD"},
	{"s$", "SGD"},
	{"r$", "BRL"},
	{"s/", "PEN"},
	{"sfr", "CHF"},
	{"fr", "CHF"},
	{"kr", "DKK NOK SEK ISK"},
	{"zł", "PLN"},
	{"kč", "CZK"},
	{"ft", "HUF"},
	{"lei", "RON"},
	{"лв", "BGN"},
	{"rs", "INR PKR LKR NPR"},
	{"rm", "MYR"},
	{"rp", "IDR"},
	{"tl", "TRY"},
	{"din", "RSD"},
	{"dh", "MAD AED"},
	{"$", "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP UYU BRL"},
	{"€", "EUR"},
	{"£", "GBP EGP"},
	{"¥", "JPY CNY"},
	{"円", "JPY"},
	{"元", "CNY TWD HKD"},
	{"₩", "KRW"},
	{"원", "KRW"},
	{"₹", "INR"},
	{"₺", "TRY"},
	{"₴", "UAH"},
	{"₪", "ILS"},
	{"₫", "VND"},
	{"₱", "PHP"},
	{"฿", "THB"},
	{"₦", "NGN"},
	{"₡", "CRC"},
	{"₲", "PYG"},
	{"₸", "KZT"},
	{"₾", "GEL"},
	{"₵", "GHS"},
	{"৳", "BDT"},
}

// currencyMark is the length of the currency at the start of a text, 0 for none,
// and which it may be: an ISO code, a symbol or a word.
func currencyMark(s string) (length int, currencies []string) {
	if len(s) >= 3 {
		if code := strings.ToUpper(s[:3]); len(letters(s)) == 3 {
			if _, err := money.Exponent(code); err == nil {
				return 3, []string{code}
			}
		}
	}
	lower := strings.ToLower(s)
	for _, m := range marks {
		if strings.HasPrefix(lower, m.text) && len(lower) == len(s) {
			return len(m.text), strings.Fields(m.currencies)
		}
	}
	return 0, nil
}
