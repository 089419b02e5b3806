package catalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"guichet/cell/money"
)

// amounts are money's minor units, joined.
func amounts(list []money.Money) string {
	var out []string
	for _, m := range list {
		out = append(out, strconv.FormatInt(m.Amount, 10))
	}
	return strings.Join(out, " ")
}

func TestHongKongPrices_readTheSpellingsThatOccur(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"$420, $340, $280, $200*", "42000 34000 28000 20000"},
		{"$1,380, $980, $580", "138000 98000 58000"},
		{"$1080, 880, 680", "108000 88000 68000"},
		{"$1,000,$500,$300", "100000 50000 30000"},
		{"$130,100, 80", "13000 10000 8000"},
		{"$75-110", "7500 11000"},
		{"*$1,200 (VIP 票) $760; ^$1,000 (VIP)", "120000 76000 100000"},
		{"$480, 380, 480", "48000 38000"},
		{"Free admission by tickets", "0"},
		{"Admission by enrollment", "0"},
		{"Freedom hall", ""},
	} {
		if list, err := hongKongPrices(c.text, "HKD"); err != nil || amounts(list) != c.want {
			t.Errorf("%q: %v %v, want %s", c.text, list, err, c.want)
		}
	}
}

// The spellings of one amount, of several, and of none, as people write them.
func TestPrices_areReadInEverySpelling(t *testing.T) {
	for _, c := range []struct{ text, currency, want string }{
		{"2.480,00 €", "EUR", "248000"},
		{"2 480,00 €", "EUR", "248000"},
		{"2\u00a0480,00 €", "EUR", "248000"},
		{"2\u202f480,00", "EUR", "248000"},
		{"2’480.00", "CHF", "248000"},
		{"CHF 2'480", "CHF", "248000"},
		{"2,480.00", "USD", "248000"},
		{"2 480", "EUR", "248000"},
		{"€2,480", "EUR", "248000"},
		{"3.604.218,50", "EUR", "360421850"},
		{"3.604.218", "EUR", "360421800"},
		{"7,5", "EUR", "750"},
		{"7.5", "EUR", "750"},
		{",75", "EUR", "75"},
		{"€.75", "EUR", "75"},
		{"40,-", "EUR", "4000"},
		{"40.–", "CHF", "4000"},
		{"40,-- / 30,--", "EUR", "4000 3000"},
		{"40,- €", "EUR", "4000"},
		{"27,80 / 14,00", "EUR", "2780 1400"},
		{"27,80 € – 34,00 €", "EUR", "2780 3400"},
		{"27,80;6,40", "EUR", "2780 640"},
		{"18 € -25 €", "EUR", "1800 2500"},
		{"10–20", "EUR", "1000 2000"},
		{"$75-110", "USD", "7500 11000"},
		{"$480, 380, 260*", "HKD", "48000 38000 26000"},
		{"ab 15 Euro", "EUR", "1500"},
		{"Erwachsene 15, Kinder 5", "EUR", "1500 500"},
		{"VVK 15 / AK 18", "EUR", "1500 1800"},
		{"from $15 to $25 plus fees", "CAD", "1500 2500"},
		{"*$1,200 (VIP 票) $760; ^$1,000 (VIP)", "HKD", "120000 76000 100000"},
		{"18 EUR", "EUR", "1800"},
		{"EUR18", "EUR", "1800"},
		{"18eur", "EUR", "1800"},
		{"¥12,000", "JPY", "12000"},
		{"12.000円", "JPY", "12000"},
		{"12000.00", "JPY", "12000"},
		{"1.250", "KWD", "1250"},
		{"１８００円", "JPY", "1800"},
		{"57.850000001", "CAD", "5785"},
		{"19.9999999", "EUR", "2000"},
		{"0", "HKD", "0"},
		{"0,00 €", "EUR", "0"},
		{"Free: 0 €", "EUR", "0"},
		{"Eintritt frei", "EUR", "0"},
		{"kostenlos", "EUR", "0"},
		{"Gratis", "EUR", "0"},
		{"entrée libre", "EUR", "0"},
		{"無料", "JPY", "0"},
		{"Freedom hall", "HKD", ""},
		{"ask at the door", "HKD", ""},
		{"", "HKD", ""},
	} {
		if list, err := prices(c.text, c.currency); err != nil || amounts(list) != c.want {
			t.Errorf("%q in %s: %v %v, want %s", c.text, c.currency, list, err, c.want)
		}
	}
}

func TestPrices_thatAreNotCertainAreRefused(t *testing.T) {
	for _, c := range []struct{ text, currency string }{
		{"2.480", "EUR"},
		{"12,500", "USD"},
		{"130,100", "HKD"},
		{"480 380 260", "EUR"},
		{"10 20", "EUR"},
		{"1,380,980", "USD"}, // two readings
		{"-7", "EUR"},
		{"€ -7", "EUR"},
		{"-€7", "EUR"},
		{"10, -5", "EUR"},
		{"−7", "EUR"}, // less than nothing
		{"2e4", "EUR"},
		{"0x10", "EUR"},
		{"U25", "EUR"},
		{"18h", "EUR"},
		{"19:30", "EUR"},
		{"01.05.2027", "EUR"},
		{"0800 123", "EUR"},
		{"13%", "EUR"},
		{"½", "EUR"},
		{"٢٠", "EUR"},
		{"1.25.3", "EUR"},
		{"1,25,3", "EUR"}, // no amounts
		{"$15 for ages 5 to 12", "USD"},
		{"18 € ab 12 Jahren", "EUR"},
		{"2 x 10 €", "EUR"},
		{"row 7", "EUR"}, // may be something else
		{"18 USD", "EUR"},
		{"£18", "EUR"},
		{"US$ 18", "CAD"},
		{"18 kr", "EUR"},                      // another currency
		{"Adults 10 €, children free", "EUR"}, // whose?
		{"20.555", "CAD"},
		{"0.005", "CAD"},
		{"12.5", "JPY"},
		{"9.255", "KWD"},
		{"5", "XXX"},
		{"99999999999999999999", "EUR"}, // cannot be said or charged
	} {
		if list, err := prices(c.text, c.currency); err == nil {
			t.Errorf("%q in %s is %v, want an error", c.text, c.currency, list)
		}
	}
}

func FuzzPrices(f *testing.F) {
	for _, text := range []string{"1.250,00 €", "18,50 / 12", "ab 15 Euro", "10–20", "$1,200 (VIP)", "-5", "1e3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := prices(text, "EUR")
		digit := strings.ContainsFunc(text, unicode.IsNumber)
		for _, m := range list {
			if m.Amount < 0 || m.Amount == 0 && !digit && !freeWords.MatchString(text) || err != nil {
				t.Errorf("%q is %v %v", text, list, err)
			}
		}
	})
}

func TestHours_areFoundInFreeText(t *testing.T) {
	day := time.Date(2026, 2, 7, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ text, want string }{
		{"31/01/2026(Sat)19:30", "19h30m0s 0s"},
		{"06/02/2026(Fri)20:00;07/02/2026(Sat)15:00", "15h0m0s 0s"},
		{"6, 13/12/2025 (Sat) 2:00pm-3:00pm", "14h0m0s 1h0m0s"},
		{"(Sun) 11:00am-12:00nn", "11h0m0s 1h0m0s"},
		{"(Wed) 2:00-3:30pm", "14h0m0s 1h30m0s"},
		{"(Wed) 10:00-1:00pm", "10h0m0s 3h0m0s"},
		{"Jul-Dec 2025 (Every Sat) 1700-1900", "17h0m0s 2h0m0s"},
		{"30/10/2025-19/3/2026", ""},
		{"2025-2026", ""},
		{"1-31/12/2025", ""},
		{"13*, 20-21*, 26^.12.2025 14:30", "14h30m0s 0s"},
		{"12:30am", "30m0s 0s"},
		{"7pm", "19h0m0s 0s"},
		{"25:00", ""},
		{"12:75", ""},
		{"", ""},
	} {
		start, length, ok := hoursOn(c.text, day)
		got := ""
		if ok {
			got = fmt.Sprint(start, length)
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	for text, want := range map[string]time.Duration{
		"1hr25mins": 85 * time.Minute, "about 1 hour and 10 minutes without intermission": 70 * time.Minute,
		"about 3 hours including a 15-minute intermission": 3 * time.Hour, "approximately 75 minutes": 75 * time.Minute, "Not Applicable": 0,
	} {
		if got := lengthIn(text); got != want {
			t.Errorf("%q lasts %s, want %s", text, got, want)
		}
	}
}

func TestLocalTime_takesOffsetsAndRefusesNonsense(t *testing.T) {
	for text, want := range map[string]string{
		"13:00 UTC-6": "13h0m0s -21600 true", "20:30 UTC+5:30": "20h30m0s 19800 true", "19:00": "19h0m0s 0 false",
	} {
		at, offset, has, err := localTime(text)
		if got := fmt.Sprint(at, offset, has); got != want || err != nil {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "noon", "24:00", "12:60", "12:00 CET", "12:00 UTC"} {
		if _, _, _, err := localTime(text); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

func TestParseCoords_mixesDegreesMinutesAndDecimals(t *testing.T) {
	for text, want := range map[string][2]float64{
		`22°54'44"S 43°13'49"W`:      {-22.9122, -43.2303},
		`15°47'0.60"S 47°53'56.99"W`: {-15.7835, -47.8992},
		`5.826936°S 35.212371°W`:     {-5.8269, -35.2124},
		`25°15'49"N 51°26'53"E`:      {25.2636, 51.4481},
		`49°16′36″N, 123°6′43″W`:     {49.2767, -123.1119},
		`60°1'41''W 3°4'59''S`:       {-3.0831, -60.0281},
		`48.85, 2.35`:                {48.85, 2.35},
	} {
		p, err := parseCoords(text)
		if err != nil || math.Abs(p.Lat-want[0]) > 0.0001 || math.Abs(p.Lon-want[1]) > 0.0001 {
			t.Errorf("%s: %v %v, want %v", text, p, err, want)
		}
	}
	for _, text := range []string{"", "here", "95°N 20°E", "10°N", "10°N 20°N", "10°X 20°E", "10°N 20°E 30°E"} {
		if p, err := parseCoords(text); err == nil {
			t.Errorf("%q is %v, want an error", text, p)
		}
	}
}

func TestAhead_keepsWeekdayClockAndSeason(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, was := range []time.Time{
		time.Date(2014, 6, 12, 17, 0, 0, 0, paris),
		time.Date(2025, 3, 30, 20, 0, 0, 0, paris), // the day of summer time; 52 weeks later it has begun
		time.Date(2026, 11, 23, 12, 59, 0, 0, paris),
	} {
		got, moved, err := ahead(was, now)
		days := int(math.Round(got.Sub(was).Hours() / 24))
		if err != nil || moved != days {
			t.Errorf("%s was moved by %d days: %v", was, moved, err)
		}
		if !got.After(now) || got.Weekday() != was.Weekday() || got.Hour() != was.Hour() || days%364 != 0 || got.Sub(now) > 365*24*time.Hour {
			t.Errorf("%s became %s", was, got)
		}
	}
	future := now.Add(time.Minute)
	if got, _, _ := ahead(future, now); !got.Equal(future) {
		t.Error("a date that lies ahead was moved")
	}
}

func TestPlain_leavesTextThatIsSafeToShow(t *testing.T) {
	for in, want := range map[string]string{
		"<p>One</p><p>Two</p>": "One Two", "3 < 4 > 2": "3 < 4 > 2", "A &amp; B&nbsp;C": "A & B C", "a\x00b\tc\r\nd": "a b c d",
		"<script>x</script>": "x", "bad \xff bytes": "bad \uFFFD bytes", "<unclosed": "<unclosed", "&lt;b&gt;x": "x",
		"Rock &amp;amp; Roll": "Rock & Roll", "Caf&amp;eacute; &#8211; &#x1F3B5;": "Café – 🎵", "Ann\u202ea\u200b": "Anna", "علی\u200cرضا": "علی\u200cرضا",
	} {
		if got := plain(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestPriceDefaults_areOfCurrenciesThatExist(t *testing.T) {
	for cur := range defaultPrices {
		if m, err := defaultPrice(cur); err != nil || m.Amount == 0 {
			t.Errorf("%s: %v %v", cur, m, err)
		}
	}
	if m, err := defaultPrice("SEK"); err != nil || m.Amount != 2500 {
		t.Errorf("SEK: %v %v", m, err)
	}
}

func TestTape_stopsAtAnElementWithoutEnd(t *testing.T) {
	tp := newTape(strings.NewReader(strings.Repeat("x\n", 2*MaxElement)))
	buf := make([]byte, 32<<10)
	n := 0
	for {
		m, err := tp.Read(buf)
		n += m
		if err != nil {
			break
		}
	}
	if n > 2*MaxElement+2*len(buf) {
		t.Errorf("%d bytes were read of one element", n)
	}
}
