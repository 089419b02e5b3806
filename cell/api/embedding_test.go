package api_test

import (
	"testing"

	"guichet/cell/client"
)

// Everybody may read on whose pages an event's shop may be shown; its organizer alone says it.
func TestEmbedding_isSaidByTheOrganizerAndReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	at := "/v1/organizers/" + s.org.ID + "/embedding"
	s.ask(t, "GET "+at, nil, s.bearer).want(t, "200").looks(t, `{"origins":[]}`)
	s.ask(t, "GET "+s.path()+"/embedding", nil).want(t, "200").looks(t, `{"origins":[]}`)
	s.ask(t, "PUT "+at, object{"origins": []string{"https://WWW.example.org:443", "https://b.example"}}, s.bearer).want(t, "200").looks(t, `{"origins":["https://www.example.org","https://b.example"]}`)
	s.ask(t, "GET "+s.path()+"/embedding", nil).want(t, "200").looks(t, `{"origins":["https://www.example.org","https://b.example"]}`)

	s.ask(t, "PUT "+at, object{}, s.bearer).want(t, "400 missing_field /origins")
	s.ask(t, "PUT "+at, object{"origins": nil}, s.bearer).want(t, "400 invalid_field /origins")
	s.ask(t, "PUT "+at, object{"origins": []string{"https://c.example", "*"}}, s.bearer).want(t, "400 invalid_origin /origins/1")
	s.ask(t, "PUT "+at, object{"origins": []string{"https://c.example"}}).want(t, "401 unauthorized")
	s.ask(t, "PUT "+at, object{"origins": []string{"https://c.example"}}, bearer(s.account(t, "Other").APIKey)).want(t, "403 forbidden")
	door := s.makeKey(t, object{"name": "door", "role": "reader"}, s.bearer)
	s.ask(t, "PUT "+at, object{"origins": []string{"https://c.example"}}, bearer(door.APIKey)).want(t, "403 forbidden")
	s.ask(t, "PUT "+at+"?home_region=nowhere-1", object{"origins": []string{}}, s.bearer).want(t, "400 unknown_region")
	if got := read[client.Embedding](t, s.ask(t, "GET "+at, nil, s.bearer).want(t, "200")); len(got.Origins) != 2 || got.Origins[1] != "https://b.example" {
		t.Errorf("a refusal changed %q", got.Origins)
	}
	s.ask(t, "PUT "+at, object{"origins": []string{}}, s.bearer).want(t, "200").looks(t, `{"origins":[]}`)
	s.ask(t, "GET "+s.path()+"/embedding", nil).want(t, "200").looks(t, `{"origins":[]}`)
}
