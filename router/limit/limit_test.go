package limit_test

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/client/class"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/router/limit"
)

var start = time.Unix(1_790_000_000, 0)

// Each limit is reached at its number and not before, says when to come back, keeps
// its word then, and is nobody else's and no other class's.
func TestTake_reachesEachLimitAndRecovers(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Defaults, prometheus.NewRegistry())
	one, other := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	for _, n := range limit.Defaults {
		for i := range n.PerMinute {
			if err := l.Take(n.Class, one, start); err != nil {
				t.Fatalf("%s was refused at %d of %d", n.Class, i, n.PerMinute)
			}
		}
		err := kind.As(l.Take(n.Class, one, start))
		if err == nil || err.Code != "too_many_requests" || err.Kind != kind.Busy || err.Retry < time.Second || err.Fields["class"] != string(n.Class) {
			t.Fatalf("%s beyond its limit: %v", n.Class, err)
		}
		if l.Take(n.Class, other, start) != nil {
			t.Errorf("%s of one address limits another", n.Class)
		}
		if l.Take(n.Class, one, start.Add(err.Retry)) != nil {
			t.Errorf("%s is refused after %s, when it was told to come back", n.Class, err.Retry)
		}
	}
	for _, c := range []class.Class{class.Health, class.Webhook} {
		for range 20_000 {
			if err := l.Take(c, one, start); err != nil {
				t.Fatalf("%s is limited: %v", c, err)
			}
		}
	}
}

func TestTake_knowsAHouseholdAndASiteOfIPv6(t *testing.T) {
	t.Parallel()
	l := limit.New([]limit.Named{{Class: class.Mail, PerMinute: 2}}, prometheus.NewRegistry())
	take := func(address string) bool { return l.Take(class.Mail, netip.MustParseAddr(address), start) == nil }
	if !take("2001:db8:1:2::1") || !take("2001:db8:1:2::2") || take("2001:db8:1:2:ffff::3") {
		t.Error("a /64 is not one household")
	}
	passed := 0
	for i := range 100 { // one who has a /48 takes a new /64 each time
		if take("2001:db8:1:" + strconv.FormatInt(int64(0x1000+i), 16) + "::1") {
			passed++
		}
	}
	if passed != 2*limit.SiteFactor-2 {
		t.Errorf("%d of a /48 passed, want its %d", passed, 2*limit.SiteFactor-2)
	}
	if !take("2001:db8:2::1") || !take("::ffff:203.0.113.7") || !take("203.0.113.7") || take("203.0.113.7") {
		t.Error("another site is limited, or an address has two spellings")
	}
}

// A million addresses take the memory of Keys of them, and nobody's request slower.
func TestTake_ofAMillionAddressesKeepsItsMemory(t *testing.T) { //nolint:paralleltest // it measures the heap
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	l := limit.New([]limit.Named{{Class: class.Hold, PerMinute: 10}}, prometheus.NewRegistry())
	before := heap()
	var b [16]byte
	for i := range uint32(1_000_000) {
		binary.BigEndian.PutUint32(b[0:], 0x2001_0000|i>>16)
		binary.BigEndian.PutUint32(b[4:], i<<16)
		if err := l.Take(class.Hold, netip.AddrFrom16(b), start); err != nil {
			t.Fatal(err)
		}
	}
	grown := heap() - before
	const most = 20 << 20
	if grown > most {
		t.Errorf("a million addresses take %d bytes, at most %d were set aside", grown, most)
	}
	runtime.KeepAlive(l)
}

type asked struct {
	status int
	retry  string
	code   string
}

func door(t *testing.T, g *limit.Gate) func(method, path string) asked {
	t.Helper()
	g.Refuse = httpd.Problem
	g.Client = func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.7") }
	g.Now = func() time.Time { return start }
	g.Next = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return func(method, path string) asked {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		var doc struct{ Code string }
		_ = json.Unmarshal(w.Body.Bytes(), &doc)
		return asked{w.Code, w.Header().Get("Retry-After"), doc.Code}
	}
}

func TestGate_refusesWithAProblemAndWhenToComeBack(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	ask := door(t, &limit.Gate{Limits: limit.New([]limit.Named{{Class: class.Event, PerMinute: 3}}, reg)})
	for range 3 {
		if got := ask("GET", "/v1/events/evt_x"); got.status != 204 {
			t.Fatalf("%+v", got)
		}
	}
	if got := ask("GET", "/v1/events/evt_y"); got != (asked{429, "20", "too_many_requests"}) {
		t.Errorf("%+v", got)
	}
	told, err := reg.Gather()
	if err != nil || len(told) != 2 {
		t.Fatalf("%d metrics, %v", len(told), err)
	}
	if addresses, refused := told[0].GetMetric()[0], told[1].GetMetric()[0]; addresses.GetGauge().GetValue() != 1 || refused.GetCounter().GetValue() != 1 || refused.GetLabel()[0].GetValue() != "event" {
		t.Errorf("%s and %s", addresses, refused)
	}
	if got := ask("GET", "/v1/events"); got.status != 204 {
		t.Errorf("another class: %+v", got)
	}
}

func TestGate_knowsNoOperatorsCalls(t *testing.T) {
	t.Parallel()
	ask := door(t, &limit.Gate{})
	for _, call := range [][2]string{
		{"GET", "/v1/sagas"}, {"GET", "/v1/sagas/"}, {"POST", "/v1/sagas/x/retry"}, {"POST", "/v1/payments/notices/replay"}, {"POST", "/v1/organizers"}, {"GET", "/metrics"}, {"GET", "/%6detrics"}, {"GET", "//metrics"},
	} {
		if got := ask(call[0], call[1]); got.status != 404 || got.code != "no_such_path" {
			t.Errorf("%s %s: %+v", call[0], call[1], got)
		}
	}
	if got := ask("GET", "/v1/organizers/org_x/events"); got.status != 204 {
		t.Errorf("an organizer's own call: %+v", got)
	}
}
