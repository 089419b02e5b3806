package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/ticket"
	"guichet/control-plane/topology"
)

// counter stands where a router would: it keeps the contract of idempotency keys
// and forgets the rest. The town's e2e test imports into real cells.
type counter struct {
	mu      sync.Mutex
	bodies  map[string]string // by key
	regions map[string]int
	refuse  func(client.NewEvent) (status int, code string)
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/topology" {
		_ = json.NewEncoder(w).Encode(topology.Snapshot{Version: 1, Cells: []topology.Cell{
			{ID: "euw3", Region: "eu-west-3", State: topology.CellServing},
			{ID: "use1", Region: "us-east-1", State: topology.CellServing},
			{ID: "apn1", Region: "ap-northeast-1", State: topology.CellServing},
			{ID: "sae1", Region: "sa-east-1", State: topology.CellLeft},
		}})
		return
	}
	body, _ := io.ReadAll(r.Body)
	region, key := r.URL.Query().Get("home_region"), r.Header.Get("Idempotency-Key")
	c.mu.Lock()
	defer c.mu.Unlock()
	problem := func(status int, code string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(client.Problem{Status: status, Code: code})
	}
	var e client.NewEvent
	if json.Unmarshal(body, &e) != nil || key == "" || r.Header.Get("Authorization") != "Bearer key-"+region {
		problem(401, "unauthorized")
		return
	}
	if c.refuse != nil {
		if status, code := c.refuse(e); status != 0 {
			problem(status, code)
			return
		}
	}
	switch before, known := c.bodies[key]; {
	case known && before != string(body):
		problem(422, "idempotency_key_reused")
		return
	case known:
		w.Header().Set("Idempotent-Replayed", "true")
	default:
		c.bodies[key] = string(body)
		c.regions[region]++
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(`{}`))
}

// open starts a counter and writes the credentials of a town around it.
func (c *counter) open(t *testing.T) (credentials string) {
	t.Helper()
	c.bodies, c.regions = map[string]string{}, map[string]int{}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	var organizers []string
	for _, region := range []string{"eu-west-3", "us-east-1", "ap-northeast-1"} {
		organizers = append(organizers, fmt.Sprintf(`{"id":"org_%s","name":"House of %s","home_region":%q,"api_key":"key-%s"}`, region, region, region, region))
	}
	path := filepath.Join(t.TempDir(), "credentials.json")
	text := fmt.Sprintf(`{"router":%q,"organizers":[%s]}`, s.URL, strings.Join(organizers, ","))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guichet runs the tool and gives its exit code and what it said.
func guichet(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = run(t.Context(), args, &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestImport_bringsTheOwnCatalogueHomeAndTwiceIsOnce(t *testing.T) {
	var c counter
	creds := c.open(t)
	code, out, errOut := guichet(t, "import", "builtin", "--credentials", creds, "--parallel", "4")
	if code != 0 || !strings.Contains(out, "131 rows: 131 usable, 0 not; 131 created, 0 already there, 0 refused") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	if c.regions["eu-west-3"] < 40 || c.regions["us-east-1"] < 25 || c.regions["ap-northeast-1"] < 30 {
		t.Errorf("homes %v", c.regions)
	}
	code, out, errOut = guichet(t, "import", "--credentials", creds, "builtin", "--shift")
	if code != 0 || !strings.Contains(out, "0 created, 131 already there") {
		t.Errorf("again: exit %d\n%s%s", code, out, errOut)
	}
}

// csvFile is a catalogue of three events: one in Tokyo, one in the past, one in Paris.
func csvFile(t *testing.T, name string) string {
	t.Helper()
	day := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	text := "id,name,venue,city,country,lat,lon,starts_at,price\n" +
		"1," + name + ",Hall,Tokyo,JP,35.68,139.76," + day + " 19:00,3000\n" +
		"2,Old,Hall,Paris,FR,48.85,2.35,2020-05-01 19:00,10\n" +
		"3,New,Hall,Paris,FR,48.85,2.35," + day + " 19:00,10\n"
	path := filepath.Join(t.TempDir(), "mine.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImport_reportsRowsRefusalsAndChangedSources(t *testing.T) {
	var c counter
	creds := c.open(t)
	code, out, errOut := guichet(t, "import", "csv", csvFile(t, "Far"), "--credentials", creds)
	if code != 0 || !strings.Contains(out, "3 rows: 2 usable, 1 not; 2 created") || !strings.Contains(errOut, "mine.csv:3 (row 2) 2: starts in the past") ||
		!strings.Contains(out, "homes: ap-northeast-1 1, eu-west-3 1") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	code, out, _ = guichet(t, "import", "csv", csvFile(t, "Renamed"), "--credentials", creds)
	if code != 0 || !strings.Contains(out, "0 created, 2 already there (1 of them changed at the source since") {
		t.Errorf("changed: exit %d\n%s", code, out)
	}
	c.refuse = func(e client.NewEvent) (int, string) {
		if e.Name == "Bad" {
			return 400, "invalid_event"
		}
		return 0, ""
	}
	code, out, errOut = guichet(t, "import", "csv", csvFile(t, "Bad"), "--credentials", creds, "--source-name", "other")
	if code != 1 || !strings.Contains(out, "1 created, 0 already there, 1 refused") || !strings.Contains(errOut, "invalid_event") {
		t.Errorf("refused: exit %d\n%s%s", code, out, errOut)
	}
	c.refuse = func(client.NewEvent) (int, string) { return 403, "forbidden" }
	if code, _, errOut = guichet(t, "import", "builtin", "--credentials", creds); code != 1 || !strings.Contains(errOut, "forbidden") {
		t.Errorf("forbidden: exit %d\n%s", code, errOut)
	}
}

func TestImport_oneOrganizerAndOneRegionIfAsked(t *testing.T) {
	var c counter
	creds := c.open(t)
	code, out, errOut := guichet(t, "import", "builtin", "--credentials", creds, "--organizer", "house of US-EAST-1", "--home-region", "us-east-1")
	if code != 0 || c.regions["us-east-1"] != 131 {
		t.Errorf("exit %d %v\n%s%s", code, c.regions, out, errOut)
	}
	for _, args := range [][]string{
		{"import", "builtin", "--credentials", creds, "--home-region", "sa-east-1"}, // its cell has left
		{"import"}, {"import", "xml", "f"}, {"import", "csv"}, {"import", "builtin", "f"}, {"import", "builtin", "--parallel", "0"}, {"import", "builtin", "--nonsense"},
	} {
		if code, _, _ := guichet(t, args...); code != 2 {
			t.Errorf("%v: exit %d, want 2", args[:2:2], code)
		}
	}
	for _, args := range [][]string{
		{"import", "builtin", "--credentials", creds, "--organizer", "nobody"},
		{"import", "builtin", "--credentials", filepath.Join(t.TempDir(), "none.json")},
		{"import", "csv", filepath.Join(t.TempDir(), "none.csv"), "--credentials", creds},
		{"import", "builtin", "--credentials", creds, "--router", "http://127.0.0.1:1"},
	} {
		if code, _, errOut := guichet(t, args...); code != 1 || errOut == "" {
			t.Errorf("%v: exit %d %s, want 1", args, code, errOut)
		}
	}
}

func TestImport_dryRunNeedsNobody(t *testing.T) {
	code, out, errOut := guichet(t, "import", "builtin", "--dry-run", "--credentials", filepath.Join(t.TempDir(), "none"))
	if code != 0 || !strings.Contains(out, "131 usable, 0 not; dry run, nothing sent") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}

func TestRun_dispatchesAndExplains(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"import", "--help"}, {"demo", "-h"}, {"verify", "-h"}, {"version"}} {
		if code, out, errOut := guichet(t, args...); code != 0 || out+errOut == "" {
			t.Errorf("%v: exit %d, %q", args, code, out+errOut)
		}
	}
	for _, args := range [][]string{{}, {"sell"}, {"verify"}, {"verify", "a", "b"}, {"demo", "--from", "Atlantis"}, {"demo", "--quantity", "0"}, {"demo", "x"}, {"demo", "--out", "t.exe"}, {"demo", "--event", "a", "--query", "b"}} {
		if code, _, errOut := guichet(t, args...); code != 2 || errOut == "" {
			t.Errorf("%v: exit %d, %q", args, code, errOut)
		}
	}
}

func TestVerify_provesATicketWithTheKeysAlone(t *testing.T) {
	signer, err := ticket.NewSigner("apn1-1", bytes.Repeat([]byte{7}, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	event := id.NewEvent("apn1")
	tkt := id.NewTicket(event)
	barcode := signer.Barcode(ticket.Claims{Ticket: tkt, Type: id.NewTicketType(event), IssuedAt: time.Unix(1_800_000_000, 0)})
	set, err := json.Marshal(ticket.JWKSet([]topology.Key{signer.Public()}))
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, set, 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := guichet(t, "verify", barcode, "--keys", keys)
	if code != 0 || !strings.Contains(out, "valid: signed by apn1-1") || !strings.Contains(out, tkt.String()) || !strings.Contains(out, event.String()) {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/keys/tickets" {
			_, _ = w.Write(set)
		}
	}))
	t.Cleanup(s.Close)
	saved := filepath.Join(t.TempDir(), "saved.json")
	for _, where := range []string{s.URL, s.URL + "/v1/keys/tickets"} {
		if code, _, errOut := guichet(t, "verify", "--keys", where, "--save-keys", saved, barcode); code != 0 {
			t.Errorf("%s: exit %d %s", where, code, errOut)
		}
	}
	if code, _, errOut := guichet(t, "verify", barcode, "--keys", saved); code != 0 {
		t.Errorf("saved keys: exit %d %s", code, errOut)
	}
	forged := []byte(barcode)
	forged[len(forged)/2] ^= 1
	for _, bad := range []string{string(forged), "GT1.x", "hello"} {
		if code, _, errOut := guichet(t, "verify", bad, "--keys", keys); code != 1 || !strings.Contains(errOut, "not valid") {
			t.Errorf("%q: exit %d %s", bad, code, errOut)
		}
	}
}

func TestImport_countsWhatTheCellKnowsByItsSourceAsThere(t *testing.T) {
	c := counter{refuse: func(client.NewEvent) (int, string) { return 409, "event_exists" }}
	code, out, errOut := guichet(t, "import", "builtin", "--credentials", c.open(t))
	if code != 0 || !strings.Contains(out, "0 created, 131 already there, 0 refused") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
}

// A file that breaks in the middle must not look like a short one.
func TestImport_ofAFileThatBreaksInTheMiddleFailsAndNamesTheLine(t *testing.T) {
	one := func(name string) string {
		return `{"@type":"Event","name":"` + name + `","startDate":"2099-05-01T19:30","location":{"name":"H","geo":{"latitude":48.2,"longitude":16.37}}}`
	}
	start := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	text := strings.ReplaceAll("[\n"+one("first")+",\n"+one("sec\nond")+",\n"+one("third")+"\n]\n", "2099-05-01", start)
	path := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := guichet(t, "import", "schemaorg", path, "--dry-run")
	if code != 1 || !strings.Contains(out, "1 usable") || !strings.Contains(errOut, "broken.json:3") || !strings.Contains(errOut, "not read") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
}

func TestImport_readsATextInTheEncodingThatIsSaid(t *testing.T) {
	start := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	path := filepath.Join(t.TempDir(), "greek.csv")
	text := "id,name,venue,city,country,lat,lon,starts_at,price\n1,\xd9\xe4\xe5\xdf\xef,Hall,Athens,GR,37.98,23.73," + start + " 20:00,9\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c counter
	creds := c.open(t)
	code, out, errOut := guichet(t, "import", "csv", path, "--encoding", "windows-1253", "--credentials", creds)
	if code != 0 || !strings.Contains(out, "1 created") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	for _, body := range c.bodies {
		if !strings.Contains(body, "Ωδείο") {
			t.Error(body)
		}
	}
}

func TestImport_bringsACalendarHomeDateByDate(t *testing.T) {
	start := time.Now().AddDate(0, 1, 0).Format("20060102")
	path := filepath.Join(t.TempDir(), "programme.ics")
	text := "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nX-WR-TIMEZONE:Asia/Tokyo\r\nBEGIN:VEVENT\r\nUID:weekly@hall\r\nSUMMARY:Orgel\r\nLOCATION:Hall\\, Tokyo\r\n" +
		"DTSTART:" + start + "T193000\r\nRRULE:FREQ=WEEKLY;COUNT=4\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var c counter
	creds := c.open(t)
	for i, want := range []string{"4 created, 0 already there", "0 created, 4 already there"} {
		code, out, errOut := guichet(t, "import", "ical", path, "--price", "¥1,800", "--credentials", creds)
		if code != 0 || !strings.Contains(out, want) || c.regions["ap-northeast-1"] != 4 {
			t.Errorf("time %d: exit %d, %v\n%s%s", i+1, code, c.regions, out, errOut)
		}
	}
	for _, body := range c.bodies {
		if !strings.Contains(body, `"amount":1800,"currency":"JPY"`) || !strings.Contains(body, `T19:30:00+09:00`) {
			t.Error(body)
		}
	}
}
