package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/internal/operator"
	"guichet/internal/signed"
	"guichet/internal/testdb"
)

const patience = time.Minute

// A cell's bus is a file where a directory should be: as good as a disk that is
// broken, for whoever runs the cell. Selling is not the bus's business.
func TestCell_sellsWhileItsJetStreamStoreCannotBeOpened(t *testing.T) {
	state := t.TempDir()
	store := filepath.Join(state, "leaf")
	if err := os.WriteFile(store, []byte("not a directory"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	public, private := free(), free()
	pinned, err := signed.NewKey(operator.KeyID, make([]byte, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"GUICHET_CELL": "euw3", "GUICHET_REGION": "eu-west-3", "GUICHET_LISTEN": public, "GUICHET_PRIVATE_LISTEN": private, "GUICHET_DATABASE_URL": testdb.New(t, nil),
		"GUICHET_STATE_DIR": state, "GUICHET_LIMITS": "off", "GUICHET_CONTROL_KEY": signed.PublicText(pinned.Public()), "GUICHET_DRAIN_NOTICE": "1ms",
		"GUICHET_STRIPE_SECRET_KEY": "sk_test_drill", "GUICHET_STRIPE_PUBLISHABLE_KEY": "pk_test_drill", "GUICHET_STRIPE_WEBHOOK_SECRET": "whsec_drill",
		"GUICHET_STRIPE_URL": "http://127.0.0.1:1", "GUICHET_SIGNING_SEED": hex.EncodeToString(make([]byte, 32)), "GUICHET_ACCESS_SEED": strings.Repeat("a1", signed.SeedSize),
	}
	cfg, err := configure(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	h, err := open(ctx, cfg, prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("the cell does not start: %v", err)
	}
	h.bus.retry = 50 * time.Millisecond
	ended := make(chan error, 1)
	go func() { ended <- h.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		h.close()
	})

	if leaf := awaitReadiness(t, private, func(leaf string) bool { return leaf != "" }); !strings.Contains(leaf, "cannot be opened") {
		t.Errorf("readiness says of the leaf: %s", leaf)
	}
	res, err := http.Post("http://"+public+"/v1/organizers", "application/json", strings.NewReader(`{"home_region":"eu-west-3","name":"Pleyel"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests {
		t.Errorf("a call is answered %d: %s", res.StatusCode, text)
	}

	if err := os.Remove(store); err != nil {
		t.Fatal(err)
	}
	awaitReadiness(t, private, func(leaf string) bool { return leaf == "ok" })
}

// awaitReadiness waits until the process is ready and says of its leaf what is asked for.
func awaitReadiness(t *testing.T, private string, enough func(leaf string) bool) string {
	t.Helper()
	var said string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + private + "/readyz")
		if err != nil {
			continue
		}
		var out struct{ Checks map[string]string }
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		said = string(text)
		if json.Unmarshal(text, &out) == nil && res.StatusCode == http.StatusOK && enough(out.Checks["leaf"]) {
			return out.Checks["leaf"]
		}
	}
	t.Fatalf("readiness: %s", said)
	return ""
}
