package natsd_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet/internal/natsd"
)

// listening counts the TCP sockets of this process that listen.
func listening(t *testing.T) int {
	t.Helper()
	mine := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Skip("SKIPPED: there is no /proc to see the sockets in")
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			mine[target] = true
		}
	}
	n := 0
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			const stateListen = "0A"
			if f := strings.Fields(line); len(f) > 9 && f[3] == stateListen && mine["socket:["+f[9]+"]"] {
				n++
			}
		}
	}
	return n
}

func TestServer_opensNoPortButTheOneForLeaves(t *testing.T) { //nolint:paralleltest // it counts the process's sockets
	before := listening(t)
	quiet := slog.New(slog.DiscardHandler)
	leaf, err := natsd.Start(t.Context(), natsd.Config{Name: "leaf-euw3", Domain: "euw3", StoreDir: t.TempDir(), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer leaf.Close()
	if n := listening(t) - before; n != 0 || leaf.ClientAddr() != "" || leaf.LeafAddr() != "" {
		t.Errorf("a leaf listens on %d ports, %q %q", n, leaf.ClientAddr(), leaf.LeafAddr())
	}
	hub, err := natsd.Start(t.Context(), natsd.Config{Name: "hub", Domain: "hub", StoreDir: t.TempDir(), Log: quiet, Leaves: &natsd.Leaves{
		Listen: "127.0.0.1:0", Admit: func(natsd.Caller) (natsd.Grant, error) { return natsd.Grant{}, errors.New("nobody") },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	if n := listening(t) - before; n != 1 || hub.ClientAddr() != "" || hub.LeafAddr() == "" {
		t.Errorf("a hub listens on %d ports, %q %q", n, hub.ClientAddr(), hub.LeafAddr())
	}
}

func TestServer_forLeavesNeedsSomebodyWhoJudgesThem(t *testing.T) {
	t.Parallel()
	srv, err := natsd.Start(t.Context(), natsd.Config{Name: "hub", Domain: "hub", StoreDir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Leaves: &natsd.Leaves{Listen: "127.0.0.1:0"}})
	if err == nil {
		srv.Close()
		t.Error("it started, and would let everybody in")
	}
}

func TestPublicNKey_isOfAUsersSeedOnly(t *testing.T) {
	t.Parallel()
	seed, public, err := natsd.NewNKey()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := natsd.PublicNKey(seed); err != nil || got != public || !natsd.IsPublicNKey(public) || natsd.IsPublicNKey(seed) {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{"", public, seed[:20], "SAANONSENSE"} {
		if _, err := natsd.PublicNKey(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
