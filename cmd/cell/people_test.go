package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"guichet/internal/config"
)

func TestConfigurePeople_wantsASecretAndASafeWayToTheIssuer(t *testing.T) {
	for issuer, complaint := range map[string]string{
		"":                            "",
		"https://id.example.org/r":    "",
		"http://127.0.0.1:8099":       "",
		"http://localhost:8099/x":     "",
		"http://[::1]:8099":           "",
		"http://id.example.org":       "is not https",
		"http://localhost.evil.org":   "is not https",
		"http://127.0.0.1.evil.org:1": "is not https",
	} {
		env := map[string]string{"GUICHET_OIDC_ISSUER": issuer, "GUICHET_OIDC_CLIENT_SECRET": "s"}
		r := config.New(func(name string) string { return env[name] })
		set := configurePeople(r)
		if err := r.Err(); (err == nil) != (complaint == "") || err != nil && !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v", issuer, err)
		}
		if set.client != "guichet-cell" || set.cli != "guichet-cli" || set.roles != "roles" {
			t.Errorf("%+v", set)
		}
	}
	r := config.New(func(name string) string {
		return map[string]string{"GUICHET_OIDC_ISSUER": "https://id.example.org"}[name]
	})
	configurePeople(r)
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "GUICHET_OIDC_CLIENT_SECRET") {
		t.Errorf("without a secret: %v", err)
	}
}

func TestCellsOnly_keepsOtherCellsFromAllButWhatTheyGatherAndCompare(t *testing.T) {
	ask := func(method, path, peer string) int {
		r := httptest.NewRequest(method, path, http.NoBody)
		if peer != "" {
			name, err := url.Parse("spiffe://guichet/" + peer)
			if err != nil {
				t.Fatal(err)
			}
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{name}}}}
		}
		w := httptest.NewRecorder()
		cellsOnly(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w, r)
		return w.Code
	}
	for line, want := range map[string]int{
		"GET /v1/me/tickets?here=true cell/use1":                   200,
		"GET /v1/events cell/use1":                                 403,
		"POST /v1/me/tickets cell/use1":                            403,
		"GET /v1/catalogue/digest cell/use1":                       200,
		"GET /v1/organizers/org_euw3_x/events?here=true cell/use1": 200,
		"GET /v1/organizers/org_euw3_x/series?here=true cell/use1": 200,
		"POST /v1/organizers/org_euw3_x/events cell/use1":          403,
		"GET /v1/organizers/org_euw3_x/api_keys cell/use1":         403,
		"GET /v1/organizers/org_euw3_x/events/more cell/use1":      403,
		"POST /v1/catalogue/digest cell/use1":                      403,
		"GET /account cell/use1":                                   403,
		"GET /v1/events router/paris":                              200,
		"GET /v1/events ":                                          200,
	} {
		parts := strings.SplitN(line, " ", 3)
		if got := ask(parts[0], parts[1], parts[2]); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}
