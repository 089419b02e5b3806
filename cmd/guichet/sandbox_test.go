package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSandboxCommand_opensServesAndClosesAndKeepsItsState(t *testing.T) {
	state := t.TempDir()
	made := ""
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		out, in := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			err := sandboxCommand(ctx, []string{"--listen", "127.0.0.1:0", "--state", state, "--account", "euw3=http://127.0.0.1:9", "--account", "use1="}, in, io.Discard)
			ended <- errors.Join(err, in.Close())
		}()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err, <-ended)
		}
		base := strings.TrimSpace(strings.TrimPrefix(line, "payment sandbox: "))
		if made == "" {
			made = sandboxIntent(t, base)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/payment_intents", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if body := sandboxFetch(t, req); !strings.Contains(body, made) {
			t.Errorf("the payment is not there: %s", body)
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("closing: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("does not close")
		}
	}
}

func sandboxIntent(t *testing.T, base string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/payment_intents", strings.NewReader("amount=100&currency=eur"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	body := sandboxFetch(t, req)
	_, rest, ok := strings.Cut(body, `"id":"`)
	if !ok {
		t.Fatal(body)
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

func sandboxFetch(t *testing.T, req *http.Request) string {
	t.Helper()
	req.Header.Set("Authorization", "Bearer sk_test_sandbox_euw3")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", resp.StatusCode, b, err)
	}
	return string(b)
}

func TestSandboxCommand_saysWhatItDoesNotUnderstand(t *testing.T) {
	for name, args := range map[string][]string{
		"no account":              {"--state", t.TempDir()},
		"a cell that is not":      {"--state", t.TempDir(), "--account", "Paris=http://127.0.0.1"},
		"an address that is not":  {"--state", t.TempDir(), "--account", "euw3=127.0.0.1"},
		"twice":                   {"--state", t.TempDir(), "--account", "euw3=", "--account", "euw3="},
		"an argument":             {"--state", t.TempDir(), "--account", "euw3=", "please"},
		"a flag":                  {"--please"},
		"an address to listen on": {"--state", t.TempDir(), "--account", "euw3=", "--listen", "nowhere:x"},
	} {
		if err := sandboxCommand(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, err := parseAccount("euw3=http://127.0.0.1:8101")
	if err != nil || a.WebhookURL != "http://127.0.0.1:8101/v1/payments/stripe/webhook" || a.SecretKey != "sk_test_sandbox_euw3" {
		t.Errorf("%+v, %v", a, err)
	}
}
