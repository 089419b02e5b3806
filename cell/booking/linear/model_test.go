package linear

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// act is what a client asks for.
type act string

const (
	actHold    act = "hold"
	actExtend  act = "extend"
	actRelease act = "release"
	actConvert act = "convert"
	actSweep   act = "sweep"
	actRead    act = "read"
	actLook    act = "look"
	actOrder   act = "order" // over HTTP: tickets that are free are sold at once
)

// Verdicts beside the codes of refusals.
const (
	ok      = "ok"
	refused = "refused" // by a constraint of the database: it did not happen, and the history is silent about it
	unknown = "unknown" // cut off, or the outcome was lost: it may have happened, now or later, or never
)

// never is the moment after everything; all moments are nanoseconds of Unix time.
const never = int64(1) << 62

// slack is how far the clocks of the test and of the database, which stand on one
// machine, may be apart.
const slack = int64(2e6)

// asked is one attempt of one client.
type asked struct {
	act  act
	key  string // of a hold or an extension
	hold string
	n    int64
	call int64
}

// told is what came of it.
type told struct {
	verdict    string
	ret        int64
	hold       seen   // of ok: what was shown
	held, sold int64  // of a read
	left       int64  // of sold_out to a hold; -1 when it was not looked at
	maybe      []seen // of unknown: what the desk had agreed to; each may have been committed
	sweeps     bool   // of unknown: it was refused at least once, which may have swept
}

// seen is a hold as it was shown.
type seen struct {
	id               string
	state            string
	created, expires int64
}

// hold is a hold of the model.
type hold struct {
	id      string
	n       int64
	state   string
	expires int64
}

// state is the whole box office of one event: a quota, its holds, the answers by
// key, and the latest moment at which something was decided. The database's clock
// is read behind the event's lock, so it never goes back from one decision to the next.
type state struct {
	sweeper bool // the processes sweep by themselves, whenever they like
	size    int64
	ttl     int64
	now     int64
	holds   []hold   // in the order of their making
	keys    []answer // likewise
}

type answer struct {
	key string
	seen
}

func (s state) held() (n int64) {
	for _, h := range s.holds {
		if h.state == "active" {
			n += h.n
		}
	}
	return n
}

func (s state) sold() (n int64) {
	for _, h := range s.holds {
		if h.state == "converted" {
			n += h.n
		}
	}
	return n
}

func (s state) free() int64 { return s.size - s.held() - s.sold() }

func (s state) find(id string) (int, bool) {
	i := slices.IndexFunc(s.holds, func(h hold) bool { return h.id == id })
	return i, i >= 0
}

func (s state) answered(key string) (seen, bool) {
	for _, a := range s.keys {
		if a.key == key {
			return a.seen, true
		}
	}
	return seen{}, false
}

// set is a copy of the state with one hold changed.
func (s state) set(i int, change func(h *hold)) state {
	s.holds = slices.Clone(s.holds)
	change(&s.holds[i])
	return s
}

// at is a copy of the state when it is that late.
func (s state) at(moment int64) state {
	s.now = max(s.now, moment)
	return s
}

// swept is a copy of the state in which everything due at the moment has expired.
func (s state) swept(moment int64) state {
	s = s.at(moment)
	s.holds = slices.Clone(s.holds)
	for i := range s.holds {
		if h := &s.holds[i]; h.state == "active" && h.expires <= moment {
			h.state = "expired"
		}
	}
	return s
}

// moments are those between lo and hi that make a difference: the first, and
// each at which another hold is due.
func (s state) moments(lo, hi int64) []int64 {
	if lo > hi {
		return nil
	}
	at := []int64{lo}
	for _, h := range s.holds {
		if h.state == "active" && h.expires > lo && h.expires <= hi {
			at = append(at, h.expires)
		}
	}
	return at
}

// step says in which states the box office may be after the attempt came to that end.
func step(s state, in asked, out told) []state {
	lo, hi := max(s.now, in.call-slack), out.ret
	if out.ret < never {
		hi += slack
	}
	if out.verdict == unknown {
		return append([]state{s}, perhaps(s, in, out, lo, hi)...)
	}
	switch in.act {
	case actHold:
		return stepHold(s, in, out, lo, hi)
	case actExtend:
		return stepExtend(s, in, out, lo, hi)
	case actRelease:
		return stepRelease(s, in, out, hi)
	case actConvert:
		return stepConvert(s, in, out, lo, hi)
	case actSweep:
		return each(s.moments(lo, hi), s.swept)
	case actRead:
		return stepRead(s, out, hi)
	case actOrder:
		return stepOrder(s, in, out, lo, hi)
	default:
		return when(looks(s, in, out, lo, hi), s)
	}
}

// perhaps are the states after something that was cut off and happened.
func perhaps(s state, in asked, out told, lo, hi int64) (after []state) {
	switch in.act {
	case actHold, actExtend:
		for _, m := range out.maybe {
			out := told{verdict: ok, ret: out.ret, hold: m}
			if in.act == actHold {
				after = append(after, stepHold(s, in, out, lo, hi)...)
			} else {
				after = append(after, stepExtend(s, in, out, lo, hi)...)
			}
		}
		if !out.sweeps {
			return after
		}
		if in.act == actHold { // refused, it has swept all the same
			after = append(after, each(s.moments(lo, hi), s.swept)...)
		} else if i, there := s.find(in.hold); there && s.holds[i].state == "active" && s.holds[i].expires <= hi {
			after = append(after, s.at(max(lo, s.holds[i].expires)).set(i, func(h *hold) { h.state = "expired" }))
		}
		return after
	case actRelease:
		return stepRelease(s, in, told{verdict: ok}, hi)
	case actConvert:
		return append(stepConvert(s, in, told{verdict: ok}, lo, hi), stepConvert(s, in, told{verdict: "sold_out"}, lo, hi)...)
	case actSweep:
		return each(s.moments(lo, hi), s.swept)
	case actRead, actLook, actOrder:
	}
	return nil
}

// stepRead is a look at the counters, before which a process may have swept.
func stepRead(s state, out told, hi int64) []state {
	views := []state{s}
	if s.sweeper {
		for _, at := range s.moments(0, hi)[1:] {
			swept := s.swept(at)
			swept.now = s.now // what the sweeper saw of the clock holds nobody up
			views = append(views, swept)
		}
	}
	return slices.DeleteFunc(views, func(s state) bool { return s.held() != out.held || s.sold() != out.sold })
}

// stepOrder sells a hold that is alive; unlike convert it refuses one that is not.
func stepOrder(s state, in asked, out told, lo, hi int64) []state {
	first, known := s.answered(in.key)
	i, there := s.find(in.hold)
	switch {
	case known:
		return when(out.verdict == ok && first.id == out.hold.id, s)
	case !there:
		return when(out.verdict == "hold_not_found", s)
	case out.verdict == ok && s.holds[i].state == "active" && lo < s.holds[i].expires:
		s = s.set(i, func(h *hold) { h.state = "converted" })
		s.keys = append(slices.Clone(s.keys), answer{in.key, out.hold})
		return []state{s}
	case out.verdict == "hold_expired":
		return when(s.holds[i].state != "active" || hi >= s.holds[i].expires, s)
	}
	return nil
}

func stepHold(s state, in asked, out told, lo, hi int64) []state {
	first, known := s.answered(in.key)
	switch {
	case out.verdict == ok && known: // P5
		return when(first.id == out.hold.id && first.expires == out.hold.expires, s)
	case out.verdict == ok:
		at := out.hold.created
		if _, twice := s.find(out.hold.id); twice || at < lo || at > hi || out.hold.expires != at+s.ttl {
			return nil
		}
		s = s.swept(at)
		if s.free() < in.n { // P2
			return nil
		}
		s.holds = append(s.holds, hold{out.hold.id, in.n, "active", out.hold.expires})
		s.keys = append(slices.Clone(s.keys), answer{in.key, out.hold})
		return []state{s}
	case out.verdict == "sold_out" && !known: // P9: it is true, and what is left is said
		return slices.DeleteFunc(each(s.moments(lo, hi), s.swept), func(s state) bool { return s.free() >= in.n || out.left >= 0 && s.free() != out.left })
	}
	return nil
}

func stepExtend(s state, in asked, out told, lo, hi int64) []state {
	i, there := s.find(in.hold)
	first, known := s.answered(in.key)
	switch {
	case out.verdict == ok && known:
		return when(first.expires == out.hold.expires, s)
	case known || !there:
		return when(out.verdict == "hold_not_found" && !known, s)
	case out.verdict == ok:
		h, at := s.holds[i], out.hold.expires-s.ttl
		if h.state != "active" || at < lo || at > hi || h.expires <= at || out.hold.expires < h.expires { // equal: of one batch the first extends it
			return nil
		}
		s = s.at(at).set(i, func(h *hold) { h.expires = out.hold.expires })
		s.keys = append(slices.Clone(s.keys), answer{in.key, out.hold})
		return []state{s}
	case out.verdict == "hold_expired" && s.holds[i].state != "active":
		return []state{s}
	case out.verdict == "hold_expired" && s.holds[i].expires <= hi: // never before its time
		return []state{s.at(max(lo, s.holds[i].expires)).set(i, func(h *hold) { h.state = "expired" })}
	}
	return nil
}

func stepRelease(s state, in asked, out told, hi int64) []state {
	i, there := s.find(in.hold)
	if !there {
		return when(out.verdict == "hold_not_found", s)
	}
	switch s.holds[i].state {
	case "converted":
		return when(out.verdict == "invalid_state", s)
	case "active":
		after := when(out.verdict == ok, s.set(i, func(h *hold) { h.state = "released" }))
		if s.sweeper && s.holds[i].expires <= hi { // a process may have swept it before, and then it stays expired
			after = append(after, when(out.verdict == ok, s.set(i, func(h *hold) { h.state = "expired" }))...)
		}
		return after
	default:
		return when(out.verdict == ok, s)
	}
}

func stepConvert(s state, in asked, out told, lo, hi int64) []state {
	i, there := s.find(in.hold)
	if !there {
		return when(out.verdict == "hold_not_found", s)
	}
	sell := func(h *hold) { h.state = "converted" }
	switch s.holds[i].state {
	case "converted":
		return when(out.verdict == ok, s)
	case "active":
		return when(out.verdict == ok, s.set(i, sell))
	}
	var after []state // "Paid but expired", rule 3: taken again if it is still there
	for _, s := range each(s.moments(lo, hi), s.swept) {
		switch fits := s.free() >= s.holds[i].n; {
		case fits && out.verdict == ok:
			after = append(after, s.set(i, sell))
		case !fits && out.verdict == "sold_out":
			after = append(after, s)
		}
	}
	return after
}

// looks says whether a hold can be seen so. A due one reads as expired.
func looks(s state, in asked, out told, lo, hi int64) bool {
	i, there := s.find(in.hold)
	if !there {
		return out.verdict == "hold_not_found"
	}
	h := s.holds[i]
	if out.verdict != ok || out.hold.expires != h.expires && !(s.sweeper && h.state == "converted") { // an order's window is longer
		return false
	}
	if h.state == "active" {
		return out.hold.state == "active" && lo < h.expires || out.hold.state == "expired" && hi >= h.expires
	}
	return out.hold.state == h.state
}

func when(yes bool, s state) []state {
	if yes {
		return []state{s}
	}
	return nil
}

func each(moments []int64, then func(int64) state) []state {
	after := make([]state, 0, len(moments))
	for _, at := range moments {
		after = append(after, then(at))
	}
	return after
}

// modelOf is the box office of one event with so many tickets.
func modelOf(size, ttl int64, sweeper bool) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{state{size: size, ttl: ttl, sweeper: sweeper}} },
		Step: func(s, in, out any) (after []any) {
			for _, next := range step(s.(state), in.(asked), out.(told)) { //nolint:forcetypeassert // ours
				after = append(after, next)
			}
			return after
		},
		Equal: func(a, b any) bool { return equal(a.(state), b.(state)) }, //nolint:forcetypeassert // ours
		Hash:  func(s any) uint64 { return hashOf(s.(state)) },            //nolint:forcetypeassert // ours
		DescribeOperation: func(in, out any) string {
			return describe(in.(asked), out.(told)) //nolint:forcetypeassert // ours
		},
	}
	return m.ToModel()
}

func equal(a, b state) bool {
	return a.now == b.now && slices.Equal(a.holds, b.holds) && slices.Equal(a.keys, b.keys)
}

func hashOf(s state) uint64 {
	sum := fnv.New64a()
	for _, h := range s.holds {
		_, _ = fmt.Fprint(sum, h.id, h.state[:3], h.expires)
	}
	return sum.Sum64() ^ uint64(s.now) ^ uint64(len(s.keys))<<32
}

func describe(in asked, out told) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %.6s %s", in.act, in.key, short(in.hold))
	if in.n > 0 {
		fmt.Fprintf(&b, " ×%d", in.n)
	}
	fmt.Fprintf(&b, " → %s", out.verdict)
	switch {
	case in.act == actRead:
		fmt.Fprintf(&b, " held %d sold %d", out.held, out.sold)
	case out.hold.id != "":
		fmt.Fprintf(&b, " %s %s until %d", short(out.hold.id), out.hold.state, out.hold.expires/1000%1e9)
	case len(out.maybe) > 0:
		fmt.Fprintf(&b, " perhaps %s", short(out.maybe[0].id))
	case out.verdict == "sold_out":
		fmt.Fprintf(&b, " left %d", out.left)
	}
	return b.String()
}

func short(id string) string { return id[max(0, len(id)-4):] }
