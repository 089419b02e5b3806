package booking_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/kind"
)

func paris(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// visits is a series of guided tours; dates or a rule are still to be said.
func visits(t testing.TB) booking.DraftSeries {
	t.Helper()
	begin := time.Date(2030, 10, 25, 20, 0, 0, 0, paris(t))
	end := begin.Add(90 * time.Minute)
	return booking.DraftSeries{Name: "Visites", Template: booking.Draft{
		Category: "tour", Venue: booking.Venue{Name: "Musée", City: "Paris", Country: "FR"}, StartsAt: begin, EndsAt: &end,
		TimeZone: "Europe/Paris", Currency: "EUR", Quotas: []booking.DraftQuota{{Name: "all", Size: 20}, {Name: "guide", Size: 5}},
		Types: []booking.DraftType{{Name: "Adult", Price: eur(900), Quotas: []string{"all"}}, {Name: "Guided", Price: eur(1900), Quotas: []string{"all", "guide"}}},
	}}
}

func starts(plan []booking.Occurrence) []string {
	out := make([]string, len(plan))
	for i, o := range plan {
		out[i] = o.StartsAt.Format("2006-01-02 15:04 -07")
	}
	return out
}

func TestRule_keepsTheTimeOnTheWallWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string][]string{
		"FREQ=DAILY;COUNT=4":                              {"2030-10-25 20:00 +02", "2030-10-26 20:00 +02", "2030-10-27 20:00 +01", "2030-10-28 20:00 +01"},
		"RRULE:FREQ=DAILY;INTERVAL=2;COUNT=2":             {"2030-10-25 20:00 +02", "2030-10-27 20:00 +01"},
		"FREQ=DAILY;UNTIL=20301026T180000Z":               {"2030-10-25 20:00 +02", "2030-10-26 20:00 +02"},
		"FREQ=WEEKLY;BYDAY=SA,SU;COUNT=3":                 {"2030-10-26 20:00 +02", "2030-10-27 20:00 +01", "2030-11-02 20:00 +01"},
		"FREQ=MONTHLY;BYDAY=-1FR;COUNT=2":                 {"2030-10-25 20:00 +02", "2030-11-29 20:00 +01"},
		"FREQ=MONTHLY;BYMONTHDAY=31;COUNT=2":              {"2030-10-31 20:00 +01", "2030-12-31 20:00 +01"},
		"FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=1":     {"2032-02-29 20:00 +01"},
		"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU;COUNT=2": {"2030-11-04 20:00 +01", "2030-11-18 20:00 +01"},
	} {
		d := visits(t)
		d.Rule = rule
		plan, err := d.Plan(noon)
		if err != nil || !slices.Equal(starts(plan), want) {
			t.Errorf("%s: %q, %v; want %q", rule, starts(plan), err, want)
		}
		for _, o := range plan {
			if o.EndsAt == nil || o.EndsAt.Sub(o.StartsAt) != 90*time.Minute {
				t.Errorf("%s: lasts until %v", rule, o.EndsAt)
			}
		}
	}
}

func TestRule_thatIsNotUnderstoodOrNeverEndsIsRefused(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"FREQ=DAILY", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=-1", "FREQ=DAILY;COUNT=x", "FREQ=DAILY;COUNT=2;UNTIL=20301026T180000Z", "FREQ=DAILY;COUNT=2;COUNT=3",
		"FREQ=HOURLY;COUNT=2", "FREQ=SECONDLY;COUNT=2", "COUNT=2", "", "nonsense", "FREQ=DAILY;COUNT=2;", "FREQ=DAILY;INTERVAL=0;COUNT=2", "FREQ=DAILY;INTERVAL=1001;COUNT=2",
		"FREQ=DAILY;UNTIL=20301026", "FREQ=DAILY;UNTIL=20301026T180000", "FREQ=DAILY;UNTIL=20200101T000000Z", "FREQ=DAILY;UNTIL=20309926T180000Z", "FREQ=WEEKLY;BYDAY=XX;COUNT=2",
		"FREQ=WEEKLY;BYDAY=2MO;COUNT=2", "FREQ=MONTHLY;BYDAY=53MO;COUNT=2", "FREQ=YEARLY;BYDAY=6MO;COUNT=2", "FREQ=WEEKLY;BYMONTHDAY=1;COUNT=2", "FREQ=MONTHLY;BYMONTHDAY=32;COUNT=2", "FREQ=MONTHLY;BYMONTHDAY=0;COUNT=2", "FREQ=YEARLY;BYMONTH=13;COUNT=2",
		"FREQ=DAILY;BYMONTH=2,4;BYMONTHDAY=31;COUNT=2", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-30;COUNT=2", "FREQ=DAILY;BYSETPOS=1;COUNT=2", "FREQ=DAILY;BYEASTER=0;COUNT=2", "freq=daily;count=2",
		"DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY;COUNT=2", "FREQ=DAILY;COUNT=2\nEXDATE:20260101", "FREQ=DAILY;BYDAY=" + strings.Repeat("MO,", 200) + "MO;COUNT=2",
		"FREQ=YEARLY;COUNT=40", // beyond ten years
	} {
		d := visits(t)
		d.Rule = rule
		if rule == "" {
			d.Dates = nil
		}
		if plan, err := d.Plan(noon); !errors.Is(err, booking.ErrInvalidSeries) && !errors.Is(err, booking.ErrInvalidEvent) {
			t.Errorf("%q gives %d dates, %v", rule, len(plan), err)
		}
	}
	d := visits(t)
	d.Rule = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1"
	if _, err := d.Plan(noon); err == nil || !strings.Contains(err.Error(), "none of its months") {
		t.Errorf("a day that never comes is looked for until the year 9999: %v", err)
	}
	d.Rule = "FREQ=DAILY;UNTIL=20451026T180000Z"
	_, err := d.Plan(noon)
	wantErr(t, err, booking.ErrSeriesTooLong)
	if field(t, err, "limit") != int64(5000) {
		t.Errorf("limit %v", field(t, err, "limit"))
	}
}

// FuzzRule: whatever a stranger says is refused, or gives ordered dates from the
// first on, no more than a series may have.
func FuzzRule(f *testing.F) {
	for _, rule := range []string{"FREQ=DAILY;COUNT=4", "RRULE:FREQ=WEEKLY;BYDAY=MO,-1TU;UNTIL=20311026T180000Z", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29,-1;COUNT=9", "FREQ=MONTHLY;INTERVAL=999;BYDAY=+5SU;COUNT=1;WKST=SU"} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		d := visits(t)
		d.Rule = rule
		plan, err := d.Plan(noon)
		if (err == nil) == (len(plan) == 0) || err != nil && kind.As(err) == nil || len(plan) > booking.MaxOccurrences {
			t.Fatalf("%q: %d dates, %v", rule, len(plan), err)
		}
		for i, o := range plan {
			if o.StartsAt.Before(d.Template.StartsAt) || i > 0 && !o.StartsAt.After(plan[i-1].StartsAt) {
				t.Fatalf("%q: date %d is %s", rule, i, o.StartsAt)
			}
		}
	})
}

func TestSeries_ofDaysWithTimeSlots(t *testing.T) {
	t.Parallel()
	d := visits(t)
	d.Dates = []time.Time{time.Date(2030, 10, 27, 23, 30, 0, 0, time.UTC), time.Date(2030, 10, 26, 12, 0, 0, 0, time.UTC)} // the first is the 28th in Paris
	d.Slots = []booking.Slot{{Name: "evening", At: "18:00"}, {Name: "morning", At: "09:30", Minutes: 45, Sizes: []booking.DraftQuota{{Name: "guide", Size: 2}}}}
	s, plan, err := d.Series("euw3", id.NewOrganizer("euw3"), noon)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"2030-10-26 09:30 +02", "2030-10-26 18:00 +02", "2030-10-28 09:30 +01", "2030-10-28 18:00 +01"}
	if !slices.Equal(starts(plan), want) || s.Total != 4 || s.State != booking.SeriesMaking {
		t.Fatalf("%q of %+v", starts(plan), s)
	}
	morning, err := s.Occurrence("euw3", plan[0], noon)
	if err != nil {
		t.Fatal(err)
	}
	evening, err := s.Occurrence("euw3", plan[1], noon)
	if err != nil {
		t.Fatal(err)
	}
	if morning.Slot != "morning" || morning.Series != s.ID || morning.Name != "Visites" || morning.EndsAt.Sub(morning.StartsAt) != 45*time.Minute ||
		morning.Quotas[0].Size != 20 || morning.Quotas[1].Size != 2 || morning.State != booking.Drafted {
		t.Errorf("morning: %+v", morning)
	}
	if evening.EndsAt.Sub(evening.StartsAt) != 90*time.Minute || evening.Quotas[1].Size != 5 || evening.ID == morning.ID || evening.Quotas[0].ID == morning.Quotas[0].ID {
		t.Errorf("evening: %+v", evening)
	}
	s.Publish = true
	if e, err := s.Occurrence("euw3", plan[0], noon); err != nil || e.State != booking.Published {
		t.Errorf("published at once: %s, %v", e.State, err)
	}
	if e, err := s.Occurrence("euw3", plan[0], plan[3].StartsAt); err != nil || e.State != booking.Drafted {
		t.Errorf("over already: %s, %v", e.State, err)
	}
}

func TestSeries_refusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	day := time.Date(2030, 11, 1, 18, 0, 0, 0, time.UTC)
	for at, spoil := range map[string]func(d *booking.DraftSeries){
		"/name":                             func(d *booking.DraftSeries) { d.Name = " " },
		"":                                  func(d *booking.DraftSeries) { d.Dates = nil },
		" both":                             func(d *booking.DraftSeries) { d.Rule = "FREQ=DAILY;COUNT=2" },
		"/occurrences":                      func(d *booking.DraftSeries) { d.Dates = append(d.Dates, day) },
		"/occurrences/1":                    func(d *booking.DraftSeries) { d.Dates = append(d.Dates, day.AddDate(20, 0, 0)) },
		"/occurrences/1 zero":               func(d *booking.DraftSeries) { d.Dates = append(d.Dates, time.Time{}) },
		"/occurrences/1 old":                func(d *booking.DraftSeries) { d.Dates = append(d.Dates, day.AddDate(-70, 0, 0)) },
		"/template/time_zone":               func(d *booking.DraftSeries) { d.Template.TimeZone = "Paris" },
		"/template/starts_at":               func(d *booking.DraftSeries) { d.Template.StartsAt = time.Time{} },
		"/template/ends_at":                 func(d *booking.DraftSeries) { d.Template.EndsAt = &d.Template.StartsAt },
		"/template/source":                  func(d *booking.DraftSeries) { d.Template.Source = &booking.Source{Name: "x", ID: "1"} },
		"/template/venue/city":              func(d *booking.DraftSeries) { d.Template.Venue.City = "" },
		"/template/quotas":                  func(d *booking.DraftSeries) { d.Template.Quotas = nil },
		"/template/ticket_types/0/quotas/0": func(d *booking.DraftSeries) { d.Template.Types[0].Quotas = []string{"x"} },
		"/time_slots":                       func(d *booking.DraftSeries) { d.Slots = make([]booking.Slot, 51) },
		"/time_slots/0/name":                func(d *booking.DraftSeries) { d.Slots = []booking.Slot{{At: "09:00"}} },
		"/time_slots/1/name": func(d *booking.DraftSeries) {
			d.Slots = []booking.Slot{{Name: "a", At: "09:00"}, {Name: "a", At: "10:00"}}
		},
		"/time_slots/0/at":      func(d *booking.DraftSeries) { d.Slots = []booking.Slot{{Name: "a", At: "24:00"}} },
		"/time_slots/0/minutes": func(d *booking.DraftSeries) { d.Slots = []booking.Slot{{Name: "a", At: "09:00", Minutes: 1441}} },
		"/time_slots/0/quotas/0/name": func(d *booking.DraftSeries) {
			d.Slots = []booking.Slot{{Name: "a", At: "09:00", Sizes: []booking.DraftQuota{{Name: "x"}}}}
		},
		"/time_slots/0/quotas/0/size": func(d *booking.DraftSeries) {
			d.Slots = []booking.Slot{{Name: "a", At: "09:00", Sizes: []booking.DraftQuota{{Name: "all", Size: -1}}}}
		},
	} {
		d := visits(t)
		d.Dates = []time.Time{day}
		spoil(&d)
		_, _, err := d.Series("euw3", id.NewOrganizer("euw3"), noon)
		e := kind.As(err)
		if e == nil || e.Kind != kind.Invalid {
			t.Errorf("%q: %v", at, err)
			continue
		}
		pointer, _, _ := strings.Cut(at, " ")
		if faults, ok := e.Fields["errors"].([]kind.Fault); !ok || faults[0].Pointer != pointer {
			t.Errorf("%q: %v points at %v", at, err, e.Fields["errors"])
		}
	}
	d := visits(t)
	d.Rule = "FREQ=DAILY;COUNT=2600"
	d.Slots = []booking.Slot{{Name: "a", At: "09:00"}, {Name: "b", At: "10:00"}}
	_, _, err := d.Series("euw3", id.NewOrganizer("euw3"), noon)
	wantErr(t, err, booking.ErrSeriesTooLong)
	d.Slots = nil
	for range 40 {
		d.Template.Types = append(d.Template.Types, booking.DraftType{Name: "more", Price: eur(100), Quotas: []string{"all"}})
	}
	_, _, err = d.Series("euw3", id.NewOrganizer("euw3"), noon)
	wantErr(t, err, booking.ErrSeriesTooLong)
	d = visits(t)
	d.Rule = "FREQ=DAILY;COUNT=1000"
	d.Template.Seating = &booking.DraftSeating{Plan: booking.DraftPlan{Zones: []booking.PlanZone{{Rows: []booking.PlanRow{{Seats: make([]booking.PlanSeat, 100)}}}}}}
	_, _, err = d.Series("euw3", id.NewOrganizer("euw3"), noon)
	wantErr(t, err, booking.ErrSeriesTooLong)
}

// The draft is kept as JSON while its occurrences are made: nothing may get lost.
func TestDraftSeries_survivesBeingWrittenDown(t *testing.T) {
	t.Parallel()
	d := visits(t)
	fill(reflect.ValueOf(&d).Elem(), 0)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back booking.DraftSeries
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(back); err != nil || string(again) != string(text) || !reflect.DeepEqual(d, back) {
		t.Errorf("%+v\nbecame\n%+v, %v", d, back, err)
	}
}

// fill sets every field that can be set; one that cannot (unexported, of our own
// types) would be lost in JSON and fails the comparison.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(noon))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"a":1}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.String:
		v.SetString("é\u0000x")
	case reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(48.25)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a kind of field that this test does not know: " + v.Kind().String())
	}
}
