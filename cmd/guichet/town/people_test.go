package town

import (
	"io"
	"strings"
	"testing"
)

func TestIdentity_isTheTownsOwnUnlessToldOtherwise(t *testing.T) {
	t.Setenv("GUICHET_OIDC_CLIENT_SECRET", "of theirs")
	for flag, want := range map[string]struct{ issuer, args, secret string }{
		"":                                  {"http://127.0.0.1:8099", "issuer", "made up"},
		"--identity=keycloak":               {"http://127.0.0.1:8099/realms/guichet", "keycloak", "made up"},
		"--identity=none":                   {"", "", ""},
		"--identity=https://id.example.org": {"https://id.example.org", "", "of theirs"},
	} {
		o, err := Parse(strings.Fields(flag+" --state="+t.TempDir()), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		town := &Town{opts: o, ports: ports{defaultBase}, state: &state{record: record{ClientSecret: "made up"}}}
		town.addIdentity()
		env := map[string]string{}
		town.addIssuer(env)
		if env["GUICHET_OIDC_ISSUER"] != want.issuer || env["GUICHET_OIDC_CLIENT_SECRET"] != want.secret || len(town.parts) != len(strings.Fields(want.args)) {
			t.Errorf("%q: %v with %d parts", flag, env, len(town.parts))
		}
	}
	if _, err := Parse([]string{"--identity=somebody"}, io.Discard); err == nil {
		t.Error("an issuer that is no URL was accepted")
	}
}
