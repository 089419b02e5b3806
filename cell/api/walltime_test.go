package api_test

import "testing"

// What the database would round, and zones, countries and names that nobody could
// read again, are refused with a pointer, when an event is made and when it is changed.
func TestEvents_refuseTimesZonesCountriesAndNamesThatWouldNotLast(t *testing.T) {
	t.Parallel()
	h := open(t)
	s := h.stage(t)
	fine := "2031-05-01T19:30:00.123456789Z"
	venue := func(country, name string) object {
		return object{"name": name, "city": "Paris", "country": country, "location": object{"lat": 48.85, "lon": 2.35}}
	}
	for _, c := range []struct {
		change object
		want   string
	}{
		{object{"starts_at": fine}, "400 invalid_event /starts_at"},
		{object{"ends_at": fine}, "400 invalid_event /ends_at"},
		{object{"time_zone": "EST5EDT"}, "400 invalid_event /time_zone"},
		{object{"venue": venue("XX", "Hall")}, "400 invalid_event /venue/country"},
		{object{"venue": venue("FR", "Ha\u200bll")}, "400 invalid_event /venue/name"},
		{object{"name": "Nuit\u202eeuqisum"}, "400 invalid_event /name"},
	} {
		if a := s.ask(t, "PATCH "+s.path(), c.change, s.bearer, ifMatch("*")); a.is() != c.want {
			t.Errorf("PATCH %s: %s, want %s", show(t, c.change), a.is(), c.want)
		}
		if a := s.ask(t, "POST /v1/organizers/"+s.org.ID+"/events", concert().but(c.change), s.bearer); a.is() != c.want {
			t.Errorf("POST %s: %s, want %s", show(t, c.change), a.is(), c.want)
		}
	}
}
