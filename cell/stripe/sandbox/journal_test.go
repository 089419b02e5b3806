package sandbox_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"guichet/cell/stripe/sandbox"
)

func TestRestart_keepsEverythingThatWasAnswered(t *testing.T) {
	h := open(t, "")
	paid := h.paid()
	h.must(h.ask("POST", "/v1/refunds", secret, "amount=250&payment_intent="+paid.text("id"), "Idempotency-Key", "back"), 200)
	declined := h.create("")
	h.must(h.confirm(declined.text("id"), "pm_card_chargeDeclinedExpiredCard"), 402)
	canceled := h.create("")
	h.must(h.ask("POST", "/v1/payment_intents/"+canceled.text("id")+"/cancel", secret, ""), 200)
	asked := h.create("")
	h.must(h.confirm(asked.text("id"), "pm_card_authenticationRequired"), 200)
	paths := []string{
		"/v1/payment_intents?limit=100", "/v1/events?limit=100", "/v1/refunds?limit=100", "/v1/charges/" + paid.text("latest_charge"),
		"/v1/payment_intents/" + declined.text("id"),
	}
	var before []string
	for _, p := range paths {
		before = append(before, h.ask("GET", p, secret, "").raw)
	}
	h.restart()
	h.restart() // what the rewritten journal says is the same again
	for i, p := range paths {
		if got := h.ask("GET", p, secret, "").raw; got != before[i] {
			t.Errorf("%s was\n%s\nis\n%s", p, before[i], got)
		}
	}
	r := h.must(h.ask("POST", "/v1/refunds", secret, "amount=250&payment_intent="+paid.text("id"), "Idempotency-Key", "back"), 200)
	if r.header.Get("Idempotent-Replayed") != "true" {
		t.Error("an idempotency key was forgotten")
	}
	page := h.get("/v1/payment_intents/" + asked.text("id")).text("next_action.redirect_to_url.url")
	if i := strings.Index(page, "/sandbox/"); i < 0 {
		t.Fatalf("no page: %s", page)
	} else {
		h.must(h.ask("POST", page[i:], "", "answer=approve"), 200)
	}
	if got := h.get("/v1/payment_intents/" + asked.text("id")).text("status"); got != "succeeded" {
		t.Errorf("authentication over a restart: %s", got)
	}
}

// A process that is killed leaves a line half written; nobody was answered for it.
func TestJournal_dropsATornLastLineWhereverItTears(t *testing.T) {
	h := open(t, "")
	kept := h.create("").text("id")
	path := filepath.Join(h.config.StateDir, "journal.jsonl")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.must(h.confirm(kept, "pm_card_visa"), 200)
	h.stop()
	torn, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(torn) <= len(whole) || !bytes.HasPrefix(torn, whole) {
		t.Fatal("the journal was not appended to")
	}
	step := max(1, (len(torn)-len(whole))/25)
	for end := len(whole); end < len(torn); end += step {
		for _, tail := range []string{"", "\x00\x00\x00\x00"} {
			if err := os.WriteFile(path, append(bytes.Clone(torn[:end]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			h.start()
			if got := h.get("/v1/payment_intents/" + kept).text("status"); got != "requires_payment_method" {
				t.Fatalf("torn at %d: %s", end, got)
			}
			h.must(h.confirm(kept, "pm_card_visa"), 200)
			h.restart()
			if got := h.get("/v1/payment_intents/" + kept).text("status"); got != "succeeded" {
				t.Fatalf("after the tear at %d: %s", end, got)
			}
			h.stop()
		}
	}
	h.start()
}

func TestJournal_thatIsDamagedInTheMiddleIsNotGuessedAt(t *testing.T) {
	h := open(t, "")
	h.paid()
	h.stop()
	path := filepath.Join(h.config.StateDir, "journal.jsonl")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	lines[1] = append([]byte("x"), lines[1]...)
	for name, content := range map[string][]byte{
		"damaged": bytes.Join(lines, nil), "another file": []byte("{\"a\":1}\n{\"b\":2}\n"),
		"a newer version": []byte(`{"header":{"format":"guichet-payment-sandbox","version":99}}` + "\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sandbox.Open(h.config); err == nil {
			t.Errorf("%s: opened", name)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was touched (%v)", name, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	h.start()
}

func TestOpen_refusesASecondSandboxOnTheSameJournalAndFaultyConfigs(t *testing.T) {
	h := open(t, "")
	if _, err := sandbox.Open(h.config); err == nil || !strings.Contains(err.Error(), "another sandbox") {
		t.Errorf("a second one: %v", err)
	}
	twice := sandbox.Config{Deliveries: 21, Accounts: []sandbox.Account{
		sandbox.AccountOf("euw3", "not an address"), sandbox.AccountOf("euw3", ""), {Cell: "use1"},
	}}
	_, err := sandbox.Open(twice)
	if err == nil {
		t.Fatal("opened")
	}
	for _, want := range []string{"state directory", "not an address", "twice", "no clock", `"use1" needs`, "21 deliveries"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in: %v", want, err)
		}
	}
}

func TestJournal_keepsACellThatIsNotConfiguredToday(t *testing.T) {
	h := open(t, "")
	id := h.paid().text("id")
	all := h.config.Accounts
	h.stop()
	h.config.Accounts = all[1:]
	h.start()
	if r := h.ask("GET", "/v1/payment_intents/"+id, secret, ""); r.status != 401 {
		t.Errorf("a key that is not configured: %d", r.status)
	}
	h.stop()
	h.config.Accounts = all
	h.start()
	if h.get("/v1/payment_intents/"+id).text("status") != "succeeded" {
		t.Error("the cell's payments are gone")
	}
}

func TestJournal_isOneJSONObjectALine(t *testing.T) {
	h := open(t, "")
	h.paid()
	b, err := os.ReadFile(filepath.Join(h.config.StateDir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if !json.Valid(line) {
			t.Errorf("%s", line)
		}
	}
	info, err := os.Stat(filepath.Join(h.config.StateDir, "journal.jsonl"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: client secrets are for the owner", info.Mode(), err)
	}
}
