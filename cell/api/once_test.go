package api_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// creations are all calls that need an Idempotency-Key, each with a body that
// works and one that is another request.
func (s *stage) creations(t *testing.T) map[string]struct {
	line        string
	body, other object
	opts        []with
} {
	t.Helper()
	type creation = struct {
		line        string
		body, other object
		opts        []with
	}
	hold, another := s.hold(t, s.guest, 1), s.hold(t, s.guest, 1)
	paid := s.paid(t, s.floor, 2)
	return map[string]creation{
		"organizer": {"POST /v1/organizers", object{"name": "A"}, object{"name": "B"}, []with{bearer(operatorToken)}},
		"event":     {"POST /v1/organizers/" + s.org.ID + "/events", object(concert()), concert().but(object{"name": "B"}), []with{s.bearer}},
		"hold":      {"POST " + s.path() + "/holds", items(s.floor, 1), items(s.floor, 2), nil},
		"order":     {"POST /v1/orders", object{"hold_id": hold.ID, "buyer": buyer()}, object{"hold_id": another.ID, "buyer": buyer()}, nil},
		"refund":    {"POST /v1/orders/" + paid.ID + "/refunds", object{"amount": eur(100)}, object{"amount": eur(200)}, []with{s.bearer}},
	}
}

func TestIdempotencyKey_isNeededAndMakesEveryCreationHappenOnce(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	for name, c := range s.creations(t) {
		before := s.rows(t)
		ask := func(body any, opts ...with) answer { return s.ask(t, c.line, body, append(opts, c.opts...)...) }
		ask(c.body, withoutKey).want(t, "400 idempotency_key_required")
		for _, bad := range []string{"", strings.Repeat("k", 256), "two words", "caf\u00e9", "tab\there", "\x7f"} {
			if a, err := s.send(t, c.line, c.body, append([]with{key(bad)}, c.opts...)...); err == nil { // Go's client refuses some itself
				a.want(t, "400 idempotency_key_invalid")
			}
		}
		ask(c.body, func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"one", "two"} }).want(t, "400 idempotency_key_invalid")
		if after := s.rows(t); after != before {
			t.Errorf("%s: refusals left\n%s\nwas\n%s", name, after, before)
		}

		long := strings.Repeat("~", 255)
		first := ask(c.body, key(long)).want(t, "201")
		made := s.rows(t)
		if first.header.Get("Idempotent-Replayed") != "" || made == before {
			t.Errorf("%s: nothing was made: %s", name, first.header)
		}
		again := ask(c.body, key(long)).want(t, "201")
		if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: repeated it answers %s %s, first %s", name, again.header, again.body, first.body)
		}
		if first.header.Get("ETag") != again.header.Get("ETag") {
			t.Errorf("%s: ETag %q, first %q", name, again.header.Get("ETag"), first.header.Get("ETag"))
		}
		ask(c.other, key(long)).want(t, "422 idempotency_key_reused")
		spaced := append(mustJSON(t, c.body), ' ')
		ask(spaced, key(long)).want(t, "422 idempotency_key_reused")
		if after := s.rows(t); after != made {
			t.Errorf("%s: repetitions left\n%s\nwas\n%s", name, after, made)
		}
	}
}

func TestIdempotencyKey_belongsToOneCallOfOneCaller(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	other := s.stage(t)
	first := s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), key("1")).want(t, "201")
	second := s.ask(t, "POST "+other.path()+"/holds", items(other.floor, 1), key("1")).want(t, "201")
	if string(first.body) == string(second.body) {
		t.Error("two events share a key")
	}
	// The query is part of the request.
	line := "POST /v1/organizers/" + s.org.ID + "/events"
	s.ask(t, line, object(concert()), s.bearer, key("1")).want(t, "201")
	s.ask(t, line+"?home_region=eu-west-3", object(concert()), s.bearer, key("1")).want(t, "422 idempotency_key_reused")
}

func TestRefusals_areNotRemembered(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	all := s.hold(t, s.both, 4)
	s.ask(t, "POST "+s.path()+"/holds", items(s.both, 2), key("k")).want(t, "409 sold_out")
	s.ask(t, "DELETE /v1/holds/"+all.ID, nil).want(t, "204")
	s.ask(t, "POST "+s.path()+"/holds", items(s.both, 2), key("k")).want(t, "201")
}

func TestOptionalKey_makesChangesHappenOnceWithTheirETag(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t, object{"publish": nil})
	for _, replayed := range []string{"", "true"} {
		a := s.ask(t, "POST "+s.path()+"/publish", nil, s.bearer, key("p")).want(t, "200")
		if a.header.Get("ETag") != `"2"` || a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("publish: ETag %q, Idempotent-Replayed %q", a.header.Get("ETag"), a.header.Get("Idempotent-Replayed"))
		}
	}
	for _, replayed := range []string{"", "true"} { // without the key the second were a 412
		a := s.ask(t, "PATCH "+s.path(), object{"name": "New"}, s.bearer, key("n"), ifMatch(`"2"`)).want(t, "200")
		if a.header.Get("ETag") != `"3"` || a.header.Get("Idempotent-Replayed") != replayed {
			t.Errorf("patch: ETag %q, Idempotent-Replayed %q", a.header.Get("ETag"), a.header.Get("Idempotent-Replayed"))
		}
	}
	s.ask(t, "PATCH "+s.path(), object{"name": "New"}, s.bearer, key("n"), ifMatch("*")).want(t, "422 idempotency_key_reused")
	hold := s.hold(t, s.floor, 1)
	first := read[client.Hold](t, s.ask(t, "POST /v1/holds/"+hold.ID+"/extend", nil, key("e")).want(t, "200"))
	second := read[client.Hold](t, s.ask(t, "POST /v1/holds/"+hold.ID+"/extend", nil, key("e")).want(t, "200"))
	if !first.ExpiresAt.Equal(second.ExpiresAt) {
		t.Errorf("extended again: %s, %s", first.ExpiresAt, second.ExpiresAt)
	}
}

// lock holds the event's row as a slow transaction would, until the returned
// function is called.
func (s *stage) lock(t *testing.T) (release func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := s.store.DB.Pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SET idle_in_transaction_session_timeout = 0", "BEGIN", "SELECT 1 FROM booking.event FOR UPDATE"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Conn().Close(ctx) // its settings are not the pool's
		conn.Release()
	}
}

// waiting says how many of this database's sessions wait for a lock.
func (s *stage) waiting(t *testing.T) int {
	t.Helper()
	var n int
	if err := s.owner.Pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *house) later(t *testing.T, line string, body any, opts ...with) <-chan answer {
	t.Helper()
	done := make(chan answer, 1)
	go func() {
		a, err := h.send(t, line, body, opts...)
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	return done
}

func TestTwin_ofARunningRequestIsToldToComeBack(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	line := "POST " + s.path() + "/holds"
	release := s.lock(t)
	first := s.later(t, line, items(s.floor, 1), key("twin"))
	eventually(t, "the first waits for the row", func() bool { return s.waiting(t) == 1 })
	a := s.ask(t, line, items(s.floor, 1), key("twin")).want(t, "409 in_flight")
	if a.header.Get("Retry-After") != "1" || a.member("retry_after") != "1" {
		t.Errorf("%s %s", a.header, a.body)
	}
	release()
	made := (<-first).want(t, "201")
	again := s.ask(t, line, items(s.floor, 1), key("twin")).want(t, "201")
	if string(again.body) != string(made.body) || s.count(t, "booking.hold") != 1 {
		t.Errorf("%s\n%s", made.body, again.body)
	}
}

func TestTwin_inAnotherProcessOfTheCellGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	dsn := testdb.New(t, migrate)
	s := openOn(t, dsn).stage(t)
	peer := openOn(t, dsn)
	line := "POST " + s.path() + "/holds"
	release := s.lock(t)
	first := s.later(t, line, items(s.floor, 1), key("twin"))
	eventually(t, "the first waits for the row", func() bool { return s.waiting(t) == 1 })
	second := peer.later(t, line, items(s.floor, 1), key("twin"))
	eventually(t, "the second waits for the first", func() bool { return s.waiting(t) == 2 })
	release()
	a, b := (<-first).want(t, "201"), (<-second).want(t, "201")
	if string(a.body) != string(b.body) || b.header.Get("Idempotent-Replayed") != "true" || s.count(t, "booking.hold") != 1 {
		t.Errorf("%s\n%s %s", a.body, b.header, b.body)
	}
}

func TestBusyRow_is429WithRetryAfterAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	before := s.rows(t)
	release := s.lock(t)
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1)).want(t, "429 busy") // checks Retry-After
	release()
	if after := s.rows(t); after != before {
		t.Errorf("left\n%s\nwas\n%s", after, before)
	}
}

// forgetful does a batch and then says that its commit was not answered, once for each
// that it is told to.
type forgetful struct {
	booking.Batcher
	forgets atomic.Int64
}

func (f *forgetful) Batch(ctx context.Context, ttl time.Duration, groups []*booking.Group) error {
	err := f.Batcher.Batch(ctx, ttl, groups)
	if err == nil && f.forgets.Add(-1) >= 0 {
		return sqldb.ErrOutcomeUnknown
	}
	return err
}

// What is asked without a key is not done twice either when a commit's answer was lost:
// whoever asked would be told of what he has himself as if it were somebody else's.
func TestIdempotencyKey_isNotNeededForACommitWhoseAnswerWasLost(t *testing.T) {
	t.Parallel()
	var desk *forgetful
	s := open(t, func(h *house) {
		desk = &forgetful{Batcher: h.server.Booking.Desks.Store}
		h.server.Booking.Desks.Store = desk
	}).seated(t)
	hold := s.hold(t, s.floor, 1)
	s.owned(t, "UPDATE booking.hold SET created_at = created_at - INTERVAL '40 minutes', expires_at = clock_timestamp() + INTERVAL '1 minute' WHERE hold_id = $1", hold.ID)
	for _, c := range []struct {
		line       string
		body       any
		want, says string
	}{
		{"POST /v1/holds/" + hold.ID + "/extend", nil, "200", `"state":"active"`},
		{"POST " + s.path() + "/seats/kills", object{"seat_ids": []string{"A-8"}, "killed": true}, "200", `"changed":1`},
		{"DELETE /v1/holds/" + hold.ID, nil, "204", ""},
	} {
		desk.forgets.Store(1)
		a := s.ask(t, c.line, c.body, by(c.line, s.bearer), withoutKey).want(t, c.want)
		if !strings.Contains(string(a.body), c.says) || desk.forgets.Load() >= 0 {
			t.Errorf("%s: %s; %d answers are not forgotten yet", c.line, a.body, desk.forgets.Load())
		}
	}
}
