package join_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/cell/join"
	"guichet/control-plane/topology"
	"guichet/internal/signed"
	"guichet/internal/signed/request"
)

// control answers instead of a control plane, without a network, so that the
// clock can be synctest's.
type control func(r *http.Request) (*http.Response, error)

func (c control) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

func says(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

var self = topology.Cell{ID: "euw3", Region: "eu-west-3", URLs: []string{"http://a"}, Weight: 100, State: topology.CellServing, Residency: "France"}

// life runs a member through the answers, one per period, and tells what it
// called and what it reported.
func life(t *testing.T, answers ...control) (calls, reports []string) {
	t.Helper()
	return invited(t, "", answers...)
}

func cellKey(t *testing.T) *signed.Key {
	t.Helper()
	k, err := signed.NewKey("euw3-a1", make([]byte, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// invited is life with a join token.
func invited(t *testing.T, token string, answers ...control) (calls, reports []string) {
	t.Helper()
	var mu sync.Mutex
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &join.Member{ControlPlane: "http://control", Token: token, Key: cellKey(t), Now: time.Now, Self: self, Client: &http.Client{
			Transport: control(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				calls = append(calls, r.Method+" "+r.URL.Path)
				answer := answers[len(calls)-1]
				mu.Unlock()
				if r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s came with %v", r.URL.Path, r.Header)
				}
				if shown := checkBody(t, r); shown != "" {
					mu.Lock()
					calls[len(calls)-1] += " with " + shown
					mu.Unlock()
				}
				return answer(r)
			}),
		}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.Run(ctx, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				reports = append(reports, err.Error())
			})
		}()
		called := func() int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return len(calls)
		}
		for called() < len(answers) {
			time.Sleep(join.Period)
		}
		cancel()
		<-ended
	})
	return calls, reports
}

// checkBody answers the join token, or what is revoked, if there is any in the call.
func checkBody(t *testing.T, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	find := func(string) (ed25519.PublicKey, bool) { return cellKey(t).Public(), true }
	if kid, _, err := request.Open(r.Header.Get(request.Header), r.Method, r.URL.Path, body, find, time.Now()); err != nil || kid != "euw3-a1" {
		t.Errorf("%s is signed by %q: %v", r.URL.Path, kid, err)
	}
	if r.URL.Path == "/v1/cells" {
		var got struct {
			Cell  topology.Cell `json:"cell"`
			Token string        `json:"join_token"`
		}
		if err := json.Unmarshal(body, &got); err != nil || got.Cell.ID != self.ID || got.Cell.Residency != self.Residency || !slices.Equal(got.Cell.URLs, self.URLs) {
			t.Errorf("it joined as %s", body)
		}
		return got.Token
	}
	var got struct{ URLs, Revoked []string }
	if err := json.Unmarshal(body, &got); err != nil || !slices.Equal(got.URLs, self.URLs) || got.Revoked == nil {
		t.Errorf("its beat is %s", body)
	}
	return strings.Join(got.Revoked, ",")
}

func ok(*http.Request) (*http.Response, error)      { return says(200, "{}") }
func created(*http.Request) (*http.Response, error) { return says(201, "{}") }
func lost(*http.Request) (*http.Response, error)    { return says(404, `{"code":"no_such_cell"}`) }
func broken(*http.Request) (*http.Response, error)  { return says(500, strings.Repeat("x", 1<<20)) }
func away(*http.Request) (*http.Response, error)    { return nil, errors.New("connection refused") }
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

const (
	joins = "POST /v1/cells"
	beats = "POST /v1/cells/euw3/beat"
)

func TestRun_joinsThenBeats(t *testing.T) {
	calls, reports := life(t, created, ok, ok, ok)
	if want := []string{joins, beats, beats, beats}; !slices.Equal(calls, want) || len(reports) != 0 {
		t.Errorf("it called %q and reported %q", calls, reports)
	}
}

func TestRun_joinsAgainWhenTheControlPlaneLostIt(t *testing.T) {
	for name, fault := range map[string]control{"404": lost, "500": broken, "refused": away, "silent": silent} {
		calls, reports := life(t, created, ok, fault, created, ok)
		if want := []string{joins, beats, beats, joins, beats}; !slices.Equal(calls, want) {
			t.Errorf("%s: it called %q, want %q", name, calls, want)
		}
		if len(reports) != 1 || len(reports[0]) > 500 || !strings.Contains(reports[0], "tell the control plane") {
			t.Errorf("%s: it reported %.600q", name, reports)
		}
	}
}

func TestRun_keepsJoiningUntilItIsHeard(t *testing.T) {
	calls, reports := life(t, away, silent, broken, lost, ok, ok)
	if want := []string{joins, joins, joins, joins, joins, beats}; !slices.Equal(calls, want) {
		t.Errorf("it called %q, want %q", calls, want)
	}
	if len(reports) != 4 || !strings.Contains(reports[3], "no_such_cell") {
		t.Errorf("it reported %.300q, want every failure with the answer's words", reports)
	}
}

func TestRun_doesNotReportItsOwnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &join.Member{ControlPlane: "http://control", Key: cellKey(t), Now: time.Now, Self: self, Client: &http.Client{Transport: control(silent)}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.Run(ctx, func(err error) { t.Errorf("reported %v", err) })
		}()
		synctest.Wait()
		cancel()
		<-ended
	})
}

func unknown(*http.Request) (*http.Response, error) {
	return says(401, `{"code":"invitation_required"}`)
}

func TestRun_showsItsInvitationOnlyWhenItIsNotKnown(t *testing.T) {
	calls, reports := invited(t, "join_x", unknown, created, ok)
	if want := []string{joins, joins + " with join_x", beats}; !slices.Equal(calls, want) || len(reports) != 0 {
		t.Errorf("it called %q and reported %q", calls, reports)
	}
	if calls, _ = invited(t, "join_x", created, ok); !slices.Equal(calls, []string{joins, beats}) {
		t.Errorf("a cell that is known called %q", calls)
	}
	if _, reports = invited(t, "", unknown, unknown); len(reports) != 2 || !strings.Contains(reports[0], "invitation_required") {
		t.Errorf("without an invitation it reported %q", reports)
	}
}

func TestRun_tellsWhatWasRevokedWithoutWaitingForTheNextBeat(t *testing.T) {
	var list []string
	began := time.Now()
	revoke := func() []string {
		if time.Since(began) > 5*time.Second { // of synctest's clock
			return list
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		began, list = time.Now(), []string{"key:a", "sid:b", "key:" + strings.Repeat("x", topology.MaxRevokedID)}
		ctx, cancel := context.WithCancel(t.Context())
		var told time.Duration
		var what string
		m := &join.Member{ControlPlane: "http://control", Key: cellKey(t), Now: time.Now, Self: self, Revoked: revoke, Client: &http.Client{
			Transport: control(func(r *http.Request) (*http.Response, error) {
				if text := checkBody(t, r); text != "" && told == 0 {
					told, what = time.Since(began), text
					cancel()
				}
				return says(200, "{}")
			}),
		}}
		m.Run(ctx, func(error) {})
		if what != "key:a,sid:b" || told > 5*time.Second+600*time.Millisecond {
			t.Errorf("it told %q after %s, and it was revoked after 5 s", what, told)
		}
	})
}
