package shop

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/number"

	"guichet/cell/money"
)

// formats are a language's patterns. In dates: {weekday}, {wd}, {day}, {month}, {mon},
// {m}, {year}, {time}; in amounts: {amount}, {symbol}.
type formats struct {
	Date     string `json:"date"`       // with weekday and year
	DateTime string `json:"date_time"`  // the same with the time
	Day      string `json:"day"`        // short, without the year
	Month    string `json:"month_year"` // a month of a calendar
	Money    string `json:"money"`
}

// in is a moment as the clock on the wall in a zone shows it.
func in(at time.Time, zone string) time.Time {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return at.UTC()
	}
	return at.In(loc)
}

func (t *tongue) fillDate(pattern string, at time.Time) string {
	return strings.NewReplacer(
		"{weekday}", t.Weekdays[at.Weekday()], "{wd}", t.Days[at.Weekday()], "{month}", t.Months[at.Month()-1], "{mon}", t.Short[at.Month()-1],
		"{m}", strconv.Itoa(int(at.Month())), "{day}", strconv.Itoa(at.Day()), "{year}", strconv.Itoa(at.Year()), "{time}", at.Format("15:04"),
	).Replace(pattern)
}

// date is a day in a zone, in full.
func (t *tongue) date(at time.Time, zone string) string {
	return t.fillDate(t.Formats.Date, in(at, zone))
}

// dateTime is a moment in a zone, in full.
func (t *tongue) dateTime(at time.Time, zone string) string {
	return t.fillDate(t.Formats.DateTime, in(at, zone))
}

// shortDay is a day of a list.
func (t *tongue) shortDay(at time.Time, zone string) string {
	return t.fillDate(t.Formats.Day, in(at, zone))
}

// month is the heading of a calendar's month.
func (t *tongue) month(at time.Time) string { return t.fillDate(t.Formats.Month, at) }

// clock is the time of day in a zone.
func clock(at time.Time, zone string) string { return in(at, zone).Format("15:04") }

// zoneName is a zone's abbreviation at a moment, such as JST; its name where it has none.
func zoneName(at time.Time, zone string) string {
	name := in(at, zone).Format("MST")
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") {
		return "UTC" + strings.Replace(name, "-", "−", 1)
	}
	return name
}

// number is a whole number with the language's separators.
func (t *tongue) number(n int64) string { return t.printer.Sprint(number.Decimal(n)) }

// money is an amount: with the currency's own number of decimals, and its symbol as the
// language writes it. Decimals of a whole amount are left out when it is a price.
func (t *tongue) money(m money.Money) string {
	exp, err := money.Exponent(m.Currency)
	if err != nil {
		return m.String()
	}
	unit := int64(1)
	for range exp {
		unit *= 10
	}
	sign, amount := "", m.Amount
	if amount < 0 {
		sign, amount = "−", -amount
	}
	text := t.number(amount / unit)
	if exp > 0 {
		digits := strconv.FormatInt(amount%unit, 10)
		text += t.decimalMark() + strings.Repeat("0", exp-len(digits)) + digits
	}
	return sign + strings.NewReplacer("{amount}", text, "{symbol}", t.symbol(m.Currency)).Replace(t.Formats.Money)
}

// price is money, and "free" for nothing.
func (t *tongue) price(m money.Money) string {
	if m.Amount == 0 {
		return t.T("free")
	}
	return t.money(m)
}

func (t *tongue) decimalMark() string {
	return strings.Trim(t.printer.Sprint(number.Decimal(0.5, number.Scale(1))), "05")
}

// symbols remembers what CLDR says of a currency in a language.
var symbols sync.Map

func (t *tongue) symbol(code string) string {
	if s, ok := symbols.Load(t.Code + code); ok {
		text, _ := s.(string)
		return text
	}
	text := code
	if unit, err := currency.ParseISO(code); err == nil {
		text = strings.TrimSpace(t.printer.Sprint(currency.Symbol(unit)))
	}
	if strings.ContainsAny(text[len(text)-1:], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && strings.HasPrefix(t.Formats.Money, "{symbol}{amount}") {
		text += "\u00a0" // CLDR: letters keep a distance from digits
	}
	symbols.Store(t.Code+code, text)
	return text
}
