package join_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"guichet/cell/join"
	"guichet/control-plane/topology"
)

// rounds answers join's calls from memory, so that the bubble's clock can run.
type rounds struct {
	answers []int // status of each call; 0 is no answer at all
	calls   []string
	bodies  []map[string]any
	tokens  []string
	over    context.CancelFunc
}

func (r *rounds) RoundTrip(req *http.Request) (*http.Response, error) {
	i := len(r.calls)
	r.calls = append(r.calls, req.Method+" "+req.URL.Path)
	r.tokens = append(r.tokens, req.Header.Get("Authorization"))
	var body map[string]any
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return nil, err
	}
	r.bodies = append(r.bodies, body)
	if i == len(r.answers)-1 {
		defer r.over()
	}
	if r.answers[i] == 0 {
		return nil, fmt.Errorf("connection refused")
	}
	w := httptest.NewRecorder()
	w.WriteHeader(r.answers[i])
	return w.Result(), nil
}

func TestMember_joinsBeatsAndJoinsAgainWhenItWasForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rounds{answers: []int{0, 503, 200, 200, 404, 200, 200}, over: cancel}
		m := &join.Member{
			ControlPlane: "http://control-plane", Token: "secret", Client: &http.Client{Transport: r},
			Self: topology.Cell{ID: "euw3", Region: "eu-west-3", URLs: []string{"http://euw3"}},
		}
		var failures []error
		m.Run(ctx, func(err error) { failures = append(failures, err) })
		const enter, beat = "POST /v1/cells", "POST /v1/cells/euw3/beat"
		want := []string{enter, enter, enter, beat, beat, enter, beat}
		if fmt.Sprint(r.calls) != fmt.Sprint(want) {
			t.Errorf("calls %v, want %v", r.calls, want)
		}
		if len(failures) != 3 {
			t.Errorf("%d failures reported: %v", len(failures), failures)
		}
		if r.bodies[0]["id"] != "euw3" || fmt.Sprint(r.bodies[3]["urls"]) != "[http://euw3]" || r.tokens[0] != "Bearer secret" {
			t.Errorf("bodies %v, tokens %v", r.bodies, r.tokens)
		}
	})
}
