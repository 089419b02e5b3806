package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/client"
	"guichet/cell/id"
)

func (s *stage) makeKey(t testing.TB, body object, as with, opts ...with) client.APIKey {
	t.Helper()
	return read[client.APIKey](t, s.ask(t, "POST "+s.at()+"/api_keys", body, append(opts, as)...).want(t, "201"))
}

func TestAPIKeys_areMadeScopedListedRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	k := s.makeKey(t, object{"name": "Kasse «1»", "role": "orders"}, s.bearer)
	if k.State != "live" || k.Role != "orders" || !strings.HasPrefix(k.APIKey, "key1.") || k.ExpiresAt.Before(time.Now().AddDate(1, 0, 0)) {
		t.Errorf("%+v", k)
	}
	as := bearer(k.APIKey)
	s.ask(t, "GET "+s.path()+"/orders", nil, as).want(t, "200")
	s.ask(t, "GET "+s.path()+"/ledger", nil, as).want(t, "403 forbidden")
	s.ask(t, "PATCH "+s.path(), object{"name": "x"}, as, ifMatch("*")).want(t, "403 forbidden")
	s.ask(t, "GET "+s.at()+"/api_keys", nil, as).want(t, "403 forbidden")
	narrow := s.makeKey(t, object{"name": "scan", "permissions": []string{"door:scan", "stats:read"}, "expires_at": time.Now().Add(time.Hour)}, s.bearer)
	s.ask(t, "GET "+s.path()+"/stats", nil, bearer(narrow.APIKey)).want(t, "200")
	s.ask(t, "GET "+s.path()+"/codes", nil, bearer(narrow.APIKey)).want(t, "403 forbidden")

	list := s.ask(t, "GET "+s.at()+"/api_keys", nil, s.bearer).want(t, "200")
	keys := read[pageOf[client.APIKey]](t, list).Items
	if len(keys) != 3 || strings.Contains(string(list.body), "key1.") {
		t.Errorf("%s", list.body)
	}
	// Rotated: both work in the grace, and the new one alone afterwards.
	fresh := read[client.APIKey](t, s.ask(t, "POST "+s.at()+"/api_keys/"+k.ID+"/rotate", object{"grace_s": 3600}, s.bearer).want(t, "201"))
	if fresh.ID == k.ID || fresh.Role != "orders" || fresh.Name != k.Name {
		t.Errorf("%+v", fresh)
	}
	for _, key := range []string{k.APIKey, fresh.APIKey} {
		s.ask(t, "GET "+s.path()+"/orders", nil, bearer(key)).want(t, "200")
	}
	if _, err := s.store.DB.Pool.Exec(t.Context(), `UPDATE account.api_key SET ends_at = clock_timestamp() WHERE key_id = $1`, k.ID); err != nil {
		t.Fatal(err)
	}
	s.ask(t, "GET "+s.path()+"/orders", nil, as).want(t, "401 api_key_revoked")
	s.ask(t, "POST "+s.at()+"/api_keys/"+k.ID+"/rotate", object{"grace_s": 0}, s.bearer).want(t, "409 api_key_ended")
	s.ask(t, "GET "+s.path()+"/orders", nil, bearer(fresh.APIKey)).want(t, "200")
	// Revoked: refused here at once, and listed for everybody.
	for range 2 {
		s.ask(t, "DELETE "+s.at()+"/api_keys/"+fresh.ID, nil, s.bearer).want(t, "204")
	}
	s.ask(t, "GET "+s.path()+"/orders", nil, bearer(fresh.APIKey)).want(t, "401 api_key_revoked")
	revoked, _, err := s.server.Accounts.Revoked(t.Context())
	if err != nil || strings.Join(revoked, " ") != "key:"+fresh.ID {
		t.Errorf("%v, %v", revoked, err)
	}
	for _, bad := range []struct {
		body object
		is   string
	}{
		{object{"name": "x"}, "400 invalid_api_key"},
		{object{"name": "x", "role": "root"}, "400 invalid_api_key"},
		{object{"name": "x", "role": "door", "permissions": []string{"door:scan"}}, "400 invalid_api_key"},
		{object{"name": "", "role": "door"}, "400 invalid_api_key"},
		{object{"name": "a\nb", "role": "door"}, "400 invalid_api_key"},
		{object{"name": "x", "permissions": make([]string, 10_000)}, "400 invalid_api_key"},
		{object{"name": "x", "role": "door", "expires_at": time.Now().Add(-time.Hour)}, "400 invalid_api_key"},
		{object{"name": "x", "role": "door", "expires_at": time.Now().AddDate(2, 0, 0)}, "400 invalid_api_key"},
		{object{"role": "door"}, "400 missing_field /name"},
	} {
		if a := s.ask(t, "POST "+s.at()+"/api_keys", bad.body, s.bearer); !strings.HasPrefix(a.is(), bad.is) {
			t.Errorf("%v: %s", bad.body, a.is())
		}
	}
	s.ask(t, "POST "+s.at()+"/api_keys/"+narrow.ID+"/rotate", object{}, s.bearer).want(t, "400 missing_field /grace_s")
	for _, grace := range []any{-1, 7*24*3600 + 1, 1 << 60} {
		s.ask(t, "POST "+s.at()+"/api_keys/"+narrow.ID+"/rotate", object{"grace_s": grace}, s.bearer).want(t, "400 invalid_api_key /grace_s")
	}
}

func TestAPIKeys_repeatedRequestsShowTheSameKeyAndStoreNone(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	body := object{"name": "once", "role": "events"}
	one, two := s.makeKey(t, body, s.bearer, key("k")), s.makeKey(t, body, s.bearer, key("k"))
	if one.APIKey == "" || one.APIKey != two.APIKey || one.ID != two.ID {
		t.Errorf("%+v, then %+v", one, two)
	}
	rotate := "POST " + s.at() + "/api_keys/" + one.ID + "/rotate"
	first := read[client.APIKey](t, s.ask(t, rotate, object{"grace_s": 60}, s.bearer, key("r")).want(t, "201"))
	again := read[client.APIKey](t, s.ask(t, rotate, object{"grace_s": 60}, s.bearer, key("r")).want(t, "201"))
	if first.APIKey == "" || first.APIKey != again.APIKey || first.ID != again.ID {
		t.Errorf("%+v, then %+v", first, again)
	}
	for _, table := range []string{"booking.answer", "account.api_key", "account.invitation", "audit.entry", "bus.outbox", "notify.message"} {
		var leaks int
		if err := s.owner.Pool.QueryRow(t.Context(), "SELECT count(*) FROM "+table+" AS r WHERE r::text LIKE '%key1.%' OR r::text LIKE '%6b6579312e%' OR r::text LIKE '%inv1.%'").Scan(&leaks); err != nil || leaks != 0 {
			t.Errorf("%s holds %d keys or tokens, %v", table, leaks, err)
		}
	}
	// A key that was revoked is not shown again.
	s.ask(t, "DELETE "+s.at()+"/api_keys/"+first.ID, nil, s.bearer).want(t, "204")
	if gone := read[client.APIKey](t, s.ask(t, rotate, object{"grace_s": 60}, s.bearer, key("r")).want(t, "201")); gone.APIKey != "" {
		t.Errorf("%+v", gone)
	}
}

func TestAPIKeys_giveNoMoreThanTheirMakerHas(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	maker := s.makeKey(t, object{"name": "maker", "permissions": []string{"api_keys:write", "events:read"}}, s.bearer)
	as := bearer(maker.APIKey)
	child := s.makeKey(t, object{"name": "child", "permissions": []string{"events:read"}}, as)
	if child.CreatedBy != maker.ID {
		t.Errorf("%+v", child)
	}
	for _, wider := range []object{{"name": "x", "role": "owner"}, {"name": "x", "role": "reader"}, {"name": "x", "permissions": []string{"events:read", "orders:read"}}} {
		s.ask(t, "POST "+s.at()+"/api_keys", wider, as).want(t, "403 forbidden")
	}
	first := read[pageOf[client.APIKey]](t, s.ask(t, "GET "+s.at()+"/api_keys?limit=100", nil, s.bearer).want(t, "200")).Items
	for _, k := range first {
		if k.Name == "first" {
			s.ask(t, "DELETE "+s.at()+"/api_keys/"+k.ID, nil, as).want(t, "403 forbidden")
			s.ask(t, "POST "+s.at()+"/api_keys/"+k.ID+"/rotate", object{"grace_s": 0}, as).want(t, "403 forbidden")
		}
	}
	other := s.account(t, "Other")
	s.ask(t, "DELETE /v1/organizers/"+other.ID+"/api_keys/"+maker.ID, nil, bearer(other.APIKey)).want(t, "404 api_key_not_found")
	s.ask(t, "POST /v1/organizers/"+other.ID+"/api_keys/"+maker.ID+"/rotate", object{"grace_s": 0}, bearer(other.APIKey)).want(t, "404 api_key_not_found")
	s.ask(t, "POST "+s.at()+"/api_keys", object{"name": "x", "role": "door"}, bearer(other.APIKey)).want(t, "403 forbidden")
}

// A key of another cell's organizer is known by its signature, and refused by the map's list.
func TestAPIKeys_ofAnotherCellAreRefusedOnceTheMapSaysSo(t *testing.T) {
	t.Parallel()
	revoked := map[string]bool{}
	s := open(t, func(h *house) { h.server.Revoked = func(id string) bool { return revoked[id] } })
	org := id.NewOrganizer("use1")
	k := account.Key{ID: id.NewAPIKey(org), Scope: account.Scope{Role: access.Owner}, ExpiresAt: time.Now().Add(time.Hour)}
	as := bearer(k.Text(accessKey(t, "use1").Key()))
	path := "POST /v1/organizers/" + org.String() + "/events?home_region=eu-west-3"
	e := read[client.Event](t, s.ask(t, path, object(concert()), as).want(t, "201"))
	s.ask(t, "GET /v1/events/"+e.ID+"/stats", nil, as).want(t, "200")
	s.ask(t, "GET /v1/organizers/"+org.String()+"/api_keys", nil, as).want(t, "421 moved")
	s.ask(t, "POST /v1/organizers/"+org.String()+"/api_keys", object{"name": "x", "role": "door"}, as).want(t, "421 moved")
	revoked[account.KeySubject(k.ID)] = true
	s.ask(t, "GET /v1/events/"+e.ID+"/stats", nil, as).want(t, "401 api_key_revoked")
	s.ask(t, path, object(concert()), as).want(t, "401 api_key_revoked")
}

func TestAPIKeys_areLimited(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	for i := range account.MaxKeys - 1 {
		s.askRaw(t, "POST "+s.at()+"/api_keys", object{"name": fmt.Sprint("k", i), "role": "door"}, s.bearer).want(t, "201")
	}
	a := s.ask(t, "POST "+s.at()+"/api_keys", object{"name": "one too many", "role": "door"}, s.bearer).want(t, "422 too_many_api_keys")
	if a.member("limit") != "100" {
		t.Errorf("%s", a.body)
	}
}
