package route_test

import (
	"net/url"
	"testing"

	"guichet/router/route"
)

func TestAimAccount_sendsAPersonToTheCellThatKnowsTheBrowser(t *testing.T) {
	for _, c := range []struct {
		name, path, query, session string
		health                     route.Health
		want                       string
	}{
		{"nobody yet", "/account", "", "", nil, "euw3 nearest"},
		{"signed in at Tokyo", "/account", "", "apn1.AbC", nil, "apn1 home"},
		{"signed in at Tokyo, which is away", "/account", "", "apn1.AbC", down("apn1"), "euw3 nearest"},
		{"signed in at a cell that is gone", "/account", "", "zzz9.AbC", nil, "euw3 nearest"},
		{"a cookie that names no cell", "/account", "", "../../x", nil, "euw3 nearest"},
		{"a cookie without a cell", "/account", "", "apn1", nil, "euw3 nearest"},
		{"begun at Tokyo", "/account/callback", "state=apn1.R&code=x", "use1.AbC", nil, "apn1 home"},
		{"begun at Tokyo, which is away", "/account/callback", "state=apn1.R&code=x", "", down("apn1"), "503 home_unavailable"},
		{"begun nowhere", "/account/callback", "state=R&code=x", "use1.AbC", nil, "euw3 nearest"},
		{"a state is heeded at the callback only", "/account", "state=apn1.R", "", nil, "euw3 nearest"},
		{"a mailed link", "/account/link", "cell=use1&token=x", "apn1.AbC", nil, "use1 home"},
		{"a mailed invitation", "/account/invitation", "cell=use1", "apn1.AbC", nil, "use1 home"},
		{"its sign-in", "/account/sign-in", "cell=use1&next=%2Faccount%2Finvitation%3Fcell%3Duse1", "apn1.AbC", nil, "use1 home"},
		{"the end of its sign-in", "/account/callback", "state=use1.R&code=x", "apn1.AbC", nil, "use1 home"},
		{"its acceptance", "/account/invitation/accept", "cell=use1", "apn1.AbC", nil, "use1 home"},
		{"an invitation of a cell that is away", "/account/invitation", "cell=use1", "apn1.AbC", down("use1"), "503 home_unavailable"},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		req := route.Request{Target: route.AimAccount(c.path, query, c.session), At: paris, Located: true}
		if got := describe(route.Decide(req, town(), c.health)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for path, want := range map[string]bool{"/account": true, "/account/": true, "/account/callback": true, "/accounts": false, "/v1/account": false, "/": false} {
		if route.IsAccount(path) != want {
			t.Errorf("%s is an account's page: %v", path, !want)
		}
	}
}
