package load

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/chaos/experiment"
)

func crowd(t *testing.T, rate float64, answer http.HandlerFunc, radius experiment.BlastRadius) *Load {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	place := func(cell string) Place {
		return Place{Cell: cell, City: cell, Event: Sale{Event: "evt_" + cell, Type: "typ"}, Scarce: Sale{Event: "evt_few_" + cell, Type: "typ"}}
	}
	return New(Town{Router: server.URL, Sandbox: server.URL, Places: []Place{place("a"), place("b")}}, rate, 7, radius.Covers)
}

func stay(l *Load, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	l.Begin(ctx)
	<-ctx.Done()
	l.Wait()
}

// A slow answer keeps nobody from arriving, and no key is used by two people.
func TestCrowd_arrivesWhetherOrNotOthersWereAnswered(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys := map[string]int{}
	l := crowd(t, 50, func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			mu.Lock()
			keys[key]++
			mu.Unlock()
		}
		time.Sleep(200 * time.Millisecond)
		w.WriteHeader(http.StatusNotFound)
	}, experiment.BlastRadius{})
	stay(l, 400*time.Millisecond)
	records := l.Records()
	if len(records) < 15 {
		t.Errorf("only %d arrived in 0.4 s near two places, though each waits 0.2 s", len(records))
	}
	for _, r := range records {
		if r.Took < 200*time.Millisecond {
			t.Errorf("an answer after 0.2 s took %s", r.Took)
		}
	}
	for key, n := range keys {
		if n != 1 {
			t.Errorf("key %s was used %d times", key, n)
		}
	}
}

// The seed decides who comes and what he does.
func TestCrowd_isTheSameWithTheSameSeed(t *testing.T) {
	t.Parallel()
	seen := func() (all []string) {
		l := crowd(t, 40, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, experiment.BlastRadius{})
		stay(l, 300*time.Millisecond)
		for _, r := range l.Records() {
			if r.At < 200*time.Millisecond {
				all = append(all, r.At.String()+r.Near+r.Home+r.Action)
			}
		}
		slices.Sort(all)
		return all
	}
	if one, two := seen(), seen(); len(one) == 0 || !slices.Equal(one, two) {
		t.Errorf("%v\n%v", one, two)
	}
}

// What fails outside of the blast radius breaks P7; a lie and a refusal without a time to
// try again break P9.
func TestJudge_catchesWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		record Record
		p7, p9 string
	}{
		"well":                         {Record{At: 5 * time.Second, Home: "b", Action: "hold", OK: true}, Kept, Kept},
		"within the radius":            {Record{At: 5 * time.Second, Home: "a", Action: "hold", Code: "home_unavailable", Status: 503, Retry: true}, Unseen, Kept},
		"in another cell":              {Record{At: 5 * time.Second, Home: "b", Action: "hold", Code: "home_unavailable", Status: 503, Retry: true}, Broken, Kept},
		"something else in the cell":   {Record{At: 5 * time.Second, Home: "a", Action: "search", Code: "too_slow"}, Broken, Kept},
		"too early":                    {Record{At: time.Second, Home: "a", Action: "hold", Code: "too_slow"}, Broken, Kept},
		"too late":                     {Record{At: 11 * time.Second, Home: "a", Action: "hold", Code: "too_slow"}, Broken, Kept},
		"begun before the fault":       {Record{At: 3 * time.Second, Took: 2 * time.Second, Home: "a", Action: "hold", Code: "too_slow"}, Unseen, Kept},
		"sold out, as it may be":       {Record{At: 5 * time.Second, Home: "b", Action: "hold", SoldOut: true, Code: "sold_out", Status: 409}, Kept, Kept},
		"sold out, which is a lie":     {Record{At: 5 * time.Second, Home: "a", Action: "hold", Lie: true, Code: "sold_out", Status: 409}, Unseen, Broken},
		"no word of when to try again": {Record{At: 5 * time.Second, Home: "a", Action: "hold", Code: "home_unavailable", Status: 503}, Unseen, Broken},
		"no code":                      {Record{At: 5 * time.Second, Home: "a", Action: "hold", Code: "http_502", Status: 502}, Unseen, Broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := crowd(t, 1, func(http.ResponseWriter, *http.Request) {}, experiment.BlastRadius{Cells: []string{"a"}, Actions: []string{"hold"}})
			l.fault = [2]time.Duration{4 * time.Second, 10 * time.Second}
			l.note(c.record)
			got := l.Judge(t.Context(), []string{"P7", "P9", "P1"})
			if got[0].Result != c.p7 || got[1].Result != c.p9 || got[2].Result != Unseen {
				t.Errorf("%+v", got)
			}
			if (l.Harm() > 0) != (c.p7 == Broken) {
				t.Errorf("harm is %d", l.Harm())
			}
		})
	}
}

// Stock that was sold twice, an order that is gone and a key with two holds are found.
func TestJudge_asksTheTownAboutWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sold   int
		gone   string // path that answers 404
		doubly bool
		broken string
	}{
		"well":         {sold: 5},
		"oversold":     {sold: 6, broken: "P2"},
		"hold gone":    {sold: 5, gone: "/v1/holds/", broken: "P3"},
		"two of a key": {sold: 5, doubly: true, broken: "P5"},
		"unpaid, alas": {sold: 5, gone: "/v1/orders/", broken: "P3 P4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := crowd(t, 1, func(w http.ResponseWriter, r *http.Request) {
				id := "hld_1"
				if c.doubly && r.Method == http.MethodPost {
					id = "hld_2"
				}
				switch path := r.URL.Path; {
				case c.gone != "" && strings.HasPrefix(path, c.gone):
					w.WriteHeader(http.StatusNotFound)
				case strings.HasSuffix(path, "/stats"):
					_ = json.NewEncoder(w).Encode(map[string]any{"quotas": []map[string]any{{"size": 5, "sold": c.sold}}})
				case strings.HasPrefix(path, "/v1/orders/"):
					_ = json.NewEncoder(w).Encode(map[string]any{"id": "ord_1", "state": "paid", "tickets": []map[string]any{{"id": "tkt"}}})
				default:
					_ = json.NewEncoder(w).Encode(map[string]any{"id": id})
				}
			}, experiment.BlastRadius{})
			k := &kept{sale: l.town.Places[0].Event, key: "k", client: l.client(l.town.Places[0]), confirmed: true}
			k.hold.ID, k.order.ID = "hld_1", "ord_1"
			l.keep(k)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var broken []string
			for _, v := range l.Judge(ctx, []string{"P2", "P3", "P5", "P4"}) { // P4 waits until its time is up
				if v.Result == Broken {
					broken = append(broken, v.Promise)
				}
			}
			got := strings.Join(broken, " ")
			if got != c.broken {
				t.Errorf("broken: %q, want %q", got, c.broken)
			}
		})
	}
}
