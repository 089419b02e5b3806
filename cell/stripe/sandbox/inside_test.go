package sandbox

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTable_keepsTheYoungestInOrder(t *testing.T) {
	tab := newTable[int](3)
	for i := range 10 {
		tab.put(fmt.Sprint(i), i)
	}
	tab.put("8", 80) // a change does not make it younger
	var got []int
	tab.youngest(func(v int) bool { got = append(got, v); return true })
	if !slices.Equal(got, []int{9, 80, 7}) || len(tab.byID) != 3 {
		t.Fatalf("%v of %d", got, len(tab.byID))
	}
	if _, ok := tab.get("6"); ok {
		t.Error("the oldest is still there")
	}
}

func TestJournal_rewritingLosesNothingOfThoseWhoAppendMeanwhile(t *testing.T) {
	dir := t.TempDir()
	a := newAccount("euw3")
	j, err := openJournal(dir, func(change) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := j.rewrite(j.size, a.state(nil)); err != nil {
		t.Fatal(err)
	}
	j.enough = 1      // byte
	var mu sync.Mutex // what Sandbox.mu is
	var all sync.WaitGroup
	var rewritten atomic.Int64
	for w := range 8 {
		all.Go(func() {
			for i := range 50 {
				c := change{Account: "euw3", Refund: &refund{ID: fmt.Sprintf("re_%d_%d", w, i)}}
				mu.Lock()
				pos, err := j.append(c)
				a.apply(c)
				from, due := j.due()
				var state []change
				if due {
					state = a.state(nil)
				}
				mu.Unlock()
				if due && err == nil { // while others append
					rewritten.Add(1)
					err = j.rewrite(from, state)
				}
				if err == nil {
					err = j.wait(pos)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if rewritten.Load() == 0 {
		t.Error("it was never rewritten")
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.append(change{}); err == nil {
		t.Error("a closed journal takes lines")
	}
	again := newAccount("euw3")
	j, err = openJournal(dir, func(c change) error { again.apply(c); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(again.refunds.byID) != 400 {
		t.Errorf("%d of 400 are there", len(again.refunds.byID))
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournal_rewritingTakesTheLinesThatCameAfterTheState(t *testing.T) {
	dir := t.TempDir()
	j, err := openJournal(dir, func(change) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string, amount int64) {
		t.Helper()
		if _, err := j.append(change{Account: "euw3", Refund: &refund{ID: name, Amount: amount}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.rewrite(j.size, nil); err != nil {
		t.Fatal(err)
	}
	j.enough = 1 // byte
	put("before", 1)
	from, due := j.due()
	if _, twice := j.due(); !due || twice {
		t.Fatalf("due %t, and again while it is rewritten %t", due, twice)
	}
	put("before", 2)
	put("after", 3)
	if err := j.rewrite(from, []change{{Account: "euw3", Refund: &refund{ID: "before", Amount: 1}}}); err != nil {
		t.Fatal(err)
	}
	put("later", 4)
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	j, err = openJournal(dir, func(c change) error { got[c.Refund.ID] = c.Refund.Amount; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int64{"before": 2, "after": 3, "later": 4}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournal_thatCannotWriteStopsPromising(t *testing.T) {
	j, err := openJournal(t.TempDir(), func(change) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	for range 2 {
		if _, err := j.append(change{}); err == nil {
			t.Error("promised")
		}
	}
	if j.healthy() == nil || j.wait(1) == nil {
		t.Error("looks well")
	}
}

func TestClose_letsGoOfARequestThatAFaultKeepsWaiting(t *testing.T) {
	s, err := Open(Config{StateDir: t.TempDir(), Now: time.Now, Accounts: []Account{AccountOf("euw3", "")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetFaults("euw3", Faults{LatencyMS: 60_000}); err != nil {
		t.Fatal(err)
	}
	answered := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/payment_intents", strings.NewReader("amount=100&currency=eur"))
		r.Header.Set("Authorization", "Bearer sk_test_sandbox_euw3")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Idempotency-Key", "k")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		answered <- w
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for inside := false; !inside; {
		select {
		case <-tick.C:
			s.mu.Lock()
			inside = len(s.busy) == 1
			s.mu.Unlock()
		case <-deadline:
			t.Fatal("the request does not arrive")
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case w := <-answered:
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	case <-deadline:
		t.Fatal("still waiting")
	}
}

func TestRandom_hasNoRepeats(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID("pi")
		if len(id) != 27 || seen[id] {
			t.Fatalf("%s", id)
		}
		seen[id] = true
	}
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{
		"", "amount=4250&currency=eur&metadata[order_id]=1&expand[]=latest_charge", "metadata[a][b]=1&metadata=x&metadata[]=y&metadata[", "amount=%zz",
		"payment_method_types[0]=card&payment_method_types[1]=card&payment_method_types=card", "a;b=c", "%ff=%fe", "amount=1&amount=2",
		"amount=-9223372036854775808&currency=isk", strings.Repeat("a=&", 500), "payment_method_data[card][number]=4242", "currency=EUR&amount=+1",
		"confirm=true&payment_method=pm_card_visa&amount=100&currency=eur&return_url=https://a.example", "cursor=\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, fail := parseParams(raw)
		if fail != nil {
			if fail.status != 400 {
				t.Fatalf("%d", fail.status)
			}
			return
		}
		again, fail := parseParams(p.canonical())
		if fail != nil || again.canonical() != p.canonical() {
			t.Fatalf("%q is not stable", raw)
		}
		a, c := newAccount("euw3"), call{now: 1, id: "pi_1", path: "/v1/payment_intents", base: "http://x"}
		for name, d := range map[string]decide{"create": createIntent, "refund": createRefund, "list": listIntents, "events": listEvents, "get": getIntent} {
			out := d(a, c, p)
			if out.fail == nil && out.body == nil || out.fail != nil && (out.fail.status < 400 || out.fail.status > 413) {
				t.Fatalf("%s: %+v", name, out)
			}
			if in := out.change.Intent; in != nil && (in.Amount < 1 || in.Amount > maxAmount || len(in.Metadata) > maxMetadata) {
				t.Fatalf("accepted %+v", in)
			}
		}
	})
}

func FuzzReadJournal(f *testing.F) {
	const head = `{"header":{"format":"guichet-payment-sandbox","version":1}}` + "\n"
	for _, s := range []string{"", head, head + `{"account":"euw3","intent":{"id":"pi_1"}}` + "\n", head + `{"account":"euw3"`, "{}\n", "\n\n", head + "\x00\x00\n", head + "null\nnull\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAccount("euw3")
		good, err := readJournal(bytes.NewReader(b), func(c change) error { a.apply(c); return nil })
		if good < 0 || good > int64(len(b)) || good > 0 && b[good-1] != '\n' {
			t.Fatalf("offset %d of %d", good, len(b))
		}
		if err != nil {
			return
		}
		// What is kept reads again without loss.
		again, err := readJournal(bytes.NewReader(b[:good]), func(change) error { return nil })
		if err != nil || again != good {
			t.Fatalf("%d, then %d: %v", good, again, err)
		}
	})
}
