package town

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"guichet/internal/mtls"
)

// TestMain lets the test binary stand for each program of the town: what is
// tested here is the supervisor, with real processes, ports, signals and
// databases. The real programs meet it in the e2e test.
func TestMain(m *testing.M) {
	switch name := filepath.Base(os.Args[0]); name {
	case "cell", "router", "control-plane", "guichet":
		if err := stand(name); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	case "supervisor":
		if err := supervise(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	default:
		os.Setenv("GORACE", "atexit_sleep_ms=0") // else each stand-in takes a second to end under -race
		os.Exit(m.Run())
	}
}

// stand listens where it is told and is ready at once. A file "broken" in its
// state directory makes it say why it is not, "crash" makes it die.
func stand(name string) error {
	dir, listen := os.Getenv("GUICHET_STATE_DIR"), os.Getenv("GUICHET_LISTEN")
	if name == "guichet" { // sandbox --listen … --state … --account …, mailbox --listen … --smtp …
		listen = os.Args[slices.Index(os.Args, "--listen")+1]
		if i := slices.Index(os.Args, "--state"); i >= 0 {
			dir = os.Args[i+1]
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "crash")); err == nil {
		return fmt.Errorf("%s was told to crash", name)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if _, err := os.Stat(filepath.Join(dir, "broken")); err == nil {
			http.Error(w, `{"reason":"told to be broken"}`, http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /environ", func(w http.ResponseWriter, _ *http.Request) {
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "GUICHET_") {
				fmt.Fprintln(w, kv)
			}
		}
		fmt.Fprintln(w, strings.Join(os.Args[1:], " "))
	})
	mux.HandleFunc("POST /v1/organizers", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Idempotency-Key") == "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		if r.Header.Get("Authorization") == "" {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		region := r.URL.Query().Get("home_region")
		cell := map[string]string{"eu-west-3": "euw3", "us-east-1": "use1"}[region]
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":"org_1","name":%q,"home_region":%q,"home_cell":%q,"api_key":"key-%d"}`, body.Name, region, cell, time.Now().UnixNano())
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	mux.HandleFunc("POST /v1/invitations", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Cell string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Authorization") == "" {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"cell":%q,"join_token":"join_%s"}`, body.Cell, body.Cell)
	})
	mux.HandleFunc("GET /v1/cells", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"id":"euw3"},{"id":"use1"}]}`)
	})
	server := &http.Server{Addr: listen, Handler: mux}
	identity, err := mtls.Load(mtls.Files{Cert: os.Getenv("GUICHET_TLS_CERT"), Key: os.Getenv("GUICHET_TLS_KEY"), CA: os.Getenv("GUICHET_TLS_CA")}, func(mtls.Peer) bool { return true })
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if private := os.Getenv("GUICHET_PRIVATE_LISTEN"); private != "" && name != "guichet" {
		go func() { _ = (&http.Server{Addr: private, Handler: mux}).ListenAndServe() }()
	}
	if operators := os.Getenv("GUICHET_OPERATOR_LISTEN"); operators != "" {
		go func() { _ = (&http.Server{Addr: operators, Handler: mux}).ListenAndServe() }()
	}
	fmt.Println(name, "listens on", listen)
	if identity != nil && name != "router" && name != "guichet" {
		server.TLSConfig = identity.Server(func(mtls.Peer) bool { return true })
		if err := server.ListenAndServeTLS("", ""); ctx.Err() == nil {
			return err
		}
		return nil
	}
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// supervise opens a town as `guichet town` does, to be killed -9.
func supervise() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cells, err := ParseCells("euw3")
	if err != nil {
		return err
	}
	t, err := Open(ctx, Options{Cells: cells, State: os.Getenv("STATE"), Instances: 1, Programs: os.Getenv("PROGRAMS"), Database: enginePostgres}, os.Stdout)
	if err != nil {
		return err
	}
	t.Wait(ctx)
	return t.Close()
}

// programs is a directory in which this test binary has every program's name.
func programs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"cell", "router", "control-plane", "guichet", "supervisor"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stateDir is one that the account of the databases can reach.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guichet-town-test-") //nolint:usetesting // t.TempDir lies in one that only we may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "state")
}

// until polls with a deadline.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !yes() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
