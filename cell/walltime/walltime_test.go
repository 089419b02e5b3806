package walltime_test

import (
	"archive/zip"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"guichet/cell/walltime"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := walltime.Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

const minute = "2006-01-02 15:04"

func TestIn_refusesAnHourThatTheClockSkips(t *testing.T) {
	for _, c := range []struct{ zone, wall string }{
		{"Europe/Paris", "2028-03-26 02:30"},
		{"America/Chicago", "2028-03-12 02:00"},
		{"Australia/Lord_Howe", "2028-10-01 02:15"}, // by half an hour
		{"Pacific/Apia", "2011-12-30 12:00"},        // the whole day
		{"America/Sao_Paulo", "2018-11-04 00:30"},   // midnight
	} {
		if at, err := walltime.Parse(minute, c.wall, zone(t, c.zone)); !errors.Is(err, walltime.ErrSkipped) {
			t.Errorf("%s in %s is %s, %v", c.wall, c.zone, at, err)
		}
	}
}

func TestIn_meansTheFirstOfAnHourThatComesTwice(t *testing.T) {
	for _, c := range []struct{ zone, wall, want string }{
		{"Europe/Paris", "2028-10-29 02:30", "2028-10-29T02:30:00+02:00"},
		{"America/Chicago", "2028-11-05 01:59", "2028-11-05T01:59:00-05:00"},
		{"Australia/Lord_Howe", "2028-04-02 01:45", "2028-04-02T01:45:00+11:00"},
		{"Asia/Tokyo", "2028-04-02 01:45", "2028-04-02T01:45:00+09:00"},
		{"Africa/Casablanca", "2028-05-01 12:00", "2028-05-01T12:00:00+01:00"},
	} {
		if at, err := walltime.Parse(minute, c.wall, zone(t, c.zone)); err != nil || at.Format(time.RFC3339) != c.want {
			t.Errorf("%s in %s is %s, %v; want %s", c.wall, c.zone, at.Format(time.RFC3339), err, c.want)
		}
	}
}

// The wall's way there and back, hour by hour, over a year of zones that change
// in all kinds of ways: every time that exists comes back as it was, and before
// any other that shows the same.
func TestIn_goesThereAndBackOverAWholeYear(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "America/Santiago", "Asia/Kathmandu", "Pacific/Chatham"} {
		loc := zone(t, name)
		for wall := time.Date(2027, 1, 1, 0, 15, 0, 0, time.UTC); wall.Year() == 2027; wall = wall.Add(30 * time.Minute) {
			at, err := walltime.In(wall, loc)
			if err != nil {
				continue
			}
			if !walltime.Naive(at).Equal(wall) {
				t.Fatalf("%s in %s became %s", wall, name, at)
			}
			for _, before := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
				if walltime.Naive(at.Add(-before)).Equal(wall) {
					t.Fatalf("%s in %s is %s, the second of two", wall, name, at)
				}
			}
		}
	}
}

func TestParse_takesAnOffsetAtItsWord(t *testing.T) {
	at, err := walltime.Parse(time.RFC3339, "2028-10-29T02:30:00+01:00", zone(t, "Europe/Paris"))
	if err != nil || at.Format(time.RFC3339) != "2028-10-29T02:30:00+01:00" {
		t.Errorf("the second of two was asked for, got %s %v", at, err)
	}
	if _, err := walltime.Parse(minute, "2028-02-30 10:00", time.UTC); !errors.Is(err, walltime.ErrNoTime) {
		t.Errorf("30 February: %v", err)
	}
}

func TestStartOfDay_isWhatTheClockShowsFirst(t *testing.T) {
	noon := time.Date(2018, 11, 4, 12, 0, 0, 0, zone(t, "America/Sao_Paulo"))
	if got := walltime.StartOfDay(noon).Format(time.RFC3339); got != "2018-11-04T01:00:00-02:00" {
		t.Error(got)
	}
	if got := walltime.EndOfDay(noon.AddDate(0, 0, -1)).Format(time.RFC3339); got != "2018-11-04T01:00:00-02:00" {
		t.Error(got)
	}
	late := time.Date(2028, 3, 26, 23, 30, 0, 0, zone(t, "Europe/Paris"))
	if got := walltime.EndOfDay(late).Sub(walltime.StartOfDay(late)); got != 23*time.Hour {
		t.Errorf("the day of summer time has %s", got)
	}
}

func dates(t *testing.T, rule, first string, most int) string {
	t.Helper()
	at, err := walltime.Parse(minute, first, zone(t, "Europe/Paris"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = walltime.Dates(rule, at, at.AddDate(5, 0, 0), func(t time.Time) bool {
		out = append(out, t.Format("01-02T15:04-07"))
		return len(out) < most
	})
	if err != nil {
		t.Fatalf("%s: %v", rule, err)
	}
	return strings.Join(out, " ")
}

func TestDates_leavesOutWhatTheClockSkipsAndDoesNotCountIt(t *testing.T) {
	if got, want := dates(t, "FREQ=DAILY;COUNT=3", "2028-03-25 02:30", 9), "03-25T02:30+01 03-27T02:30+02 03-28T02:30+02"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := dates(t, "FREQ=DAILY;COUNT=3", "2028-10-28 02:30", 9), "10-28T02:30+02 10-29T02:30+02 10-30T02:30+01"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDates_endsWithItsLastDayWhateverItsSpelling(t *testing.T) {
	for _, until := range []string{"20280303", "20280303T193000", "20280303T183000Z"} {
		if got, want := dates(t, "FREQ=DAILY;UNTIL="+until, "2028-03-02 19:30", 9), "03-02T19:30+01 03-03T19:30+01"; got != want {
			t.Errorf("UNTIL=%s: %s, want %s", until, got, want)
		}
	}
	if got := dates(t, "FREQ=WEEKLY", "2028-03-02 19:30", 3); strings.Count(got, " ") != 2 {
		t.Errorf("without an end it stops with its reader, not after %s", got)
	}
}

func TestDates_ofARuleBeyondAllSenseAreAnError(t *testing.T) {
	for _, rule := range []string{"", "FREQ=SOMETIMES", "FREQ=MONTHLY;BYDAY=-60MO;COUNT=2", "FREQ=DAILY;UNTIL=2028", "FREQ=DAILY;UNTIL=20281399"} {
		if err := walltime.Dates(rule, time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), func(time.Time) bool { return true }); err == nil {
			t.Errorf("%q is no error", rule)
		}
	}
}

func TestZone_knowsWhatBrowsersKnowAndNothingElse(t *testing.T) {
	for _, name := range []string{"Europe/Paris", "UTC", "Etc/UTC", "Asia/Calcutta", "US/Eastern", "America/Argentina/Buenos_Aires", "Europe/Kyiv"} {
		if loc, err := walltime.Zone(name); err != nil || loc.String() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "Local", "EST5EDT", "EST", "CET", "europe/paris", "Factory", "posixrules", "../Europe/Paris", "Europe/Paris ", "GMT+2", "W. Europe Standard Time"} {
		if _, err := walltime.Zone(name); !errors.Is(err, walltime.ErrZone) {
			t.Errorf("%q is a zone", name)
		}
	}
}

// A newer Go brings newer zones: this test then says which are missing here.
func TestZone_hasEveryZoneOfTheDatabase(t *testing.T) {
	z, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip")) //nolint:staticcheck // of the toolchain that runs the test
	if err != nil {
		t.Skip("SKIPPED: no zone database beside the toolchain: ", err)
	}
	defer z.Close()
	n := 0
	for _, f := range z.File {
		bare := !strings.Contains(f.Name, "/") && strings.ContainsAny(f.Name, "+-0123456789") || strings.Contains(" CET EET MET WET EST MST HST Factory ", " "+f.Name+" ")
		if strings.HasSuffix(f.Name, "/") || bare && f.Name != "GB-Eire" && f.Name != "NZ-CHAT" && f.Name != "W-SU" {
			continue
		}
		n++
		if _, err := walltime.Zone(f.Name); err != nil {
			t.Error(err)
		}
	}
	if n < 500 {
		t.Errorf("only %d zones were looked at", n)
	}
}

func TestKept_saysWhetherADatabaseKeepsAllOfATime(t *testing.T) {
	at := time.Date(2028, 1, 1, 0, 0, 0, 123456000, time.UTC)
	if !walltime.Kept(at) || walltime.Kept(at.Add(1)) {
		t.Error("microseconds are kept, nanoseconds are not")
	}
}
