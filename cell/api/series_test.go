package api_test

import (
	"encoding/base64"
	"net/url"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/search"
)

// visits is a series of guided tours on two days with two time slots each.
func visits() body {
	template := concert().but(object{"name": nil, "publish": nil, "starts_at": startsAt(), "ends_at": startsAt().Add(90 * time.Minute)})
	return body{
		"name": "Visites", "template": template, "rule": "FREQ=DAILY;COUNT=2",
		"time_slots": []object{{"name": "matin", "at": "09:30", "minutes": 45, "quotas": []object{{"name": "balcony", "size": 1}}}, {"name": "soir", "at": "18:00"}},
	}
}

type occurrencePage struct {
	Items      []client.Occurrence `json:"items"`
	NextCursor *string             `json:"next_cursor"`
}

func (h *house) occurrences(t testing.TB, series, query string, opts ...with) occurrencePage {
	t.Helper()
	return read[occurrencePage](t, h.ask(t, "GET /v1/series/"+series+"/occurrences"+query, nil, opts...).want(t, "200"))
}

func TestSeries_isMadeListedPublishedAndSold(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.account(t, "Musée")
	as := bearer(org.APIKey)
	made := h.ask(t, "POST /v1/organizers/"+org.ID+"/series?home_region=eu-west-3", object(visits()), as, key("k")).want(t, "201")
	made.looks(t, `{"id":"ser_1","organizer_id":"org_1","name":"Visites","state":"draft","total":4,"made":4,"home":{"cell":"euw3","region":"eu-west-3"},"created_at":"TIME"}`)
	series := read[client.Series](t, made)
	again := h.ask(t, "POST /v1/organizers/"+org.ID+"/series?home_region=eu-west-3", object(visits()), as, key("k")).want(t, "201")
	if string(again.body) != string(made.body) || again.header.Get("Idempotent-Replayed") != "true" || h.count(t, "booking.event") != 4 {
		t.Errorf("repeated: %s", again.body)
	}
	h.ask(t, "POST /v1/organizers/"+org.ID+"/series", object(visits()), as, key("k")).want(t, "422 idempotency_key_reused")

	path := "/v1/series/" + series.ID
	h.ask(t, "GET "+path, nil).want(t, "404 series_not_found")
	h.ask(t, "GET "+path+"/occurrences", nil).want(t, "404 series_not_found")
	h.ask(t, "GET "+path, nil, bearer(h.account(t, "Other").APIKey)).want(t, "404 series_not_found")
	h.ask(t, "POST "+path+"/publish", nil, bearer(h.account(t, "Other").APIKey)).want(t, "404 series_not_found")
	h.ask(t, "GET "+path, nil, as).want(t, "200")
	if drafts := h.occurrences(t, series.ID, "", as); len(drafts.Items) != 4 || drafts.Items[0].State != "draft" || drafts.Items[0].Availability != "none" {
		t.Errorf("drafts: %+v", drafts)
	}
	if state := read[client.Series](t, h.ask(t, "POST "+path+"/publish", nil, as).want(t, "200")).State; state != "published" {
		t.Errorf("published: %s", state)
	}
	if n := h.count(t, "bus.outbox"); n != 4 {
		t.Errorf("%d messages about 4 occurrences", n)
	}
	all := h.occurrences(t, series.ID, "").Items
	if len(all) != 4 || all[0].Slot != "matin" || all[1].Slot != "soir" || all[0].Name != "Visites" || all[0].EndsAt.Sub(all[0].StartsAt) != 45*time.Minute ||
		all[1].EndsAt.Sub(all[1].StartsAt) != 90*time.Minute || all[1].Availability != "available" || all[0].PriceFrom.Amount != 0 || all[2].StartsAt.Before(all[1].StartsAt) {
		t.Errorf("occurrences: %+v", all)
	}
	// An occurrence is an event like any other, with stock of its own.
	e := read[client.Event](t, h.ask(t, "GET /v1/events/"+all[0].ID, nil, as).want(t, "200"))
	if e.SeriesID != series.ID || e.Slot != "matin" || e.Quotas[1].Size != 1 {
		t.Errorf("%+v", e)
	}
	h.ask(t, "POST /v1/events/"+all[0].ID+"/holds", items(e.TicketTypes[0].ID, 3)).want(t, "201")
	if other := read[client.Event](t, h.ask(t, "GET /v1/events/"+all[2].ID, nil, as).want(t, "200")); other.Quotas[0].Held != 0 || other.Quotas[0].ID == e.Quotas[0].ID {
		t.Errorf("another day has %+v", other.Quotas)
	}
	// Search shows the soonest for all, and each of them to who asks so.
	for _, o := range all {
		h.announce(t, search.NewDocument(read[client.Event](t, h.ask(t, "GET /v1/events/"+o.ID, nil).want(t, "200")), true))
	}
	folded := read[client.Listings](t, h.ask(t, "GET /v1/events?q=visites", nil).want(t, "200"))
	if folded.Total != 1 || folded.Items[0].ID != all[0].ID {
		t.Errorf("folded %+v", folded)
	}
	found := read[client.Listings](t, h.ask(t, "GET /v1/events?q=visites&occurrences=true", nil).want(t, "200"))
	if found.Total != 4 || found.Items[0].SeriesID != series.ID || found.Items[0].Slot == "" {
		t.Errorf("found %+v", found)
	}
}

func TestSeries_pagesMeetTheirBounds(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.account(t, "Musée")
	d := visits().but(object{"rule": "FREQ=DAILY;COUNT=50", "time_slots": nil, "publish": true})
	series := read[client.Series](t, h.ask(t, "POST /v1/organizers/"+org.ID+"/series", d, bearer(org.APIKey)).want(t, "201"))
	if series.State != "published" || series.Total != 50 {
		t.Fatalf("%+v", series)
	}
	var all []client.Occurrence
	seen := map[string]bool{}
	cursor := ""
	for {
		page := h.occurrences(t, series.ID, "?limit=7"+cursor)
		for _, o := range page.Items {
			if seen[o.ID] || len(all) > 0 && o.StartsAt.Before(all[len(all)-1].StartsAt) {
				t.Fatalf("%s again, or out of order", o.ID)
			}
			seen[o.ID] = true
			all = append(all, o)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *page.NextCursor
	}
	if len(all) != 50 {
		t.Fatalf("%d of 50", len(all))
	}
	from, to := url.QueryEscape(all[10].StartsAt.Format(time.RFC3339)), url.QueryEscape(all[13].StartsAt.Format(time.RFC3339))
	if some := h.occurrences(t, series.ID, "?from="+from+"&to="+to).Items; len(some) != 3 || some[0].ID != all[10].ID {
		t.Errorf("from %s to %s: %+v", from, to, some)
	}
	day := all[20].StartsAt.Format(time.DateOnly) // begins at midnight in Paris
	if some := h.occurrences(t, series.ID, "?limit=1&from="+day).Items; len(some) != 1 || some[0].ID != all[20].ID {
		t.Errorf("from %s: %+v", day, some)
	}
	if none := h.occurrences(t, series.ID, "?to="+day+"&from="+day).Items; len(none) != 0 {
		t.Errorf("an empty span has %+v", none)
	}
	for query, want := range map[string]string{
		"?from=yesterday": "400 invalid_parameter", "?to=2030-13-01": "400 invalid_parameter", "?limit=101": "400 invalid_parameter", "?from=0000-01-01T00:00:00Z": "400 invalid_parameter",
		"?cursor=x": "400 invalid_cursor", "?cursor=" + base64.RawURLEncoding.EncodeToString([]byte("2030-01-01T00:00:00Z evt")): "400 invalid_cursor",
		"?from=2099-01-01" + cursor: "400 invalid_cursor",
	} {
		h.ask(t, "GET /v1/series/"+series.ID+"/occurrences"+query, nil).want(t, want)
	}
}

func TestSeries_refusalsPointIntoTheBody(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.account(t, "Musée")
	as := bearer(org.APIKey)
	line := "POST /v1/organizers/" + org.ID + "/series"
	nested := func(changes object) object {
		return visits().but(object{"template": body(visits()["template"].(object)).but(changes)}) //nolint:forcetypeassert // made above
	}
	for want, in := range map[string]object{
		"400 invalid_series /name":                 visits().but(object{"name": ""}),
		"400 invalid_series ":                      visits().but(object{"rule": nil}),
		"400 invalid_series /rule":                 visits().but(object{"rule": "FREQ=HOURLY;COUNT=2"}),
		"422 series_too_long /rule":                visits().but(object{"rule": "FREQ=DAILY;COUNT=2501"}),
		"400 invalid_series /occurrences/0":        visits().but(object{"rule": nil, "occurrences": []string{"2099-01-01T00:00:00Z"}}),
		"400 invalid_series /time_slots/0/at":      visits().but(object{"time_slots": []object{{"name": "x", "at": "9:30"}}}),
		"400 invalid_event /template/venue/city":   nested(object{"venue": object{"name": "x", "city": "", "country": "FR", "location": nil}}),
		"400 invalid_event /template/ticket_types": nested(object{"ticket_types": []object{}}),
		"400 invalid_series /template/publish":     nested(object{"publish": true}),
		"400 invalid_series /template/source":      nested(object{"source": object{"name": "x", "id": "1"}}),
		"400 unknown_field /time_slots/0/color":    visits().but(object{"time_slots": []object{{"name": "x", "at": "09:30", "color": "red"}}}),
	} {
		h.ask(t, line, in, as).want(t, want)
	}
	h.ask(t, line, object(visits()), as, withoutKey).want(t, "400 idempotency_key_required")
	h.ask(t, line+"?home_region=us-east-1", object(visits()), as).want(t, "421 moved")
	h.ask(t, line, object(visits()), bearer(h.account(t, "Other").APIKey)).want(t, "403 forbidden")
	h.ask(t, "GET /v1/series/ser_apn1_k3v9x2m4q7rt", nil).want(t, "421 moved")
	h.ask(t, "GET /v1/series/ser_euw3_k3v9x2m4q7rt/occurrences", nil).want(t, "404 series_not_found")
	if h.count(t, "booking.series") != 0 || h.count(t, "booking.event") != 0 {
		t.Error("a refusal left something")
	}
}
