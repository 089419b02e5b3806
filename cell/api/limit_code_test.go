package api_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/cell/api"
	"guichet/internal/limit"
)

// guarded is a stage with a code of each kind, whose clock a test moves.
func guarded(t *testing.T, l api.Limits) (s *stage, pass func(time.Duration)) {
	t.Helper()
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	l.Trusted = router
	s = open(t, func(h *house) {
		h.server.Limits, h.server.Now = l, func() time.Time { return time.Unix(0, now.Load()) }
	}).stage(t)
	s.ask(t, "PUT "+s.path()+"/codes/door", object{"kind": "access", "ticket_types": []string{s.floor}}, s.bearer).want(t, "200")
	s.ask(t, "PUT "+s.path()+"/codes/half", object{"kind": "promo", "basis_points": 5000}, s.bearer).want(t, "200")
	return s, func(d time.Duration) { now.Add(int64(d)) }
}

func (s *stage) tryCode(t *testing.T, code, address string) answer {
	t.Helper()
	return s.ask(t, "GET "+s.path()+"?access_code="+code, nil, from(address))
}

func (s *stage) holdWith(t *testing.T, promo, address string) answer {
	t.Helper()
	want := items(s.floor, 1)
	want["promo_code"] = promo
	return s.ask(t, "POST "+s.path()+"/holds", want, from(address))
}

func TestCodes_areNotGuessedFromOneAddress(t *testing.T) {
	t.Parallel()
	s, pass := guarded(t, api.Limits{Codes: limit.Rate{PerMinute: 4, Burst: 4}})
	const guesser, crowd = "203.0.113.7", "203.0.113.8"
	for i := range 30 { // right codes cost nothing, however many
		s.tryCode(t, "door", crowd).want(t, "200")
		if i%6 == 0 {
			s.holdWith(t, "half", crowd).want(t, "201")
		}
	}
	s.tryCode(t, "w1", guesser).want(t, "422 unknown_access_code")
	s.tryCode(t, "half", guesser).want(t, "422 unknown_access_code /access_code") // a promo code opens nothing
	s.holdWith(t, "w2", guesser).want(t, "422 unknown_promo_code /promo_code")
	s.tryCode(t, "w3", guesser).want(t, "422 unknown_access_code")
	for _, a := range []answer{s.tryCode(t, "w4", guesser), s.tryCode(t, "door", guesser), s.holdWith(t, "half", guesser)} { // and nothing says which was right
		a.want(t, "429 too_many_requests")
		if a.header.Get("Retry-After") != "15" || a.member("limit_of") != `"address"` {
			t.Errorf("Retry-After %s: %s", a.header.Get("Retry-After"), a.body)
		}
	}
	s.ask(t, "GET "+s.path(), nil, from(guesser)).want(t, "200")
	s.ask(t, "POST "+s.path()+"/holds", items(s.floor, 1), from(guesser)).want(t, "201")
	s.tryCode(t, "door", crowd).want(t, "200")
	pass(15 * time.Second)
	s.tryCode(t, "door", guesser).want(t, "200")
	s.tryCode(t, "w5", guesser).want(t, "422 unknown_access_code")
	s.tryCode(t, "door", guesser).want(t, "429 too_many_requests")
}

// Who sends many guesses at once, before the first of them is charged, owes them all.
func TestCodes_areNotGuessedAllAtOnce(t *testing.T) {
	t.Parallel()
	s, pass := guarded(t, api.Limits{Codes: limit.Rate{PerMinute: 4, Burst: 4}})
	var wrong atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if s.tryCode(t, "w"+strconv.Itoa(i), "203.0.113.7").status == 422 {
				wrong.Add(1)
			}
		})
	}
	all.Wait()
	owed := time.Duration(wrong.Load()-4+1) * 15 * time.Second
	pass(owed - time.Second)
	s.tryCode(t, "door", "203.0.113.7").want(t, "429 too_many_requests")
	pass(2 * time.Second)
	s.tryCode(t, "door", "203.0.113.7").want(t, "200")
}

// From many addresses an event's codes are guessed no faster than the event allows,
// while who has one and did not mistype gets in.
func TestCodes_areNotGuessedFromManyAddresses(t *testing.T) {
	t.Parallel()
	s, pass := guarded(t, api.Limits{Codes: limit.Rate{PerMinute: 4, Burst: 4}, EventCodes: limit.Rate{PerMinute: 6, Burst: 6}})
	bot := func(n int) string { return "198.51.100." + strconv.Itoa(n) }
	for n := range 6 {
		s.tryCode(t, "w"+strconv.Itoa(n), bot(n)).want(t, "422 unknown_access_code")
	}
	for n := range 6 {
		if a := s.tryCode(t, "door", bot(n)).want(t, "429 too_many_requests"); a.member("limit_of") != `"event"` {
			t.Errorf("%s", a.body)
		}
	}
	s.tryCode(t, "door", "203.0.113.9").want(t, "200")
	s.tryCode(t, "door", "203.0.113.9").want(t, "200")
	pass(time.Minute)
	s.tryCode(t, "door", bot(1)).want(t, "200")
}
