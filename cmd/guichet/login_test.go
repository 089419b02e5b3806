package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/internal/issuer"
)

// aTownWithIssuer answers what guichet login asks of a town, and has a true issuer.
func aTownWithIssuer(t *testing.T) (town *httptest.Server, ended *atomic.Int64) {
	t.Helper()
	var handler http.Handler
	id := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(id.Close)
	i, err := issuer.New(issuer.Config{URL: id.URL, SiteURL: "http://127.0.0.1:1", ClientSecret: "s", Now: time.Now, PollInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	handler = i.Handler()
	ended = &atomic.Int64{}
	person := client.Person{Issuer: id.URL, Email: "oscar@example.org", Name: "Oscar Operator", Roles: []string{"operator"}, ExpiresAt: time.Now().Add(time.Hour)}
	mux := http.NewServeMux()
	say := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /v1/sign_in", func(w http.ResponseWriter, _ *http.Request) {
		say(w, client.SignInPlace{Issuer: id.URL, ClientID: "guichet-cli"})
	})
	mux.HandleFunc("POST /v1/sessions", func(w http.ResponseWriter, r *http.Request) {
		var in client.NewSession
		if json.NewDecoder(r.Body).Decode(&in) != nil || strings.Count(in.IDToken, ".") != 2 {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		say(w, client.Session{AccessToken: "per1.token", ExpiresAt: person.ExpiresAt, Person: person})
	})
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer per1.token" || ended.Load() > 0 {
			http.Error(w, `{"code":"token_withdrawn"}`, http.StatusUnauthorized)
			return
		}
		say(w, person)
	})
	mux.HandleFunc("DELETE /v1/sessions", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer per1.token" {
			ended.Add(1)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	town = httptest.NewServer(mux)
	t.Cleanup(town.Close)
	return town, ended
}

func TestLogin_signsInWithABrowserElsewhereAndOutAgain(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("HOME", config)
	town, ended := aTownWithIssuer(t)
	var out bytes.Buffer
	if err := whoamiCommand(t.Context(), []string{"--url", town.URL}, &out, io.Discard); err == nil {
		t.Error("whoami knows somebody before anybody signed in")
	}
	said, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- loginCommand(t.Context(), []string{"--url", town.URL + "/"}, in, io.Discard)
		in.Close()
	}()
	text := make([]byte, 4096)
	n, err := said.Read(text)
	if err != nil {
		t.Fatal(err, <-done)
	}
	allow(t, string(text[:n]))
	rest, err := io.ReadAll(said)
	if err != nil || !strings.Contains(string(rest), "oscar@example.org is signed in") {
		t.Fatalf("%s %v %v", rest, err, <-done)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(config, "guichet", "login.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the token is kept with %v, %v", info, err)
	}
	if err := whoamiCommand(t.Context(), []string{"--url", town.URL}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "Oscar Operator <oscar@example.org>\nroles: operator") {
		t.Errorf("%s %v", out.String(), err)
	}
	if err := logoutCommand(t.Context(), []string{"--url", town.URL}, &out, io.Discard); err != nil || ended.Load() != 1 {
		t.Errorf("%v, %d sessions ended", err, ended.Load())
	}
	kept, err := os.ReadFile(filepath.Join(config, "guichet", "login.json"))
	if err != nil || bytes.Contains(kept, []byte("per1")) {
		t.Errorf("the token is still there: %s %v", kept, err)
	}
	if err := logoutCommand(t.Context(), []string{"--url", town.URL}, &out, io.Discard); err == nil {
		t.Error("signing out twice works")
	}
}

func TestLogout_keepsTheTokenWhileTheTownCannotEndTheSession(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("HOME", config)
	err := changeLogins(func(all map[string]login) {
		all["http://127.0.0.1:1"] = login{AccessToken: "per1.token", ExpiresAt: time.Now().Add(time.Hour)}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := logoutCommand(ctx, []string{"--url", "http://127.0.0.1:1"}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "goes on") {
		t.Errorf("got %v", err)
	}
	if _, err := loginAt("http://127.0.0.1:1"); err != nil {
		t.Errorf("the token is gone: %v", err)
	}
}

// allow plays the person with the browser.
func allow(t *testing.T, said string) {
	t.Helper()
	where := regexp.MustCompile(`http://\S+`).FindString(said)
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("user_code")
	if !strings.Contains(said, "code "+code) {
		t.Errorf("the code is not shown: %s", said)
	}
	resp, err := http.PostForm(u.Scheme+"://"+u.Host+"/device", url.Values{"user_code": {code}, "subject": {"demo-oscar"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

func TestIssuerCommand_listensOnThisMachineOnly(t *testing.T) {
	t.Setenv(envClientSecret, "s")
	for _, listen := range []string{"0.0.0.0:0", "10.0.0.1:0", ":8099", "localhost"} {
		if err := issuerCommand(t.Context(), []string{"--listen", listen}, io.Discard, io.Discard); err == nil {
			t.Errorf("%s was accepted", listen)
		}
	}
	t.Setenv(envClientSecret, "")
	if err := issuerCommand(t.Context(), nil, io.Discard, io.Discard); err == nil {
		t.Error("a client without a secret was accepted")
	}
}
