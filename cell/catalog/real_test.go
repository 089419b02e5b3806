package catalog_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"guichet/cell/catalog"
)

// now is when these tests happen: after all of the shared data.
var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// shared finds the project's real input data beside the repository, or skips.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", "SOURCES.md")); err == nil {
			return filepath.Join(dir, "shared", "data", "events")
		}
	}
	t.Skip("SKIPPED: shared/data is not beside the repository; the real catalogue files are not tested here")
	return ""
}

func disk(paths ...string) []catalog.File {
	var files []catalog.File
	for _, p := range paths {
		files = append(files, catalog.File{Name: filepath.Base(p), Open: func() (io.ReadCloser, error) { return os.Open(p) }})
	}
	return files
}

// read collects the good rows and the reasons of the bad ones, counted.
func read(t *testing.T, format string, files []catalog.File, opts catalog.Options) (good, bad []catalog.Row, sum catalog.Summary) {
	t.Helper()
	if opts.Now.IsZero() {
		opts.Now = now
	}
	sum, err := catalog.Read(t.Context(), format, files, opts, func(r catalog.Row) error {
		if r.Err != nil {
			bad = append(bad, r)
		} else {
			good = append(good, r)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", format, err)
	}
	if sum.Good != len(good) || sum.Bad != len(bad) || sum.Rows != len(good)+len(bad) {
		t.Errorf("summary %+v, but %d good and %d bad rows were emitted", sum, len(good), len(bad))
	}
	return good, bad, sum
}

func TestRealData_torontoIsUsableToTheLastRow(t *testing.T) {
	dir := shared(t)
	good, bad, sum := read(t, "schemaorg", disk(filepath.Join(dir, "toronto_festivals_events_2025.json.gz")), catalog.Options{Shift: true})
	if len(good) != 850 || len(bad) != 0 {
		t.Errorf("%d good, %d bad rows, want 850 and 0: %+v", len(good), len(bad), sum)
	}
	priced := 0
	for _, r := range good {
		if r.Event.TimeZone != "America/Toronto" || r.Event.Venue.Country != "CA" || r.Event.Source.Credit == "" || !r.Event.Source.Shifted {
			t.Fatalf("%s: %+v %+v", r.Event.Name, r.Event.Venue, *r.Event.Source)
		}
		if r.Event.TicketTypes[0].Price.Amount > 0 {
			priced++
		}
	}
	if assumed := sum.Notes[catalog.NotePrice]; priced-assumed != 331 {
		t.Errorf("%d events cost something, %d of them by assumption; SOURCES.md says 331 have a price", priced, assumed)
	}
	if again, _, _ := read(t, "toronto", disk(filepath.Join(dir, "toronto_festivals_events_2025.json.gz")), catalog.Options{Shift: true}); again[0].Key != good[0].Key {
		t.Error("the format toronto gives other keys than schemaorg")
	}
	_, past, _ := read(t, "schemaorg", disk(filepath.Join(dir, "toronto_festivals_events_2025.json.gz")), catalog.Options{})
	if len(past) != 850 {
		t.Errorf("without --shift %d rows are in the past, want 850", len(past))
	}
}

func TestRealData_hongKongLosesOnlyTheOpenEndedProgramme(t *testing.T) {
	dir := shared(t)
	paths, err := filepath.Glob(filepath.Join(dir, "hongkong_lcsd_*"))
	if err != nil {
		t.Fatal(err)
	}
	good, bad, sum := read(t, "hongkong", disk(paths...), catalog.Options{Shift: true})
	if len(good) != 1018 || len(bad) != 1 {
		t.Fatalf("%d good and %d bad rows, want 1018 and 1: %+v", len(good), len(bad), sum)
	}
	if n := sum.Notes[catalog.NoteLocation]; n != 395 {
		t.Errorf("%d events stand at the city's centre, want 395 (624 venues have coordinates)", n)
	}
	for _, r := range good {
		if r.SourceID == "176331" {
			var got []int64
			for i, tt := range r.Event.TicketTypes {
				got = append(got, tt.Price.Amount, r.Event.Quotas[i].Size)
			}
			if len(got) != 8 || got[0] != 48000 || got[6] != 16000 || got[1] != catalog.HongKongHallCapacity/4 {
				t.Errorf("event 176331 ($480, 380, 260, 160) became %v", got)
			}
			if h, m, _ := r.Event.StartsAt.Clock(); h != 14 || m != 15 {
				t.Errorf("event 176331 starts at %s, want 14:15", r.Event.StartsAt)
			}
		}
	}
}

func TestRealData_worldCupsFindTheirStadiums(t *testing.T) {
	dir := shared(t)
	paths, err := filepath.Glob(filepath.Join(dir, "worldcup", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	good, bad, sum := read(t, "openfootball", disk(paths...), catalog.Options{Shift: true})
	if len(good) != 296 || len(bad) != 0 || sum.Notes[catalog.NoteLocation] != 4 || sum.Notes[catalog.NoteZone] != 0 {
		t.Errorf("%d good, %d bad: %+v %v", len(good), len(bad), sum, bad)
	}
	for _, r := range good {
		if r.SourceID == "world-cup-2026/2026-07-19/spain/argentina" {
			e := r.Event
			if e.Venue.Capacity != 82500 || e.TimeZone != "America/New_York" || e.StartsAt.Format("15:04") != "15:00" || len(e.Quotas) != 4 {
				t.Errorf("the final: %+v", e)
			}
		}
	}
}
