package api_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/cell/id"
)

// TestSchemathesis_findsNothingReal lets Schemathesis (github.com/schemathesis/schemathesis)
// try every call of openapi.json, with all its checks, at one cell. .ci/run installs the
// pinned version and says where it is; without that the test is skipped aloud.
func TestSchemathesis_findsNothingReal(t *testing.T) {
	program := os.Getenv("GUICHET_SCHEMATHESIS")
	if program == "" {
		t.Skip("GUICHET_SCHEMATHESIS does not say where the schemathesis command is: .ci/schemathesis installs it and runs this")
	}
	s := open(t, func(h *house) {
		h.server.People, h.server.SignIn = &doorkeeper{signer: accessKey(t, here)}, client.SignInPlace{Issuer: "https://id.example.org", ClientID: "guichet-cli"}
	}).stage(t)
	bought, hold := s.paid(t, s.guest, 2), s.hold(t, s.guest, 1)
	order, err := id.ParseOrder(bought.ID)
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := id.ParseTicket(bought.Tickets[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	keys, now := s.server.Access, time.Now()
	ids := map[string]string{
		"event_id": s.event.ID, "organizer_id": s.org.ID, "quota_id": s.event.Quotas[0].ID, "ticket_type_id": s.floor, "hold_id": hold.ID, "order_id": bought.ID, "ticket_id": bought.Tickets[0].ID,
		"series_id": "ser_euw3_k3v9x2m4q7rt", "allocation_id": "alc" + s.event.Quotas[0].ID[3:], "member_id": "mbr" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v",
		"key_id": "key" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v", "invitation_id": "inv" + s.org.ID[3:] + "_8h2kd0q1w5zz9c6v",
	}
	tokens := map[string]string{
		"hold": hold.AccessToken, "order": keys.OrderToken(order, 0, now), "ticket": keys.TicketToken(ticket, 0, now), "link": keys.FindToken(strings.Repeat("ab", 32), now.Add(time.Hour)),
		"organizer": s.org.APIKey, "operator": operatorToken, "person": keys.Person(access.Person{Issuer: "i", Subject: "1", Session: "s", Expires: now.Add(time.Hour)}, now),
	}
	dir := t.TempDir()
	var config strings.Builder
	_, _ = config.WriteString(schemathesisRules)
	for scheme, token := range tokens {
		_, _ = config.WriteString("[auth.openapi." + scheme + "]\nbearer = \"" + token + "\"\n")
	}
	_, _ = config.WriteString("[parameters]\n")
	for name, value := range ids {
		_, _ = config.WriteString("\"path." + name + "\" = \"" + value + "\"\n")
	}
	// What a call ends is not what the others are tried at.
	other, spare := s.house.stage(t), s.paid(t, s.guest, 1)
	gone, err := id.ParseOrder(spare.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(&config, "[[operations]]\ninclude-path = %q\nparameters = { \"path.event_id\" = %q }\nheaders = { Authorization = %q }\n", "/v1/events/{event_id}/cancel", other.event.ID, "Bearer "+other.org.APIKey)
	for _, path := range []string{"/v1/orders/{order_id}/access", "/v1/orders/{order_id}/cancel"} {
		_, _ = fmt.Fprintf(&config, "[[operations]]\ninclude-path = %q\nparameters = { \"path.order_id\" = %q }\nheaders = { Authorization = %q }\n", path, spare.ID, "Bearer "+keys.OrderToken(gone, 0, now))
	}
	// Nobody made what these ids name: that it is not there after its organizer was made is no finding.
	_, _ = config.WriteString("[[operations]]\ninclude-path-regex = \"(series|allocation|member|key|invitation)_id\"\nchecks = { ensure_resource_availability = { enabled = false } }\n")
	file := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	hooks := filepath.Join(dir, "guichet_hooks.py")
	if err := os.WriteFile(hooks, []byte(schemathesisHooks), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, program, "--config-file", file, "run", s.url+"/openapi.json", "--no-color", "--report=junit", "--report-dir="+dir)
	run.Dir, run.Env = dir, append(os.Environ(), "SCHEMATHESIS_HOOKS=guichet_hooks.py", "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("schemathesis: %v", err)
	}
	if tried := regexp.MustCompile(`Tested: (\d+)`).FindSubmatch(out); tried == nil || len(tried[1]) < 2 {
		t.Error("it did not say what it tried, or tried next to nothing")
	}
}

// schemathesisRules bound the run and say which refusals are no findings. Rules that no
// schema can tell (a time in the past, a currency that cannot be charged, an address that
// is none) are 400 with a code of their own; the hook looks at which. A malformed If-Match
// is an ETag that does not match, 412, and one that is missing 428 (RFC 6585).
const schemathesisRules = `
seed = 14
max-failures = 60
suppress-health-check = ["all"]
request-timeout = 15.0
workers = 1

[generation]
max-examples = 12
deterministic = true
allow-x00 = false
with-security-parameters = false

[phases.stateful]
generation.max-examples = 3

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "303", "304", "400", "401", "403", "404", "409", "412", "413", "421", "422", "429", "503"]

[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "412", "415", "422", "428", "429"]

[checks.missing_required_header]
expected-statuses = ["400", "401", "403", "404", "422", "428"]

`

// schemathesisHooks hold that what fits the schema is never refused as malformed.
const schemathesisHooks = `
import schemathesis

MALFORMED = {"missing_field", "invalid_field", "unknown_field", "invalid_json", "unexpected_body", "unknown_parameter",
             "idempotency_key_required", "idempotency_key_invalid", "unsupported_media_type"}


@schemathesis.check
def what_fits_is_not_malformed(ctx, response, case):
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if not positive or response.status_code not in (400, 415):
        return
    problem = response.json()
    if "must be an integer" in problem.get("detail", ""):
        return  # 262.0 is an integer to a schema; here integers are written without a fraction
    if problem.get("code") in MALFORMED:
        raise AssertionError("it fits the schema and is refused as malformed: " + response.text[:300])
`
