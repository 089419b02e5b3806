package world

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFamily_findsGrandchildrenAndSurvivorsNamesThoseWhoStay(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("SKIPPED, nothing tested: there is no /proc here")
	}
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 16)
	n, err := out.Read(first)
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(string(first[:n])))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("kill", "-9", strconv.Itoa(grandchild)).Run() })
	family := Family(os.Getpid())
	pids := func(list []Proc) (all []int) {
		for _, p := range list {
			all = append(all, p.Pid)
		}
		return all
	}
	if got := pids(family); !slices.Contains(got, os.Getpid()) || !slices.Contains(got, cmd.Process.Pid) || !slices.Contains(got, grandchild) {
		t.Fatalf("the family of %d is %v; child %d and grandchild %d are missing", os.Getpid(), family, cmd.Process.Pid, grandchild)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	family = slices.DeleteFunc(family, func(p Proc) bool { return p.Pid != cmd.Process.Pid && p.Pid != grandchild })
	if left := pids(Survivors(family, 50*time.Millisecond)); !slices.Equal(left, []int{grandchild}) {
		t.Errorf("survivors %v, want the grandchild %d, an orphan now", left, grandchild)
	}
	if err := exec.Command("kill", "-9", strconv.Itoa(grandchild)).Run(); err != nil {
		t.Fatal(err)
	}
	if left := Survivors(family, 10*time.Second); len(left) != 0 {
		t.Errorf("survivors %v, want nobody", left)
	}
}

func TestParseStat_isNotMisledByAName(t *testing.T) {
	p, ok := parseStat([]byte("42 (a) Z (1 b) S 7 42 42 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 9 0 12345 99 1\n"))
	if !ok || p.Pid != 42 || p.parent != 7 || p.state != "S" || p.began != "12345" || p.Name != "a) Z (1 b" {
		t.Errorf("%+v %v", p, ok)
	}
	for _, text := range []string{"", "42", "42 (x", "42 (x) S 7", "x (y) S 7 42 42 0 -1 4194304 1 0 0 0 1 2 3 4 20 0 9 0 12345 99"} {
		if p, ok := parseStat([]byte(text)); ok {
			t.Errorf("%q gave %+v", text, p)
		}
	}
}

func TestReadLogs_tellsOfCrashesAndOfNothingElse(t *testing.T) {
	w := &World{State: t.TempDir()}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(w.State, "log"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.State, "log", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("router.log", `{"msg":"serving"}`+"\n(signal: killed)\n")
	if err := w.readLogs(); err != nil {
		t.Fatal(err)
	}
	if err := w.Complaints(); err != nil {
		t.Errorf("a healthy log gives %v", err)
	}
	write("cell-euw3.log", "hello\npanic: boom\ngoroutine 1\n")
	write("cell-use1.log", `{"level":"ERROR","msg":"handler panicked"}`+"\n")
	if err := w.readLogs(); err != nil {
		t.Fatal(err)
	}
	err := w.Complaints()
	if err == nil || !strings.Contains(err.Error(), "panic: boom\n    goroutine 1") || !strings.Contains(err.Error(), "cell-use1.log") {
		t.Errorf("complaints: %v", err)
	}
}

func TestOpen_saysWhyATownDidNotOpenAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\necho opening\necho 'port is in use: 8080' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "guichet"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	_, err := Open(context.Background(), Programs{Dir: dir}, Options{})
	if err == nil || !strings.Contains(err.Error(), "port is in use: 8080") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left in the temporary directory: %v (%v)", left, err)
	}
}
