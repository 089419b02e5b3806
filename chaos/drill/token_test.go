package drill

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"guichet/cell/client"
	"guichet/chaos/world"
)

// holdsSecrets are files and folders of a town whose purpose is to hold secrets, and the
// payment provider's, which knows nothing of ours.
var holdsSecrets = []string{"credentials.json", "town.json", "control.json", "tls", "programs"}

// A whole purchase, with a ticket given on, a link opened and money given back: no log, no
// metric, no message on the bus and no ledger of any process holds a token that admits to
// anything, and neither does an address that a request was sent to.
func TestTokens_areNowhereButWithTheirHolders(t *testing.T) {
	w := sharedTown(t)
	e := stage(t, w, "apn1", unique("Secret"), 20, 0)
	c, ctx := attendee(t, w, world.Paris), t.Context()
	hold, _, err := c.CreateHold(ctx, e.ID, e.want(2), key("hold"))
	must(t, err)
	made, _, err := c.CreateOrder(ctx, orderOf(hold), key("order"))
	must(t, err)
	must(t, w.Confirm(ctx, made, world.CardVisa))
	order, err := paid(ctx, c, made.ID)
	must(t, err)
	tokens := []string{hold.AccessToken, made.AccessToken}
	for _, ticket := range order.Tickets {
		tokens = append(tokens, ticket.AccessToken)
	}
	if len(tokens) != 4 || slices.Contains(tokens, "") {
		t.Fatalf("tokens %q", tokens)
	}
	to := client.NewTransfer{To: client.Recipient{Name: "Bob", Email: "bob@example.org", Locale: "en"}}
	_, _, err = c.TransferTicket(ctx, order.Tickets[0].ID, to, key("give"))
	must(t, err)
	opened, err := world.HTTP.PostForm(credentials(t, w).Router+"/v1/open", url.Values{"token": {made.AccessToken}})
	must(t, err)
	_ = opened.Body.Close()
	if _, _, err = c.CancelOrder(ctx, order.ID, key("cancel")); err == nil { // its refusal is told in logs, too
		t.Error("a ticket was given to somebody else, and its money went back without a word of his")
	}
	for _, path := range []string{"/v1/orders/", "/v1/holds/", "/v1/tickets/"} { // refusals are told in logs
		_, _, err = c.As(made.AccessToken+"x").GetOrder(ctx, path)
		if err == nil {
			t.Error("a damaged token admits")
		}
	}

	places := map[string][]byte{}
	ledger, _, err := e.organizer.Ledger(ctx, e.ID)
	must(t, err)
	places["ledger"] = ledger
	for _, p := range credentials(t, w).Processes {
		if p.Private != "" {
			places["metrics of "+p.Name] = fetched(t, p.Private+"/metrics")
		}
	}
	must(t, filepath.WalkDir(w.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || slices.Contains(holdsSecrets, d.Name()) {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil // a file that has gone meanwhile
		}
		if d.Type().IsRegular() {
			if text, err := os.ReadFile(path); err == nil {
				places[strings.TrimPrefix(path, w.State)] = text
			}
		}
		return nil
	}))
	logs := 0
	for where, text := range places {
		if strings.HasPrefix(where, "/log/") && len(text) > 0 {
			logs++
		}
		for _, token := range tokens {
			proof := token[strings.LastIndexByte(token, '.')+1:] // without it the rest admits to nothing
			if bytes.Contains(text, []byte(proof)) {
				t.Errorf("%s holds the token %.8s…", where, token)
			}
		}
	}
	if logs < 5 || len(places) < 20 { // a search of nothing must not pass
		t.Errorf("looked at %d places, %d logs among them", len(places), logs)
	}
}

func fetched(t *testing.T, at string) []byte {
	t.Helper()
	resp, err := world.HTTP.Do(get(t, at))
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	must(t, err)
	return body
}

func get(t *testing.T, at string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	must(t, err)
	return r
}
