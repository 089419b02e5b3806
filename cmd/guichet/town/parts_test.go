package town

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseCells_knowsTheRegionByTheShortCode(t *testing.T) {
	for list, want := range map[string]string{
		"euw3,use1,apn1":  "euw3=eu-west-3 use1=us-east-1 apn1=ap-northeast-1",
		"euw3b, euc1":     "euw3b=eu-west-3 euc1=eu-central-1",
		"x1=eu-north-1":   "error",
		"eun1=eu-north-1": "eun1=eu-north-1",
		"apse2":           "apse2=ap-southeast-2",
		"euw3,euw3":       "error",
		"":                "error",
		"xx9":             "error",
		"euw3=nowhere-1":  "error",
		"euw1,euw2,euw3,use1,use2,usw1,usw2,euc1,cac1,sae1": "error", // ten
	} {
		cells, err := ParseCells(list)
		var got []string
		for _, c := range cells {
			got = append(got, fmt.Sprintf("%s=%s", c.ID, c.Region.Code))
		}
		if text := strings.Join(got, " "); err != nil && want != "error" || err == nil && text != want {
			t.Errorf("%q: got %q, %v; want %q", list, text, err, want)
		}
	}
}

func TestParse_reportsAllFaultsAtOnce(t *testing.T) {
	_, err := Parse([]string{"--instances", "0", "--ports", "80", "--database", "sqlite", "--nodes", "2", "--database-url", "use2=postgres://localhost/x"}, os.Stderr)
	for _, want := range []string{"--instances", "--ports", "--database ", "--nodes", "use2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestPorts_areTheDocumentedOnesInTheDefaultTown(t *testing.T) {
	p := ports{defaultBase}
	got := []int{p.router(), p.controlPlane(), p.sandbox(), p.cell(0, 0), p.cell(2, 0), p.cell(0, 1), p.hubLeaf(), p.database(0)}
	want := []int{8080, 8090, 8095, 8101, 8103, 8111, 4291, 5501}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPorts_neverMeetAndStayInTheirRange(t *testing.T) {
	for _, base := range []int{defaultBase, 12000} {
		p := ports{base}
		seen := map[int]string{}
		use := func(port int, who string) {
			if other, taken := seen[port]; taken {
				t.Errorf("base %d: %s and %s share port %d", base, who, other, port)
			}
			if base != defaultBase && (port < base || port >= base+span) {
				t.Errorf("base %d: %s is outside at %d", base, who, port)
			}
			seen[port] = who
		}
		use(p.router(), "router")
		use(p.controlPlane(), "control plane")
		use(p.sandbox(), "sandbox")
		use(p.mail(), "mail sink")
		use(p.smtp(), "mail sink's SMTP")
		use(p.identity(), "issuer")
		use(p.routerPrivate(), "router, private")
		use(p.controlPlanePrivate(), "control plane, private")
		use(p.hubLeaf(), "hub's leaves")
		for i := range maxCells {
			for instance := range maxInstances {
				use(p.cell(i, instance), fmt.Sprint("cell ", i, instance))
				use(p.cellPrivate(i, instance), fmt.Sprint("cell, private ", i, instance))
			}
		}
		for i := range maxCells + 1 {
			for n := range mostNodes {
				use(p.node(i, n), fmt.Sprint("database ", i, n))
			}
			use(p.console(i), fmt.Sprint("console ", i))
		}
	}
}

func TestEngineFor_staysWithWhatTheStateWasMadeWith(t *testing.T) {
	t.Setenv("PATH", "") // no cockroach here
	for _, c := range []struct{ asked, recorded, want string }{
		{"", "", enginePostgres},
		{"", enginePostgres, enginePostgres},
		{enginePostgres, engineCockroach, "error"},
		{engineCockroach, "", "error"},
		{"", engineCockroach, "error"},
	} {
		got, err := engineFor(c.asked, c.recorded)
		if err != nil && c.want != "error" || err == nil && got != c.want {
			t.Errorf("asked %q, recorded %q: got %q, %v; want %q", c.asked, c.recorded, got, err, c.want)
		}
	}
	if _, err := engineFor(engineCockroach, ""); err == nil || !strings.Contains(err.Error(), "on the PATH") || !strings.Contains(err.Error(), "docs/cockroachdb.md") {
		t.Errorf("without the program: %v, want to hear what to do", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cockroach"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := engineFor("", ""); err != nil || got != engineCockroach {
		t.Errorf("with cockroach on the PATH: got %q, %v", got, err)
	}
	if got, err := engineFor("", enginePostgres); err != nil || got != enginePostgres {
		t.Errorf("a state on PostgreSQL, cockroach on the PATH: got %q, %v", got, err)
	}
}

func TestNodesFor_staysWithWhatTheStateWasMadeWith(t *testing.T) {
	for _, c := range []struct {
		engine          string
		asked, recorded int
		want            int // 0 is an error
	}{
		{engineCockroach, 0, 0, 1},
		{engineCockroach, 3, 0, 3},
		{engineCockroach, 0, 3, 3},
		{engineCockroach, 1, 3, 0},
		{engineCockroach, 3, 1, 0},
		{enginePostgres, 0, 0, 1},
		{enginePostgres, 3, 0, 0},
	} {
		got, err := nodesFor(c.engine, c.asked, c.recorded)
		if err != nil && c.want != 0 || err == nil && got != c.want {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
}

func TestNode_saysWhereItStandsAndWhomItJoins(t *testing.T) {
	one := node{dir: "d", region: "eu-west-3", number: 1, ports: []int{5501}, http: "127.0.0.1:5521"}
	if got := strings.Join(one.args(), " "); !strings.HasPrefix(got, "start-single-node --insecure --store=d --listen-addr=127.0.0.1:5501 --http-addr=127.0.0.1:5521 --locality=region=eu-west-3,zone=eu-west-3a ") {
		t.Error(got)
	}
	third := node{dir: "d", region: "eu-west-3", number: 3, ports: []int{5501, 5511, 5531}, http: "127.0.0.1:0"}
	if got := strings.Join(third.args(), " "); !strings.HasPrefix(got, "start --join=127.0.0.1:5501,127.0.0.1:5511,127.0.0.1:5531 --insecure --store=d --listen-addr=127.0.0.1:5531 ") || !strings.Contains(got, "zone=eu-west-3c") {
		t.Error(got)
	}
}

func TestOpenState_freshLeavesAStrangersDirectoryAlone(t *testing.T) {
	dir := t.TempDir()
	precious := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(precious, []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir, true); err == nil || !strings.Contains(err.Error(), "left alone") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error("it is gone:", err)
	}
}

func TestLogFile_isBoundedAndKeepsItsLastWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := []byte(strings.Repeat("0123456789abcde\n", 1<<16)) // 1 MiB
	for range 3 * logLimit / len(chunk) {
		if _, err := l.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintf(l, "last\n\nwords\n")
	if got := l.LastWords(2); got != "last\nwords" {
		t.Errorf("got %q", got)
	}
	if len(l.tail) > tailLimit {
		t.Errorf("keeps %d bytes in memory", len(l.tail))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 2 {
		t.Fatalf("files: %v %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > logLimit {
			t.Errorf("%s has %d bytes (%v)", f, info.Size(), err)
		}
	}
}

func TestDiedOften_isFiveTimesInAMinute(t *testing.T) {
	var p part
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4 {
		if p.diedOften(at.Add(time.Duration(i) * time.Second)) {
			t.Fatalf("after %d deaths", i+1)
		}
	}
	if !p.diedOften(at.Add(5 * time.Second)) {
		t.Error("five deaths in five seconds are often")
	}
	var slow part
	for i := range 20 {
		if slow.diedOften(at.Add(time.Duration(i) * time.Minute)) {
			t.Fatal("once a minute is not often")
		}
	}
}
