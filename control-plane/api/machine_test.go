package api_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"guichet/control-plane/api"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/mtls"
	"guichet/internal/operator"
	"guichet/internal/signed"
	"guichet/internal/signed/request"
)

// as makes the calls come with a peer's certificate, as the listener has verified it.
func (h *hall) as(p mtls.Peer) {
	h.tls = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{URIs: []*url.URL{p.URI()}}}}
}

// refusals are how often a reason was counted.
func (h *hall) refusals(reason string) float64 {
	h.t.Helper()
	all, err := h.reg.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == "guichet_join_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func publicText(k *signed.Key) string { return signed.PublicText(k.Public()) }

// rename is the key of a cell under another name.
func rename(t *testing.T, cell, kid string) *signed.Key {
	t.Helper()
	seed := sha256.Sum256([]byte(cell))
	k, err := signed.NewKey(kid, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// beat is what a process of a cell says with one.
const beat = `{"urls":["http://127.0.0.1:8101"],"revoked":[]}`

// beatBy is a beat of euw3 that a cell's key signed.
func (h *hall) beatBy(cell string, at time.Time) *httptest.ResponseRecorder {
	h.t.Helper()
	const path = "/v1/cells/euw3/beat"
	return h.call("POST", path, beat, request.Header, request.Sign(h.key(cell), "POST", path, []byte(beat), at), "Authorization", "")
}

func TestMachines_whoSpeaksForAnotherCellIsRefusedNamedAndCounted(t *testing.T) {
	// not parallel: the process's logger is read
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var log bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	h := open(t)
	h.as(mtls.Peer{Kind: mtls.Operator, Name: "ann"})
	token := h.invite("euw3", "eu-west-3")
	h.as(mtls.Peer{Kind: mtls.Cell, Name: "euw3"})
	h.must(200, nil, "POST", "/v1/cells", h.joinBody("euw3", "eu-west-3", token))
	h.as(mtls.Peer{Kind: mtls.Operator, Name: "ann"})
	other := h.invite("use1", "us-east-1")
	h.as(mtls.Peer{Kind: mtls.Cell, Name: "use1"})
	h.must(200, nil, "POST", "/v1/cells", h.joinBody("use1", "us-east-1", other))

	own := h.key("euw3")
	at := h.at
	next := func() time.Time { at = at.Add(time.Second); return at }
	old := next()
	for _, c := range []struct {
		name   string
		peer   string
		code   string
		answer func() *httptest.ResponseRecorder
	}{
		{"a beat signed by another cell's key", "euw3", "token_unknown_key", func() *httptest.ResponseRecorder {
			return h.beatBy("use1", next())
		}},
		{"another cell's certificate", "use1", "certificate_of_another_cell", func() *httptest.ResponseRecorder {
			return h.beatBy("euw3", next())
		}},
		{"a beat that is shown twice", "euw3", "statement_replayed", func() *httptest.ResponseRecorder {
			if w := h.beatBy("euw3", old); w.Code != 200 {
				t.Errorf("the first time: %d %s", w.Code, w.Body)
			}
			return h.beatBy("euw3", old)
		}},
		{"a beat of yesterday", "euw3", "statement_stale", func() *httptest.ResponseRecorder {
			return h.beatBy("euw3", noon.Add(-24*time.Hour))
		}},
		{"a join token that was used, with a key of one's own", "euw3", "join_token_used", func() *httptest.ResponseRecorder {
			body := strings.ReplaceAll(h.joinBody("euw3", "eu-west-3", token), publicText(own), publicText(h.key("sae1")))
			k := rename(t, "sae1", "euw3-a1")
			return h.call("POST", "/v1/cells", body, request.Header, request.Sign(k, "POST", "/v1/cells", []byte(body), next()))
		}},
		{"new keys, signed by nobody who is known", "euw3", "token_bad_signature", func() *httptest.ResponseRecorder {
			body := strings.ReplaceAll(h.joinBody("euw3", "eu-west-3", ""), publicText(own), publicText(h.key("sae1")))
			k := rename(t, "sae1", "euw3-a1")
			return h.call("POST", "/v1/cells", body, request.Header, request.Sign(k, "POST", "/v1/cells", []byte(body), next()))
		}},
		{"another cell's invitation", "sae1", "join_token_of_another_cell", func() *httptest.ResponseRecorder {
			return h.call("POST", "/v1/cells", h.joinBody("sae1", "sa-east-1", other))
		}},
		{"the operators' token of old", "euw3", "token_malformed", func() *httptest.ResponseRecorder {
			return h.call("POST", "/v1/cells/euw3/beat", beat, request.Header, "operator-token", "Authorization", "Bearer operator-token")
		}},
	} {
		h.as(mtls.Peer{Kind: mtls.Cell, Name: c.peer})
		log.Reset()
		counted := h.refusals(c.code)
		w := c.answer()
		var problem struct{ Code string }
		_ = json.Unmarshal(w.Body.Bytes(), &problem)
		want := c.code
		if w.Code/100 != 4 || problem.Code != want {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if h.refusals(want) != counted+1 {
			t.Errorf("%s: it was counted %v times, %v before", c.name, h.refusals(want), counted)
		}
		if text := log.String(); !strings.Contains(text, "a cell was refused") || !strings.Contains(text, "cell="+map[bool]string{true: "sae1", false: "euw3"}[c.peer == "sae1"]) || !strings.Contains(text, want) {
			t.Errorf("%s: the log says %s", c.name, text)
		}
	}
	h.as(mtls.Peer{Kind: mtls.Cell, Name: "euw3"})
	if w := h.beatBy("euw3", next()); w.Code != 200 {
		t.Errorf("the cell itself: %d %s", w.Code, w.Body)
	}
}

func TestMachines_aJoinedCellNeedsNoTokenAndAnExpelledOneANewInvitation(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	h.join("use1", "us-east-1")
	h.must(200, nil, "POST", "/v1/cells", h.joinBody("use1", "us-east-1", "")) // it was restarted
	var c api.Cell
	h.must(200, &c, "POST", "/v1/cells/use1/expel", "")
	if c.Expelled == nil {
		t.Errorf("got %+v", c)
	}
	h.must(403, nil, "POST", "/v1/cells", h.joinBody("use1", "us-east-1", ""))
	h.must(403, nil, "POST", "/v1/cells/use1/beat", `{"urls":["http://127.0.0.1:8101"],"revoked":[]}`)
	if w := h.must(200, nil, "GET", "/v1/topology", ""); strings.Contains(w.Body.String(), "use1") {
		t.Errorf("the map still has it: %s", w.Body)
	}
	h.as(mtls.Peer{Kind: mtls.Cell, Name: "use1"})
	h.must(403, nil, "GET", "/v1/topology", "")
	h.as(mtls.Peer{Kind: mtls.Cell, Name: "euw3"})
	h.must(200, nil, "GET", "/v1/topology", "")
	h.tls = nil
	h.join("use1", "us-east-1")
	if w := h.must(200, nil, "GET", "/v1/topology", ""); !strings.Contains(w.Body.String(), "use1") {
		t.Errorf("it is not back: %s", w.Body)
	}
}

func TestOperators_areWhoTheControlPlaneNamedUntilItTakesThatBack(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	text, who, err := operator.Issue(sealtest.Key(""), "bob", []string{operator.Drill}, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	forged, _, err := operator.Issue(sealtest.Key("another"), "eve", []string{operator.Operate}, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	late, _, err := operator.Issue(sealtest.Key(""), "old", []string{operator.Operate}, noon.Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	list := func(token string) int { return h.call("GET", "/v1/cells", "", "Authorization", "Bearer "+token).Code }
	if got := fmt.Sprint(list(text), list(forged), list(late), list("operator-token")); got != "200 401 401 401" {
		t.Errorf("got %s", got)
	}
	h.must(200, nil, "POST", "/v1/operators/revocations", `{"id":"`+who.RevocationID()+`","until":"2027-05-01T13:00:00Z"}`)
	if got := list(text); got != 401 {
		t.Errorf("a token that was revoked: %d", got)
	}
}
