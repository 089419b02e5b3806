package catalog_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet/cell/catalog"
)

// cases finds the inputs beside the repository whose README says what is right, or skips.
func cases(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "cases", "README.md")); err == nil {
			return filepath.Join(dir, "shared", "cases")
		}
	}
	t.Skip("SKIPPED: shared/cases is not beside the repository; the collected faults are not tested here, their kinds are")
	return ""
}

// outcome is what became of a row, by its id or name: prices and times, or "refused".
func outcome(t *testing.T, dir, format, name string) map[string]string {
	t.Helper()
	good, bad, sum := read(t, format, disk(filepath.Join(dir, name)), catalog.Options{})
	if sum.Torn > 0 {
		t.Errorf("%s: the rest was not read: %v", name, bad[len(bad)-1].Err)
	}
	out := map[string]string{}
	for _, r := range good {
		text := r.Event.StartsAt.Format("2006-01-02T15:04Z07:00")
		if r.Event.EndsAt != nil {
			text += " to " + r.Event.EndsAt.Format("2006-01-02T15:04")
		}
		key := r.Event.Name
		if format == "csv" {
			key = r.SourceID
		}
		out[key] = text + "; " + priced(r.Event)
	}
	for _, r := range bad {
		if r.Err.Error() == "" {
			t.Errorf("%s: no reason", name)
		}
		out[r.SourceID] += "refused " + r.Err.Error() + "; "
	}
	return out
}

func TestCases_pricesAreThoseOfTheTextOrRefused(t *testing.T) {
	dir := cases(t)
	got := outcome(t, dir, "csv", "prices.csv")
	f, err := os.Open(filepath.Join(dir, "prices-expected.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma = '\t'
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 10 {
		t.Fatal(rows, err)
	}
	for _, row := range rows[1:] {
		is := got[row[0]]
		right := strings.Contains(row[1], "refused") && strings.HasPrefix(is, "refused")
		wants := strings.Split(strings.TrimSuffix(row[1], ", or refused as ambiguous"), " and ")
		if !right && strings.Contains(is, "; ") {
			right = strings.Count(is, ", ") == len(wants)-1
			for _, want := range wants {
				right = right && strings.Contains(is, " "+strings.TrimLeft(strings.ReplaceAll(want, ".", ""), "0"))
			}
		}
		if !right {
			t.Errorf("%s is %q, want %s", row[0], is, row[1])
		}
	}
}

func TestCases_everyOtherInputIsReadAsItsReadmeSays(t *testing.T) {
	dir := cases(t)
	for name, want := range map[string]map[string]string{
		"schemaorg offers.json": {
			"summary and offer": "; General 1000", "summary alone": "; Ticket 18.50 EUR 1850, Ticket 25.00 EUR 2500", "high below low, alone": "; Standard 1000",
			"sold out and on sale": "; A 1000 none, B 2000", "not yet valid": "; Early 1000 until 06-01T00:00+02, Regular 2000 from 01-15T10:00+01",
		},
		"schemaorg dates.json": {
			"one day": "2027-05-01T10:00+02:00 to 2027-05-02T00:00", "three days": "to 2027-05-04T00:00", "evening to a date": "T18:00+02:00 to 2027-05-04T00:00",
			"evening to the same date": "T18:00+02:00 to 2027-05-02T00:00",
		},
		"schemaorg status.json": {"free, text": "; Free admission 0", "free, text with capital": "; Free admission 0", "free, address": "; Free admission 0"},
		"schemaorg latin1.json": {"Größe": "; Standard 1000"},
		"csv cp1252.csv":        {"w1": "; Standard 1850"},
		"csv clock.csv":         {"c1": "refused", "c2": "refused", "c3": "2027-11-07T01:30-04:00", "c4": "2027-10-31T02:30+02:00"},
	} {
		format, file, _ := strings.Cut(name, " ")
		got := outcome(t, dir, format, file)
		for key, text := range want {
			if !strings.Contains(got[key], text) {
				t.Errorf("%s: %q is %q, want %q", file, key, got[key], text)
			}
		}
		if n := strings.Count(got[""], "refused"); file == "status.json" && (n != 8 || len(got) != 4) {
			t.Errorf("%d of 8 are refused: %q", n, got)
		}
	}
	good, bad, sum := read(t, "schemaorg", disk(filepath.Join(dir, "rawline.json")), catalog.Options{})
	if len(good) != 3 && (sum.Torn != 1 || bad[0].Line != 3 && bad[0].Line != 4) {
		t.Errorf("of the raw line %d were read, and %+v %+v", len(good), sum, bad)
	}
	windows, _, _ := read(t, "csv", disk(filepath.Join(dir, "cp1252.csv")), catalog.Options{})
	if len(windows) != 1 || windows[0].Event.Name != "Größe – “quoted”" || windows[0].Event.Venue.City != "Köln" {
		t.Errorf("cp1252: %+v", windows)
	}
}
