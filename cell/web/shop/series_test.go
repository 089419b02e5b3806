package shop_test

import (
	"fmt"
	"testing"
	"time"

	"guichet/cell/client"
)

func TestSeries_showsItsDatesAsACalendar(t *testing.T) {
	t.Parallel()
	h := open(t)
	start := time.Now().UTC().AddDate(0, 1, 0).Truncate(24 * time.Hour).Add(9 * time.Hour)
	template := concert(object{"starts_at": start, "ends_at": start.Add(time.Hour)})
	delete(template, "publish")
	s := read[client.Series](t, h.call(t, "POST", "/v1/organizers/"+h.org+"/series?home_region="+hereRegion, object{
		"name": "Musée", "template": template, "rule": "FREQ=DAILY;COUNT=45", "publish": true,
		"time_slots": []object{{"name": "Morning", "at": "10:00", "minutes": 60}, {"name": "Evening", "at": "18:00", "minutes": 60}},
	}, h.key))
	for end := time.Now().Add(patience); s.State != "published" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks
		if _, err := h.server.Booking.ContinueSeries(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = read[client.Series](t, h.call(t, "GET", "/v1/series/"+s.ID, nil, h.key))
	}
	v := h.visitor(t)
	p := v.get(t, "/en/series/"+s.ID).says(t, 200, "Musée", start.Format("January 2006"), "10:00 · Morning", "18:00 · Evening", "Next dates")
	v.get(t, linkTo(t, p, "month="+start.AddDate(0, 1, 0).Format("2006-01"))).says(t, 200, start.AddDate(0, 1, 0).Format("January 2006"))
	v.get(t, "/en/series/"+s.ID+"?month=1999-01").says(t, 200, "There are no dates in this month.")
	v.get(t, "/ja/series/"+s.ID+"?month=nonsense").says(t, 200, start.Format("2006年1月"))
	b := h.browse(t)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{320, 1280} {
			b.window(t, width, scheme)
			b.visit(t, "/en/series/"+s.ID)
			b.accessible(t, fmt.Sprintf("series-%d-%s", width, scheme))
			b.shot(t, fmt.Sprintf("series-%d-%s", width, scheme))
		}
	}
}
