package town

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"guichet/internal/child"
	"guichet/internal/pgserver"
)

// output is what a town says, to be read while it speaks.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func testOptions(t *testing.T, cells, state string) Options {
	t.Helper()
	if _, err := pgserver.Find(); err != nil {
		t.Skip("SKIPPED, nothing tested: ", err)
	}
	parsed, err := ParseCells(cells)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Cells: parsed, State: state, Instances: 1, Programs: programs(t), Database: enginePostgres}
}

func open(t *testing.T, o Options) (*Town, *output) {
	t.Helper()
	var out output
	town, err := Open(t.Context(), o, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	t.Cleanup(func() {
		if err := town.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return town, &out
}

func pidOf(t *testing.T, town *Town, name string) int {
	t.Helper()
	p, err := town.find(name)
	if err != nil {
		t.Fatal(err)
	}
	return p.pid()
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTown_opensServesAndClosesWithoutAnOrphan(t *testing.T) {
	state := stateDir(t)
	o := testOptions(t, "euw3,use1", state)
	o.Instances = 2
	var imports [][]string
	o.Import = func(_ context.Context, args []string, _, _ io.Writer) error {
		imports = append(imports, args)
		return nil
	}
	o.ImportData = t.TempDir()
	town, out := open(t, o)
	if want := fmt.Sprintf("town is open: http://localhost:%d\n", town.ports.router()); !strings.HasSuffix(out.String(), want) {
		t.Errorf("does not end with %q:\n%s", want, out)
	}
	var pids []int
	for _, s := range town.Status() {
		if !child.Alive(s.Pid) {
			t.Errorf("%s does not run", s.Name)
		}
		pids = append(pids, s.Pid)
	}
	if len(pids) != 3+2+1+4+1 { // databases, sandbox and mail sink, control plane, cells, router
		t.Errorf("%d processes: %+v", len(pids), town.Status())
	}
	creds, err := ReadCredentials(filepath.Join(state, credsName))
	if err != nil {
		t.Fatal(err)
	}
	if len(creds.Organizers) != 2 || creds.Organizers[0].HomeCell != "euw3" || creds.Organizers[0].APIKey == "" || len(creds.Processes) != len(pids) {
		t.Errorf("credentials: %+v", creds)
	}
	info, err := os.Stat(filepath.Join(state, credsName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("credentials.json has mode %v (%v), want 0600", info.Mode(), err)
	}
	if len(imports) != 1 || imports[0][0] != "builtin" {
		t.Errorf("imported %v", imports)
	}
	if err := town.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if child.Alive(pid) {
			t.Errorf("pid %d is an orphan", pid)
		}
	}
}

func TestTown_tellsEachProcessWhatItNeeds(t *testing.T) {
	o := testOptions(t, "euw3", stateDir(t))
	o.Instances, o.WAN = 2, true
	town, _ := open(t, o)
	p := town.ports
	first, second := get(t, httpURL(p.cellPrivate(0, 0))+"/environ"), get(t, httpURL(p.cellPrivate(0, 1))+"/environ")
	for _, want := range []string{
		"GUICHET_CELL=euw3\n", "GUICHET_REGION=eu-west-3\n", "GUICHET_LEAF=on\n", "GUICHET_NKEY_SEED=SU",
		"GUICHET_HUB_URL=nats-leaf://" + local(p.hubLeaf()) + "\n", "GUICHET_STRIPE_SECRET_KEY=sk_test_sandbox_euw3\n",
		"GUICHET_CONTROL_PLANE=" + httpsURL(p.controlPlane()) + "\n", "GUICHET_SIGNING_SEED=", "GUICHET_JOIN_TOKEN=join_euw3\n", "GUICHET_TLS_CERT=", "GUICHET_CONTROL_KEY=" + town.state.controlPublic() + "\n", "GUICHET_DATABASE_URL=postgres://",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the cell was not told %q:\n%s", want, first)
		}
	}
	if !strings.Contains(second, "GUICHET_LEAF=off\n") {
		t.Error("the second process should have no leaf")
	}
	seed := func(env string) string {
		_, after, _ := strings.Cut(env, "GUICHET_SIGNING_SEED=")
		return after[:64]
	}
	if seed(first) != seed(second) {
		t.Error("two processes of one cell sign with different keys")
	}
	router := get(t, httpURL(p.router())+"/environ")
	bootstrap := fmt.Sprintf("GUICHET_CELLS=euw3=%s,euw3=%s\n", httpsURL(p.cell(0, 0)), httpsURL(p.cell(0, 1)))
	for _, want := range []string{bootstrap, "GUICHET_DEFAULT_CELL=euw3\n", "GUICHET_TRUST_NEAR=1\n", "GUICHET_WAN="} {
		if !strings.Contains(router, want) {
			t.Errorf("the router was not told %q:\n%s", want, router)
		}
	}
	sandbox := get(t, httpURL(p.sandbox())+"/environ")
	if want := "--account euw3=" + httpURL(p.router()) + webhookPath + "?cell=euw3"; !strings.Contains(sandbox, want) {
		t.Errorf("the sandbox was not told %q:\n%s", want, sandbox)
	}
}

func TestTown_staysOpenWhenAProcessIsKilledAndBringsItBackWhenAsked(t *testing.T) {
	state := stateDir(t)
	town, out := open(t, testOptions(t, "euw3", state))
	for _, name := range []string{"cell-euw3", "router", "control-plane", "postgres-euw3"} {
		old := pidOf(t, town, name)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, name+" is dead", func() bool { return pidOf(t, town, name) == 0 })
		until(t, "it is said", func() bool { return strings.Contains(out.String(), fmt.Sprintf("%s died (pid %d)", name, old)) })
		if name == "cell-euw3" {
			if lines := out.String(); !strings.Contains(lines, "cell listens on") || !strings.Contains(lines, "signal: killed") {
				t.Errorf("its last words are missing:\n%s", lines)
			}
		}
		var told bytes.Buffer
		if err := Command(t.Context(), []string{"restart", name, "--state", state}, &told, &told, nil); err != nil {
			t.Fatal(err)
		}
		now := pidOf(t, town, name)
		if now == 0 || now == old || !strings.Contains(told.String(), fmt.Sprint(now)) {
			t.Errorf("%s was %d, is %d, told:\n%s", name, old, now, told.String())
		}
		creds, err := ReadCredentials(filepath.Join(state, credsName))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(creds.Processes, func(p Process) bool { return p.Name == name && p.Pid == now }) {
			t.Errorf("credentials.json does not know %s's new pid %d: %+v", name, now, creds.Processes)
		}
	}
	if err := Command(t.Context(), []string{"stop", "--state", state, "router"}, io.Discard, io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	if err := town.Kill("sandbox"); err != nil {
		t.Fatal(err)
	}
	if pidOf(t, town, "sandbox") != 0 || strings.Contains(out.String(), "sandbox died") {
		t.Error("a sandbox that was killed through the town should be away, and not mourned")
	}
	if pidOf(t, town, "router") != 0 || strings.Count(out.String(), "router died") != 1 {
		t.Error("a router that was stopped should be away, and not mourned")
	}
	err := Command(t.Context(), []string{"restart", "ghost", "--state", state}, io.Discard, io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), `no "ghost"`) {
		t.Errorf("restart of nobody: %v", err)
	}
}

func TestTown_bringsADeadProcessBackByItselfWhenToldTo(t *testing.T) {
	o := testOptions(t, "euw3", stateDir(t))
	o.RestartAfter = time.Millisecond
	town, _ := open(t, o)
	old := pidOf(t, town, "cell-euw3")
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the cell is back", func() bool { pid := pidOf(t, town, "cell-euw3"); return pid != 0 && pid != old })
}

func TestTown_keepsItsStateAndForgetsItWhenFresh(t *testing.T) {
	state := stateDir(t)
	o := testOptions(t, "euw3", state)
	imports := 0
	o.ImportData = t.TempDir()
	o.Import = func(context.Context, []string, io.Writer, io.Writer) error { imports++; return nil }
	run := func(o Options) (Credentials, string) {
		town, err := Open(t.Context(), o, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		seed := town.state.record.SigningSeeds["euw3"]
		if err := town.Close(); err != nil {
			t.Fatal(err)
		}
		return town.Credentials(), seed
	}
	first, seed := run(o)
	second, seedAgain := run(o)
	if first.OperatorToken != second.OperatorToken || seed != seedAgain || first.Organizers[0] != second.Organizers[0] {
		t.Error("the second run should have the token, the seed and the organizers of the first")
	}
	if imports != 1 {
		t.Errorf("imported %d times, want once", imports)
	}
	o.Fresh = true
	third, seedFresh := run(o)
	if third.OperatorToken == first.OperatorToken || seedFresh == seed || third.Organizers[0] == first.Organizers[0] || imports != 2 {
		t.Error("a fresh town should know nothing of the old one")
	}
}

func TestTown_refusesASecondTownOnItsState(t *testing.T) {
	state := stateDir(t)
	o := testOptions(t, "euw3", state)
	open(t, o)
	_, err := Open(t.Context(), o, io.Discard)
	if want := fmt.Sprintf("open already on %s (pid %d)", state, os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestTown_namesABusyPortAndWhoHasIt(t *testing.T) {
	o := testOptions(t, "euw3", stateDir(t))
	base, err := freeBase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", local(base))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.Port = base
	_, err = Open(t.Context(), o, io.Discard)
	if !errors.Is(err, errPortBusy) {
		t.Fatalf("got %v", err)
	}
	want := fmt.Sprintf("%d, needed for router, is taken by pid %d (", base, os.Getpid())
	if _, statErr := os.Stat("/proc/net/tcp"); statErr == nil && !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q, want one line with %q", err, want)
	}
}

func TestTown_saysWhyAProcessIsNotReadyOrDied(t *testing.T) {
	for file, want := range map[string]string{"crash": "cell-euw3 is not ready: it died"} {
		state := stateDir(t)
		o := testOptions(t, "euw3", state)
		if err := os.MkdirAll(filepath.Join(state, "cell-euw3"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(state, "cell-euw3", file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		var out output
		_, err := Open(t.Context(), o, &out)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", file, err)
		}
		until(t, "its last words are told", func() bool { return strings.Contains(out.String(), "told to crash") })
	}
}

func TestProbe_givesTheReasonOfAProgramThatIsNotReady(t *testing.T) {
	state := stateDir(t)
	town, _ := open(t, testOptions(t, "euw3", state))
	if err := os.WriteFile(filepath.Join(state, "cell-euw3", "broken"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := town.find("euw3")
	if err != nil {
		t.Fatal(err)
	}
	if got := probe(t.Context(), p.asked()); !strings.Contains(got, "503") || !strings.Contains(got, "told to be broken") {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.awaitReady(ctx); err == nil || !strings.Contains(err.Error(), "told to be broken") {
		t.Errorf("got %v", err)
	}
}

func TestTown_leavesNoOrphanWhenTheSupervisorIsKilledNineAndOpensAgain(t *testing.T) {
	state := stateDir(t)
	o := testOptions(t, "euw3", state)
	supervisor := exec.Command(filepath.Join(o.Programs, "supervisor"))
	var out output
	supervisor.Env = append(os.Environ(), "STATE="+state, "PROGRAMS="+o.Programs)
	supervisor.Stdout, supervisor.Stderr = &out, &out
	if err := child.Start(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the town is open", func() bool { return strings.Contains(out.String(), "town is open") })
	creds, err := ReadCredentials(filepath.Join(state, credsName))
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = supervisor.Wait()
	for _, p := range creds.Processes {
		until(t, p.Name+" is gone too", func() bool { return gone(p.Pid) })
	}
	o.Database = "" // what the state was made with
	town, _ := open(t, o)
	if got := town.Credentials(); got.OperatorToken != creds.OperatorToken {
		t.Error("the state is another's")
	}
}

// gone says whether a process is away, or dead and only not collected because
// whoever inherits orphans here does not care.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil && !child.Alive(pid) || strings.Contains(string(stat), ") Z ")
}
