package booking_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
)

// planOf are the starts of a series of visits.
func planOf(t *testing.T, change func(d *booking.DraftSeries)) []string {
	t.Helper()
	d := visits(t)
	d.Template.EndsAt = nil
	change(&d)
	plan, err := d.Plan(noon)
	if err != nil {
		t.Fatal(err)
	}
	return starts(plan)
}

// In Paris the clock of 2030 skips from 02:00 to 03:00 on 31 March and shows
// 02:00 to 03:00 twice on 27 October.
func TestRule_leavesOutAnHourThatTheClockSkipsAndTakesTheFirstOfTwo(t *testing.T) {
	t.Parallel()
	night := func(month time.Month, day int) func(d *booking.DraftSeries) {
		return func(d *booking.DraftSeries) {
			d.Template.StartsAt = time.Date(2030, month, day, 2, 30, 0, 0, paris(t))
			d.Rule = "FREQ=DAILY;COUNT=3"
		}
	}
	if got, want := planOf(t, night(3, 30)), []string{"2030-03-30 02:30 +01", "2030-04-01 02:30 +02", "2030-04-02 02:30 +02"}; !slices.Equal(got, want) {
		t.Errorf("spring: %q, want %q", got, want)
	}
	if got, want := planOf(t, night(10, 26)), []string{"2030-10-26 02:30 +02", "2030-10-27 02:30 +02", "2030-10-28 02:30 +01"}; !slices.Equal(got, want) {
		t.Errorf("autumn: %q, want %q", got, want)
	}
}

func TestSlots_neverBecomeOneInstantWhenTheClockSkips(t *testing.T) {
	t.Parallel()
	got := planOf(t, func(d *booking.DraftSeries) {
		d.Template.StartsAt = time.Date(2030, 3, 30, 12, 0, 0, 0, paris(t))
		d.Rule = "FREQ=DAILY;COUNT=2"
		d.Slots = []booking.Slot{{Name: "first", At: "02:30"}, {Name: "second", At: "03:30"}}
	})
	if want := []string{"2030-03-30 02:30 +01", "2030-03-30 03:30 +01", "2030-03-31 03:30 +02"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSlots_thatTheClockSkipsAltogetherAreRefused(t *testing.T) {
	t.Parallel()
	d := visits(t)
	d.Template.EndsAt = nil
	d.Dates = []time.Time{time.Date(2030, 3, 31, 12, 0, 0, 0, paris(t))}
	d.Slots = []booking.Slot{{Name: "night", At: "02:15"}}
	_, err := d.Plan(noon)
	wantErr(t, err, booking.ErrInvalidSeries)
}

// spoiled is the pointer at which a draft is refused, "" when it is not.
func spoiled(t *testing.T, spoil func(d *booking.Draft)) string {
	t.Helper()
	d := draft()
	spoil(&d)
	_, err := d.Event("euw3", id.NewOrganizer("euw3"), noon)
	if err == nil {
		return ""
	}
	wantErr(t, err, booking.ErrInvalidEvent)
	faults, _ := field(t, err, "errors").([]kind.Fault)
	return faults[0].Pointer
}

func TestDraft_takesOnlyZonesThatBrowsersKnow(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]string{
		"Europe/Kyiv": "", "Asia/Calcutta": "", "UTC": "", "EST5EDT": "/time_zone", "CET": "/time_zone", "Local": "/time_zone",
		"europe/paris": "/time_zone", "localtime": "/time_zone", "posix/Europe/Paris": "/time_zone", "": "/time_zone",
	} {
		if got := spoiled(t, func(d *booking.Draft) { d.TimeZone = zone }); got != want {
			t.Errorf("%q is refused at %q, want %q", zone, got, want)
		}
	}
}

func TestDraft_takesOnlyCountriesOfISO3166(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{"TW": "", "SX": "", "XX": "/venue/country", "UK": "/venue/country", "EU": "/venue/country", "ZZ": "/venue/country", "": "/venue/country"} {
		if got := spoiled(t, func(d *booking.Draft) { d.Venue.Country = code }); got != want {
			t.Errorf("%q is refused at %q, want %q", code, got, want)
		}
	}
}

func TestDraft_refusesATimeThatIsFinerThanTheDatabaseKeeps(t *testing.T) {
	t.Parallel()
	fine, coarse := noon.AddDate(0, 1, 0).Add(time.Nanosecond), noon.AddDate(0, 1, 0).Add(time.Microsecond)
	for pointer, set := range map[string]func(d *booking.Draft, at time.Time){
		"/starts_at":                  func(d *booking.Draft, at time.Time) { d.StartsAt = at },
		"/ends_at":                    func(d *booking.Draft, at time.Time) { at = at.AddDate(0, 2, 0); d.EndsAt = &at },
		"/ticket_types/0/sales_start": func(d *booking.Draft, at time.Time) { d.Types[0].SalesStart = &at },
		"/ticket_types/0/sales_end":   func(d *booking.Draft, at time.Time) { d.Types[0].SalesEnd = &at },
		"/ticket_types/0/tiers/0/starts_at": func(d *booking.Draft, at time.Time) {
			d.Types[0].Terms.Tiers = &[]booking.DraftTier{{Name: "early", Price: d.Types[0].Price, StartsAt: &at}}
		},
	} {
		if got := spoiled(t, func(d *booking.Draft) { set(d, fine) }); got != pointer {
			t.Errorf("nanoseconds at %s are refused at %q", pointer, got)
		}
		if got := spoiled(t, func(d *booking.Draft) { set(d, coarse) }); got != "" {
			t.Errorf("microseconds at %s are refused", pointer)
		}
	}
}

func TestDraft_refusesNamesThatTurnOrHideText(t *testing.T) {
	t.Parallel()
	for _, hidden := range []string{"\u202e", "\u2066", "\u200b", "\u200f", "\ufeff"} {
		for pointer, spoil := range map[string]func(d *booking.Draft){
			"/name":                func(d *booking.Draft) { d.Name += hidden + "x" },
			"/venue/name":          func(d *booking.Draft) { d.Venue.Name += hidden },
			"/venue/city":          func(d *booking.Draft) { d.Venue.City = hidden + d.Venue.City },
			"/quotas/0/name":       func(d *booking.Draft) { d.Quotas[0].Name += hidden },
			"/ticket_types/1/name": func(d *booking.Draft) { d.Types[1].Name += hidden },
		} {
			if got := spoiled(t, spoil); got != pointer {
				t.Errorf("%+q is refused at %q, want %q", hidden, got, pointer)
			}
		}
	}
	if err := (booking.NamedBuyer{Name: "Dana\u202e"}).Check(); err == nil || !strings.Contains(err.Error(), "U+202E") {
		t.Errorf("a named buyer: %v", err)
	}
	d := visits(t)
	d.Name, d.Rule = "Vis\u200bites", "FREQ=DAILY;COUNT=2"
	_, _, err := d.Series("euw3", id.NewOrganizer("euw3"), noon)
	wantErr(t, err, booking.ErrInvalidSeries)
}
