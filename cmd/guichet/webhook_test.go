package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
)

// openCells is a router that knows two cells: euw3 has three notices on two pages,
// one of which fails; use1 has none.
func openCells(t *testing.T) (credentials string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in client.NewReplay
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/v1/payments/notices/replay" || r.Header.Get("Authorization") != "Bearer op" {
			t.Errorf("%s %v %+v", r.URL.Path, err, in)
		}
		page := func(next string, items ...client.Replayed) {
			var cursor *string
			if next != "" {
				cursor = &next
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "next_cursor": cursor})
		}
		a, b := client.Replayed{ID: "evt_a", Type: "charge.updated", Was: "ignored", Became: "ignored"}, client.Replayed{ID: "evt_b", Type: "payment_intent.succeeded", Was: "waiting", Became: "done"}
		switch cell := r.URL.Query().Get("cell"); {
		case cell == "euw3" && in.Since != nil:
			page("next", a, b)
		case cell == "euw3" && in.Cursor == "next":
			page("", client.Replayed{ID: "evt_c", Type: "payment_intent.succeeded", Was: "waiting", Error: "moved"})
		case cell == "euw3" && in.ID == "evt_b":
			page("", b)
		case in.ID != "":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"notice_not_found","status":404,"title":"Not Found","type":"x"}`)
		default:
			page("")
		}
	}))
	t.Cleanup(s.Close)
	credentials = filepath.Join(t.TempDir(), "credentials.json")
	text, err := json.Marshal(town.Credentials{RouterOperator: s.URL, OperatorToken: "op", Processes: []town.Process{{Name: "router"}, {Name: "cell-euw3", Cell: "euw3"}, {Name: "cell-euw3-2", Cell: "euw3"}, {Name: "cell-use1", Cell: "use1"}}})
	if err == nil {
		err = os.WriteFile(credentials, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func TestWebhookReplay_asksEveryCellAndSaysWhatBecameOfEachNotice(t *testing.T) {
	t.Parallel()
	where := openCells(t)
	replay := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := webhookCommand(t.Context(), append([]string{"replay", "--credentials", where}, args...), &out, io.Discard)
		return out.String(), err
	}
	out, err := replay("--since", "24h")
	if err == nil || !strings.Contains(out, "evt_a") || !strings.Contains(out, "was waiting, is done") || !strings.Contains(out, "failed: moved") || !strings.HasSuffix(out, "3 notices, 1 failed\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = replay("--id", "evt_b"); err != nil || !strings.HasSuffix(out, "1 notices, 0 failed\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = replay("--id", "evt_none"); err == nil {
		t.Errorf("of nothing: %s", out)
	}
	if out, err = replay("--since", "1h", "--cell", "use1"); err != nil || out != "0 notices, 0 failed\n" {
		t.Errorf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{}, {"--id", "evt_a", "--since", "1h"}, {"--since", "yesterday"}, {"--since", "-1h"}, {"more", "--id", "x"}} {
		if _, err := replay(args...); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
	now := time.Unix(1_790_000_000, 0).UTC()
	if at, err := timeOrAge("2026-09-21T12:00:00Z", now); err != nil || fmt.Sprint(at) != "2026-09-21 12:00:00 +0000 UTC" {
		t.Errorf("%v, %v", at, err)
	}
}
