package notify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"guichet/cell/money"
)

var update = flag.Bool("update", false, "write the golden files anew")

func facts() Facts {
	return Facts{
		Name: "Zoë <b>\"Z\"</b>\r\nBcc: x@example.org", Event: "Beethoven & 第九 <Ode>", Venue: "サントリーホール, Tokyo",
		StartsAt: time.Date(2026, 12, 24, 10, 30, 0, 0, time.UTC), TimeZone: "Asia/Tokyo", Code: "K7Q2M9X",
		Items: []Item{{2, "Balcony"}, {1, "Child"}}, Total: &money.Money{Amount: 1234550, Currency: "EUR"}, Amount: &money.Money{Amount: 5000, Currency: "JPY"},
		Count: 3, Other: "Bob \u202e& Söhne\nLtd.", Link: "https://tickets.example/v1/orders/ord_1?a=1&b=2",
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; look at it and run with -update\n%s", name, got)
	}
}

func TestWrite_everyKindInEveryLanguageIsGolden(t *testing.T) {
	t.Parallel()
	for _, tag := range tongues {
		var all strings.Builder
		for _, k := range Kinds() {
			f := facts()
			if k == Invitation {
				f = Facts{Organizer: "Théâtre <b>&</b> Co\nLtd.", Role: "admin", Other: f.Other, Link: f.Link, Until: f.StartsAt, TimeZone: "UTC"}
			}
			if k == EventRescheduled || k == TicketRescheduled {
				f.WasAt, f.WasTimeZone, f.WasVenue = f.StartsAt.AddDate(0, 0, -7), "Asia/Tokyo", "NHKホール, Shibuya, Tokyo"
			}
			if k == EventRescheduled || k == OrderPaid {
				f.RefundUntil = f.StartsAt.AddDate(0, 0, -1)
			}
			if k == OrderPaid {
				f.RefundFee, f.RefundBasisPoints = &money.Money{Amount: 250, Currency: "EUR"}, 1050
			}
			m, err := Write(k, tag.String(), f)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&all, "=== %s: %s\n%s\n", k, m.Subject, m.Text)
			if m.Language != tag.String() {
				t.Errorf("%s in %s", k, m.Language)
			}
		}
		golden(t, tag.String()+".txt", all.String())
		paid, err := Write(OrderPaid, tag.String(), facts())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, tag.String()+".html", paid.HTML)
	}
}

// A language that lacks a word would show a hole; one that has a word of its own
// is a word the others lack.
func TestTongues_haveTheSameWords(t *testing.T) {
	t.Parallel()
	for _, tongue := range library {
		if len(tongue.Months) != 12 || len(tongue.Weekdays) != 7 {
			t.Errorf("%s has %d months and %d weekdays", tongue.tag, len(tongue.Months), len(tongue.Weekdays))
		}
		for _, part := range []string{"{weekday}", "{day}", "{month}", "{year}", "{time}"} {
			if !strings.Contains(tongue.Date, part) {
				t.Errorf("%s: a date without %s", tongue.tag, part)
			}
		}
		for label, text := range library[0].Labels {
			if tongue.Labels[label] == "" || text == "" {
				t.Errorf("%s has no %s", tongue.tag, label)
			}
		}
		if len(tongue.Labels) != len(library[0].Labels) || len(tongue.Kinds) != len(Kinds()) {
			t.Errorf("%s has %d labels and %d kinds", tongue.tag, len(tongue.Labels), len(tongue.Kinds))
		}
		for _, k := range Kinds() {
			l := tongue.Kinds[k]
			if l.Subject == "" || l.Action == "" || len(l.Lines) != len(library[0].Kinds[k].Lines) || slices.Contains(l.Lines, "") {
				t.Errorf("%s: %s is not complete", tongue.tag, k)
			}
		}
	}
}

func TestTongue_isTheNearestOfTheBuyersLocale(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string]language.Tag{
		"fr": language.French, "fr-CA": language.French, "de-CH": language.German, "ja-JP": language.Japanese, "es-419": language.Spanish, "en-AU": language.English,
		"pt-BR": language.English, "": language.English, "x\x00y": language.English, strings.Repeat("a-", 200): language.English, "tlh": language.English,
	} {
		if got := tongueOf(locale).tag; got != want {
			t.Errorf("%q: %s, want %s", locale, got, want)
		}
	}
}

func TestPrice_hasTheCurrencysDecimalsAndTheLanguagesMarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		locale string
		m      money.Money
		want   string
	}{
		{"en", money.Money{Amount: 123456789, Currency: "EUR"}, "1,234,567.89\u00a0EUR"},
		{"de", money.Money{Amount: 123456789, Currency: "EUR"}, "1.234.567,89\u00a0EUR"},
		{"fr", money.Money{Amount: 5, Currency: "EUR"}, "0,05\u00a0EUR"},
		{"ja", money.Money{Amount: 5000, Currency: "JPY"}, "5,000\u00a0JPY"},
		{"en", money.Money{Amount: 1005, Currency: "KWD"}, "1.005\u00a0KWD"},
		{"en", money.Money{Amount: money.Max - 1, Currency: "KWD"}, "999,999,999.999\u00a0KWD"},
		{"es", money.Money{Amount: -250, Currency: "USD"}, "−2,50\u00a0USD"},
	} {
		if got := tongueOf(c.locale).price(c.m); got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.locale, c.m, got, c.want)
		}
	}
}

func TestWhen_isTheClockOnTheVenuesWall(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 24, 23, 30, 0, 0, time.UTC)
	for zone, want := range map[string]string{
		"Asia/Tokyo": "Friday, December 25, 2026, 08:30 (Asia/Tokyo)", "America/New_York": "Thursday, December 24, 2026, 18:30 (America/New_York)",
		"Nowhere/Else": "Thursday, December 24, 2026, 23:30 (UTC)", "Local": "Thursday, December 24, 2026, 23:30 (UTC)",
	} {
		if got := tongueOf("en").when(at, zone); got != want {
			t.Errorf("%s: %s, want %s", zone, got, want)
		}
	}
}

func FuzzWrite_strangersTextStaysText(f *testing.F) {
	f.Add("Zoë", "Gala", "fr")
	f.Add("{{.}}<script>alert(1)</script>", "a\r\nBcc: x@example.org\r\n\r\n", "xx-\xff")
	f.Add("\u202e\u2028", strings.Repeat("é", 5000), "ja")
	f.Fuzz(func(t *testing.T, name, event, locale string) {
		fs := facts()
		fs.Name, fs.Event, fs.Venue = name, event, name
		for _, k := range Kinds() {
			m, err := Write(k, locale, fs)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(m.Subject, "\r\n\x00") || len(m.Subject) > 2000 {
				t.Errorf("subject %q", m.Subject)
			}
			if strings.Contains(strings.ToLower(m.HTML), "<script") || strings.ContainsAny(m.Text, "\r\x00") {
				t.Errorf("it broke out of %s", k)
			}
			if base, err := Write(k, locale, facts()); err != nil || strings.Count(base.Text, "\n") != strings.Count(m.Text, "\n") && line(name) != "" && line(event) != "" {
				t.Errorf("%s: a stranger's text made a line of its own: %v\n%s", k, err, m.Text)
			}
		}
	})
}

// What a mail's words cost; docs/bench/mail.md has the figures.
func BenchmarkWrite(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Write(OrderPaid, "fr-FR", facts()); err != nil {
			b.Fatal(err)
		}
	}
}
