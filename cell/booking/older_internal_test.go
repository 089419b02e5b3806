package booking

import (
	"testing"
	"time"
)

// An event may have been made under older rules. It must still be possible to
// change and to cancel it; what is changed meets the rules of today.
func TestValidate_leavesAnOlderEventsNamesAndZoneAlone(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)
	before := Event{
		Name: "Nuit\u200b", Category: "music", Venue: Venue{Name: "Salle", City: "Pristina", Country: "XK"}, TimeZone: "EST5EDT", StartsAt: now.AddDate(0, 1, 0),
	}
	if before.Validate(now) == nil {
		t.Fatal("the rules of today let it pass, so this test shows nothing")
	}
	after := before
	after.Summary = "new"
	if err := after.validate(now, &before); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	for what, change := range map[string]func(e *Event){
		"name": func(e *Event) { e.Name = "Jour\u200b" }, "zone": func(e *Event) { e.TimeZone = "MST7MDT" }, "country": func(e *Event) { e.Venue.Country = "QQ" },
	} {
		after := before
		change(&after)
		if after.validate(now, &before) == nil {
			t.Errorf("a new %s that breaks the rules is let through", what)
		}
	}
}
