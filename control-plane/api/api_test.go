package api_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/api"
	"guichet/control-plane/placement"
	"guichet/control-plane/registry"
	"guichet/control-plane/snapshot"
	"guichet/control-plane/store"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
	"guichet/internal/httpd"
	"guichet/internal/operator"
	"guichet/internal/signed"
	"guichet/internal/signed/request"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// token is an operator's; drillToken is one's who may only drill.
var token, drillToken = operatorToken(operator.Operate), operatorToken(operator.Drill)

func operatorToken(role string) string {
	text, _, err := operator.Issue(sealtest.Key(""), "ann", []string{role}, noon, time.Hour)
	if err != nil {
		panic(err)
	}
	return text
}

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	return (&store.Store{DB: db}).Migrate(ctx)
}

// hall is the API over a real database; only the hub is missing.
type hall struct {
	t        *testing.T
	handler  http.Handler
	store    *store.Store
	starting bool
	reg      *prometheus.Registry
	tls      *tls.ConnectionState // of calls
	keys     map[string]*signed.Key
	at       time.Time // when cells sign
}

func open(t *testing.T) *hall {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	h := &hall{t: t, store: &store.Store{DB: db}, reg: prometheus.NewRegistry(), keys: map[string]*signed.Key{}, at: noon}
	now := func() time.Time { return noon }
	h.handler = (&api.API{
		Registry:  &registry.Service{Book: h.store, Now: now},
		Directory: &placement.Service{Book: h.store, Known: h.store.Known, Now: now},
		Map: func() *seal.Map {
			f, err := h.store.Facts(context.Background())
			if err != nil || len(f.Members) == 0 {
				return nil
			}
			return sealtest.Sign(snapshot.Build(f, noon))
		},
		Starting: func() bool { return h.starting },
		Pinned:   sealtest.Pinned, Now: now, Watch: api.NewWatch(h.reg), Health: &httpd.Health{},
	}).Handler()
	return h
}

func (h *hall) call(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.TLS = h.tls
	h.sign(r, body)
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

// must fails unless the call answers the status, and decodes the body into v.
func (h *hall) must(status int, v any, method, path, body string) *httptest.ResponseRecorder {
	h.t.Helper()
	w := h.call(method, path, body)
	if w.Code != status {
		h.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if v != nil {
		if err := json.Unmarshal(w.Body.Bytes(), v); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return w
}

// key is a cell's own.
func (h *hall) key(cell string) *signed.Key {
	if h.keys[cell] == nil {
		seed := sha256.Sum256([]byte(cell))
		k, err := signed.NewKey(cell+"-a1", seed[:])
		if err != nil {
			h.t.Fatal(err)
		}
		h.keys[cell] = k
	}
	return h.keys[cell]
}

// sign signs what cells say, as the cell that it is about.
func (h *hall) sign(r *http.Request, body string) {
	var j struct{ Cell struct{ ID string } }
	cell, _, beats := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/cells/"), "/beat")
	if r.URL.Path == "/v1/cells" {
		_ = json.Unmarshal([]byte(body), &j)
		cell, beats = j.Cell.ID, true
	}
	if _, err := topology.ParseCell(cell); r.Method != http.MethodPost || !beats || err != nil || r.Header.Get(request.Header) != "" {
		return
	}
	h.at = h.at.Add(time.Millisecond)
	r.Header.Set(request.Header, request.Sign(h.key(cell), r.Method, r.URL.Path, []byte(body), h.at))
}

// joinBody is what a cell says of itself, with the token of an invitation where there is one.
func (h *hall) joinBody(id, region, token string) string {
	return `{"cell":{"id":"` + id + `","region":"` + region + `","urls":["http://127.0.0.1:8101"],"weight":100,"state":"serving","residency":"Paris, France","keys":[{"kid":"` +
		id + `-a1","use":"access","x":"` + signed.PublicText(h.key(id).Public()) + `"}]},"join_token":"` + token + `"}`
}

// invite makes a join token.
func (h *hall) invite(id, region string) string {
	h.t.Helper()
	var inv api.Invitation
	h.must(201, &inv, "POST", "/v1/invitations", `{"cell":"`+id+`","region":"`+region+`"}`)
	return inv.Token
}

// join invites a cell and lets it in.
func (h *hall) join(id, region string) {
	h.t.Helper()
	h.must(200, nil, "POST", "/v1/cells", h.joinBody(id, region, h.invite(id, region)))
}

func TestCells_joinBeatWeighAndList(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	h.join("euw3b", "eu-west-3")
	var answer api.BeatAnswer
	h.must(200, &answer, "POST", "/v1/cells/euw3/beat", `{"urls":["http://127.0.0.1:8101","http://127.0.0.1:8111"]}`)
	if answer.Version < noon.UnixMilli() {
		t.Errorf("version %d", answer.Version)
	}
	var c api.Cell
	h.must(200, &c, "PUT", "/v1/cells/euw3/weight", `{"percent":0,"reason":"drill","expires_at":"2027-05-01T15:00:00+02:00"}`)
	if c.Target != 0 || c.Weight != 100 || c.State != topology.CellDraining || c.Reason != "drill" || c.ExpiresAt == nil {
		t.Errorf("got %+v", c)
	}
	var list api.CellList
	h.must(200, &list, "GET", "/v1/cells", "")
	if len(list.Items) != 2 || len(list.Items[0].Processes) != 2 || list.NextCursor != nil {
		t.Errorf("got %+v", list)
	}
	h.must(200, &c, "DELETE", "/v1/cells/euw3", "")
	if c.State != topology.CellLeft {
		t.Errorf("got %+v", c)
	}
}

func TestTopology_isTheMapWithAnETag(t *testing.T) {
	t.Parallel()
	h := open(t)
	if w := h.must(503, nil, "GET", "/v1/topology", ""); w.Header().Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	h.join("euw3", "eu-west-3")
	var s topology.Snapshot
	w := h.must(200, &s, "GET", "/v1/topology", "")
	if _, err := seal.Open(w.Body.Bytes(), w.Header().Get(seal.Header), sealtest.Pinned); err != nil {
		t.Errorf("the answer is not signed: %v", err)
	}
	if len(s.Cells) != 1 || s.Cells[0].ID != "euw3" || s.Placements == nil || s.Version == 0 {
		t.Errorf("got %s", w.Body)
	}
	if again := h.call("GET", "/v1/topology", "", "If-None-Match", w.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("got %d %s", again.Code, again.Body)
	}
}

func TestPlacements_compareAndSetOverHTTP(t *testing.T) {
	t.Parallel()
	h := open(t)
	const path = "/v1/placements/evt_euw3_k3v9x2m4q7rt"
	h.must(404, nil, "GET", path, "")
	h.join("euw3", "eu-west-3")
	h.join("use1", "us-east-1")
	var p topology.Placement
	h.must(200, &p, "GET", path, "")
	if p.Home != "euw3" || p.Epoch != 1 || p.State != topology.Serving {
		t.Errorf("got %+v", p)
	}
	set := `{"operation_id":"op-1","home_cell":"use1","epoch":1}`
	h.must(200, &p, "PUT", path, set)
	if p.Home != "use1" || p.Epoch != 2 {
		t.Errorf("got %+v", p)
	}
	if w := h.must(200, &p, "PUT", path, set); w.Header().Get("Idempotent-Replayed") != "true" || p.Epoch != 2 {
		t.Errorf("the same operation again: %+v %v", p, w.Header())
	}
	var problem struct {
		Code     string `json:"code"`
		HomeCell string `json:"home_cell"`
		Epoch    int64  `json:"epoch"`
	}
	h.must(409, &problem, "PUT", path, `{"operation_id":"op-2","home_cell":"euw3","epoch":1}`)
	if problem.Code != "placement_changed" || problem.HomeCell != "use1" || problem.Epoch != 2 {
		t.Errorf("got %+v", problem)
	}
}

func TestProblems_everyErrorIsADocumentWithItsCode(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	weight := "/v1/cells/euw3/weight"
	place := "/v1/placements/evt_euw3_k3v9x2m4q7rt"
	for name, tc := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"no such path":      {"GET", "/v1/moves", "", nil, 404, "no_such_path"},
		"moves not offered": {"POST", "/v1/moves", `{}`, nil, 404, "no_such_path"},
		"wrong method":      {"PATCH", "/v1/cells", `{}`, nil, 405, "method_not_allowed"},
		"unknown parameter": {"GET", "/v1/cells?limit=1", "", nil, 400, "unknown_parameter"},
		"no token":          {"PUT", weight, `{}`, []string{"Authorization", ""}, 401, "unauthorized"},
		"wrong token":       {"PUT", weight, `{}`, []string{"Authorization", "Bearer wrong"}, 401, "unauthorized"},
		"wrong scheme":      {"PUT", weight, `{}`, []string{"Authorization", "Basic " + token}, 401, "unauthorized"},
		"token prefix":      {"PUT", weight, `{}`, []string{"Authorization", "Bearer " + token + "x"}, 401, "unauthorized"},
		"no content type":   {"PUT", weight, `{}`, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		"unknown field":     {"PUT", weight, `{"percent":1,"colour":"red"}`, nil, 400, "unknown_field"},
		"wrong type":        {"PUT", weight, `{"percent":"all"}`, nil, 400, "invalid_field"},
		"no percent":        {"PUT", weight, `{"reason":"x","expires_at":"2027-05-01T13:00:00Z"}`, nil, 400, "missing_field"},
		"negative percent":  {"PUT", weight, `{"percent":-1,"reason":"x","expires_at":"2027-05-01T13:00:00Z"}`, nil, 400, "invalid_field"},
		"no expiry":         {"PUT", weight, `{"percent":50,"reason":"x"}`, nil, 400, "missing_field"},
		"last serving cell": {"PUT", weight, `{"percent":0,"reason":"x","expires_at":"2027-05-01T13:00:00Z"}`, nil, 409, "last_serving_cell"},
		"leave as the last": {"DELETE", "/v1/cells/euw3", "", nil, 409, "last_serving_cell"},
		"not a cell":        {"PUT", "/v1/cells/Paris/weight", `{}`, nil, 400, "invalid_cell"},
		"unknown cell":      {"PUT", "/v1/cells/sae1/weight", `{"percent":5,"reason":"x","expires_at":"2027-05-01T13:00:00Z"}`, nil, 404, "unknown_cell"},
		"beat of a ghost":   {"POST", "/v1/cells/sae1/beat", `{"urls":["http://x"]}`, nil, 401, "invitation_required"},
		"beat of nobody":    {"POST", "/v1/cells/euw3/beat", `{"urls":[]}`, nil, 400, "invalid_field"},
		"join uninvited":    {"POST", "/v1/cells", `{"cell":` + joining("use1") + `}`, nil, 401, "invitation_required"},
		"join unsigned":     {"POST", "/v1/cells", `{"cell":` + joining("use1") + `,"join_token":"join_x"}`, []string{request.Header, "nonsense"}, 401, "token_malformed"},
		"join as nobody":    {"POST", "/v1/cells", `{"cell":` + joining("Paris") + `}`, nil, 400, "invalid_cell"},
		"old operator":      {"POST", "/v1/cells/euw3/beat", `{"urls":["http://x"]}`, []string{request.Header, "none"}, 401, "token_malformed"},
		"list as nobody":    {"GET", "/v1/cells", "", []string{"Authorization", ""}, 401, "unauthorized"},
		"place as nobody":   {"GET", place, "", []string{"Authorization", ""}, 401, "unauthorized"},
		"expel by a drill":  {"POST", "/v1/cells/euw3/expel", "", []string{"Authorization", "Bearer " + drillToken}, 403, "forbidden"},
		"invite by a drill": {"POST", "/v1/invitations", `{}`, []string{"Authorization", "Bearer " + drillToken}, 403, "forbidden"},
		"expel the last":    {"POST", "/v1/cells/euw3/expel", "", nil, 409, "last_cell"},
		"invite for ever":   {"POST", "/v1/invitations", `{"cell":"use1","region":"us-east-1","ttl_seconds":-5}`, nil, 400, "invalid_field"},
		"invite nobody":     {"POST", "/v1/invitations", `{"cell":"x","region":"us-east-1"}`, nil, 400, "invalid_cell"},
		"broken json":       {"POST", "/v1/cells", `{"cell":`, nil, 400, "invalid_json"},
		"empty body":        {"POST", "/v1/cells", ``, []string{"Content-Type", "application/json"}, 400, "invalid_json"},
		"NUL":               {"PUT", place, `{"operation_id":"a\u0000b","home_cell":"euw3","epoch":1}`, nil, 400, "invalid_field"},
		"large body":        {"POST", "/v1/cells", `{"join_token":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, "body_too_large"},
		"malformed event":   {"GET", "/v1/placements/evt_x", "", nil, 400, "invalid_id"},
		"hostile event":     {"GET", "/v1/placements/%00%ff'%3B--", "", nil, 400, "invalid_id"},
		"no operation":      {"PUT", place, `{"home_cell":"euw3","epoch":1}`, nil, 400, "missing_field"},
		"no epoch":          {"PUT", place, `{"operation_id":"a","home_cell":"euw3"}`, nil, 400, "missing_field"},
		"unknown home":      {"PUT", place, `{"operation_id":"a","home_cell":"sae1","epoch":1}`, nil, 409, "cell_not_serving"},
	} {
		w := h.call(tc.method, tc.path, tc.body, tc.headers...)
		var problem struct {
			Type, Title, Code, Instance string
			Status                      int
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: no problem document: %d %s", name, w.Code, w.Body)
			continue
		}
		if w.Code != tc.status || problem.Status != tc.status || problem.Code != tc.code || problem.Type == "" || problem.Instance == "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	var list api.CellList
	h.must(200, &list, "GET", "/v1/cells", "")
	if len(list.Items) != 1 || list.Items[0].Target != 100 {
		t.Errorf("a refusal stored something: %+v", list)
	}
}

func TestStarting_onlyTheMapIsTold(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	h.starting = true
	h.must(200, nil, "GET", "/v1/topology", "")
	for _, call := range [][2]string{{"GET", "/v1/cells"}, {"POST", "/v1/cells"}, {"GET", "/v1/placements/evt_euw3_k3v9x2m4q7rt"}} {
		if w := h.must(503, nil, call[0], call[1], ""); w.Header().Get("Retry-After") == "" {
			t.Errorf("%v: 503 without Retry-After", call)
		}
	}
}

func TestDatabaseAway_isUnavailableAndSaysWhen(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.join("euw3", "eu-west-3")
	dead, err := sqldb.Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dead.Close)
	h.store.DB = dead
	if w := h.must(503, nil, "GET", "/v1/cells", ""); w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "database_unavailable") {
		t.Errorf("got %v %s", w.Header(), w.Body)
	}
}

// joining is a cell that wants to join, without keys.
func joining(id string) string {
	return `{"id":"` + id + `","region":"us-east-1","urls":[],"weight":100,"state":"serving","residency":"x","keys":[]}`
}
