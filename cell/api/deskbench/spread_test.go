package deskbench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// skew is the exponent of the popularity of events: the k-th is asked for 1/k^skew
// times as often as the first.
const skew = 1.1

// zipf draws from n events by their popularity.
func zipf(n int) func(r *rand.Rand) int {
	sums := make([]float64, n)
	total := 0.0
	for k := range n {
		total += 1 / math.Pow(float64(k+1), skew)
		sums[k] = total
	}
	return func(r *rand.Rand) int { return min(sort.SearchFloat64s(sums, r.Float64()*total), n-1) }
}

func manyEvents(b *testing.B, r *report) {
	b.Helper()
	r.line("## Many events\n\nPopularity by Zipf %.1f. Requests for different events share a transaction; each event in it costs rows of its own, and the more clients wait, the fewer of these a hold.\n", skew)
	r.line("| clients | events | holds/s | p50 ms | p99 ms | of one event | CPU µs here | CPU µs PostgreSQL |\n|--:|--:|--:|--:|--:|--:|--:|--:|")
	s := open(b, nil)
	shop := newHouse(b, s)
	var all []variant
	counts := []int{1, 10, 100, 1000}
	for _, n := range counts {
		events := make([]booking.Event, n)
		var keys []string
		for i := range events {
			events[i] = shop.event(b, size)
			keys = append(keys, events[i].ID.String())
		}
		pick := zipf(n)
		all = append(all, variant{
			name: strconv.Itoa(n), handler: shop.handler, database: s.DB.Pool.Config().ConnConfig.Database,
			request: func(r *rand.Rand) (string, string) { return holdRequest(events[pick(r)]) },
			stored:  countIn(s.DB.Pool, `SELECT count(*) FROM booking.hold WHERE event_id = ANY($1)`, keys),
			sane:    withinSize(s.DB.Pool),
		})
	}
	granted := make([]int64, len(all))
	for _, clients := range []int{256, 1024} {
		samples := compare(b, all, clients)
		for i := range all {
			s := &samples[i]
			granted[i] += s.granted
			here, there := s.cost()
			r.line("| %d | %d | %.0f | %s | %s | %.2f | %.0f | %.0f |", clients, counts[i], s.rate(), ms(s.at(50)), ms(s.at(99)), s.rate()/samples[0].rate(), here, there)
		}
	}
	audit(b, all, granted)
	r.line("")
}

// fullEvent compares an event that nobody has bought with one that is 95 % sold.
func fullEvent(b *testing.B, r *report) {
	b.Helper()
	const tickets, sold = 200_000, 190_000
	s := open(b, nil)
	shop := newHouse(b, s)
	other := shop.event(b, size)
	full := shop.event(b, tickets)
	fill(b, shop, full, sold)
	if _, err := s.DB.Pool.Exec(b.Context(), `UPDATE booking.quota SET size = 10000000 WHERE event_id = $1`, full.ID.String()); err != nil { // nobody shall meet the end in mid-round
		b.Fatal(err)
	}
	all := []variant{deskVariant("empty", shop.handler, other, s), deskVariant("95 % sold", shop.handler, full, s)}
	all[1].stored = countIn(s.DB.Pool, `SELECT count(*) - $2 FROM booking.hold WHERE event_id = $1`, full.ID.String(), sold/perHold)
	samples := compare(b, all, 256)
	audit(b, all, []int64{samples[0].granted, samples[1].granted})
	r.line("## An empty and a nearly full event\n\n200,000 tickets, of which none or 190,000 are taken (%d holds), 256 clients.\n", sold/perHold)
	r.line("| event | holds/s | p50 ms | p99 ms | of the empty one |\n|---|--:|--:|--:|--:|")
	for i, v := range all {
		r.line("| %s | %.0f | %s | %s | %.2f |", v.name, samples[i].rate(), ms(samples[i].at(50)), ms(samples[i].at(99)), samples[i].rate()/samples[0].rate())
	}
	r.line("")
}

// perHold is how many tickets a hold takes that fills an event.
const perHold = 2

// fill takes so many tickets of the event, in the desk's own batches.
func fill(b *testing.B, h *house, e booking.Event, tickets int) {
	b.Helper()
	for left := tickets / perHold; left > 0; left -= booking.BatchSize {
		ops := make([]*booking.Op, 0, booking.BatchSize)
		for range min(left, booking.BatchSize) {
			want := booking.Request{Hold: id.NewHold(e.ID), Lines: []booking.Line{{Type: e.Types[0].ID, Quantity: perHold}}}
			ops = append(ops, &booking.Op{Decide: func(s *booking.Stock) error {
				_, err := s.Grant(want)
				return err
			}})
		}
		if err := h.store.Batch(b.Context(), time.Hour, []*booking.Group{{Event: e.ID, Ops: ops}}); err != nil {
			b.Fatal(err)
		}
		for _, op := range ops {
			if op.Err != nil {
				b.Fatal(fmt.Errorf("fill: %w", op.Err))
			}
		}
	}
}
