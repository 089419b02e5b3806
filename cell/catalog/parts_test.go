package catalog

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPrices_readTheSpellingsThatOccur(t *testing.T) {
	for _, c := range []struct{ text, currency, want string }{
		{"$420, $340, $280, $200*", "HKD", "42000 34000 28000 20000"},
		{"$1,380, $980, $580", "HKD", "138000 98000 58000"},
		{"$1080, 880, 680", "HKD", "108000 88000 68000"},
		{"$1,000,$500,$300", "HKD", "100000 50000 30000"},
		{"$130,100, 80", "HKD", "13000 10000 8000"},
		{"$75-110", "HKD", "7500 11000"},
		{"*$1,200 (VIP 票) $760; ^$1,000 (VIP)", "HKD", "120000 76000 100000"},
		{"$480, 380, 480", "HKD", "48000 38000"},
		{"18,50 €", "EUR", "1850"},
		{"CHF 12.5", "CHF", "1250"},
		{"¥12,000", "JPY", "12000"},
		{"57.850000001", "CAD", "5785"},
		{"0.005", "CAD", "1"},
		{"9.2505", "KWD", "9250"},
		{"9.255", "KWD", "9260"},
		{"Free admission by tickets", "HKD", "0"},
		{"Admission by enrollment", "HKD", "0"},
		{"0", "HKD", "0"},
		{"Freedom hall", "HKD", ""},
		{"ask at the door", "HKD", ""},
		{"", "HKD", ""},
	} {
		list, err := prices(c.text, c.currency)
		var got []string
		for _, m := range list {
			got = append(got, strconv.FormatInt(m.Amount, 10))
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q in %s: %v %v, want %s", c.text, c.currency, got, err, c.want)
		}
	}
	if _, err := prices("$5", "XXX"); err == nil {
		t.Error("an unknown currency is no error")
	}
	if _, err := prices("99999999999999999999", "EUR"); err == nil {
		t.Error("an amount beyond all reason is no error")
	}
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
		got := ahead(was, now)
		days := int(math.Round(got.Sub(was).Hours() / 24))
		if !got.After(now) || got.Weekday() != was.Weekday() || got.Hour() != was.Hour() || days%364 != 0 || got.Sub(now) > 365*24*time.Hour {
			t.Errorf("%s became %s", was, got)
		}
	}
	future := now.Add(time.Minute)
	if !ahead(future, now).Equal(future) {
		t.Error("a date that lies ahead was moved")
	}
}

func TestPlain_leavesTextThatIsSafeToShow(t *testing.T) {
	for in, want := range map[string]string{
		"<p>One</p><p>Two</p>": "One Two", "3 < 4 > 2": "3 < 4 > 2", "A &amp; B&nbsp;C": "A & B C", "a\x00b\tc\r\nd": "a b c d",
		"<script>x</script>": "x", "bad \xff bytes": "bad bytes", "<unclosed": "<unclosed", "&lt;b&gt;x": "x",
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
