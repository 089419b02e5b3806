package join_test

import (
	"context"
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
	var mu sync.Mutex
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := &join.Member{ControlPlane: "http://control", Token: "secret", Self: self, Client: &http.Client{
			Transport: control(func(r *http.Request) (*http.Response, error) {
				mu.Lock()
				calls = append(calls, r.Method+" "+r.URL.Path)
				answer := answers[len(calls)-1]
				mu.Unlock()
				if r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%s came with %v", r.URL.Path, r.Header)
				}
				checkBody(t, r)
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

func checkBody(t *testing.T, r *http.Request) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if r.URL.Path == "/v1/cells" {
		var got topology.Cell
		if err := json.Unmarshal(body, &got); err != nil || got.ID != self.ID || got.Residency != self.Residency || !slices.Equal(got.URLs, self.URLs) {
			t.Errorf("it joined as %s", body)
		}
		return
	}
	if string(body) != `{"urls":["http://a"]}` {
		t.Errorf("its beat is %s", body)
	}
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
		m := &join.Member{ControlPlane: "http://control", Self: self, Client: &http.Client{Transport: control(silent)}}
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
