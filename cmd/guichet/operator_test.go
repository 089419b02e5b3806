package main

import (
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guichet/internal/operator"
)

const controlSeed = "0707070707070707070707070707070707070707070707070707070707070707"

func TestOperatorToken_isNamedAndEnds(t *testing.T) {
	t.Setenv("GUICHET_CONTROL_SEED", controlSeed)
	code, out, errOut := guichet(t, "operator", "token", "--name", "night shift", "--ttl", "1h", "--roles", "operator, drill")
	if code != exitOK || strings.Count(out, "\n") != 1 || !strings.Contains(errOut, `"night shift"`) || strings.Contains(errOut, strings.TrimSpace(out)) {
		t.Fatalf("%d\n%s\n%s", code, out, errOut)
	}
	key, err := operator.NewKey([]byte(strings.Repeat("\x07", ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	who, err := operator.Verify(strings.TrimSpace(out), []ed25519.PublicKey{key.Public()}, time.Now())
	if err != nil || who.Name != "night shift" || !who.May(operator.Drill) || time.Until(who.Expires) > time.Hour || !strings.Contains(errOut, who.RevocationID()) {
		t.Errorf("%+v, %v", who, err)
	}
	for _, bad := range [][]string{
		{"token"},
		{"token", "--name", "x", "--roles", "root"},
		{"token", "--name", "x", "--ttl", "10000h"},
		{"token", "--name", "x", "--ttl", "-1h"},
		{"token", "x"},
		{"other"},
		{},
		{"revoke"},
		{"revoke", "op:x", "--until", "tomorrow"},
	} {
		if code, out, _ := guichet(t, append([]string{"operator"}, bad...)...); code != exitUsage || out != "" {
			t.Errorf("%v: %d %s", bad, code, out)
		}
	}
}

func TestOperatorToken_needsTheSeedAndTellsNothingOfIt(t *testing.T) {
	for _, seed := range []string{"", "abcd", "not hex but secret"} {
		t.Setenv("GUICHET_CONTROL_SEED", seed)
		code, out, errOut := guichet(t, "operator", "token", "--name", "x")
		if code != exitFailed || out != "" || seed != "" && strings.Contains(errOut, seed) {
			t.Errorf("%q: %d %s %s", seed, code, out, errOut)
		}
	}
}

func credentialsFor(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials.json")
	text := `{"router":"` + url + `","router_operator":"` + url + `","control_plane":"` + url + `","operator_token":"op1.token","organizers":[],"processes":[{"name":"cell euw3","cell":"euw3","pid":1,"url":"` + url + `"}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOperatorRevoke_tellsTheControlPlane(t *testing.T) {
	var asked string
	var body map[string]string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		text, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(text, &body)
		if body["id"] == "op:unknown" {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer s.Close()
	file := credentialsFor(t, s.URL)
	code, out, errOut := guichet(t, "operator", "revoke", "ABC", "--until", "2027-05-01T13:00:00Z", "--credentials", file)
	if code != exitOK || asked != "POST /v1/operators/revocations Bearer op1.token" || body["id"] != "op:ABC" || body["until"] != "2027-05-01T13:00:00Z" {
		t.Errorf("%d %s %s: %s %v", code, out, errOut, asked, body)
	}
	if code, _, _ := guichet(t, "operator", "revoke", "op:unknown", "--until", "2027-05-01T13:00:00Z", "--credentials", file); code != exitFailed {
		t.Errorf("a refusal is %d", code)
	}
}

func TestAudit_tellsWhoChangedWhatAndRunsNothingInATerminal(t *testing.T) {
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String() + " " + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[{"id":"1","at":"2027-05-01T12:00:00Z","actor":{"kind":"person","id":"mbr_1","name":"Zo\u00eb \u001b[31m"},"action":"put_events_event_id_quotas_quota_id","object":{"kind":"quota","id":"quo_1"},"before":{"size":1},"after":{"size": 2},"request_id":"r"}],"next_cursor":"c"}`)
	}))
	defer s.Close()
	file := credentialsFor(t, s.URL)
	code, out, errOut := guichet(t, "audit", "--credentials", file, "--event", "evt_euw3_k3v9x2m4q7rt", "--limit", "7")
	if code != exitOK || !strings.Contains(out, `person "Zoë \x1b[31m" (mbr_1)  put_events_event_id_quotas_quota_id  quota quo_1`) || !strings.Contains(out, `was {"size":1}`) || !strings.Contains(out, `is {"size":2}`) || !strings.Contains(out, "and more") {
		t.Errorf("%d %s %s", code, out, errOut)
	}
	if asked != "/v1/audit?cell=euw3&event_id=evt_euw3_k3v9x2m4q7rt&limit=7 Bearer op1.token" {
		t.Errorf("asked %s", asked)
	}
	t.Setenv("GUICHET_API_KEY", "key1.mine")
	code, out, _ = guichet(t, "audit", "--credentials", file, "--own", "--organizer", "org_euw3_k3v9x2m4q7rt", "--json")
	if code != exitOK || !json.Valid([]byte(out)) || !strings.HasPrefix(asked, "/v1/organizers/org_euw3_k3v9x2m4q7rt/audit?") || !strings.HasSuffix(asked, "Bearer key1.mine") {
		t.Errorf("%d %s, asked %s", code, out, asked)
	}
	for _, bad := range [][]string{{"--limit", "0"}, {"--own"}, {"x"}, {"--since", "-1h"}} {
		if code, _, _ := guichet(t, append([]string{"audit", "--credentials", file}, bad...)...); code != exitUsage {
			t.Errorf("%v: %d", bad, code)
		}
	}
}
