package booking_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"guichet/cell/booking"
)

// theatre is a hall of two blocks with an aisle, some seats of it taken.
func theatre(t testing.TB, r *rand.Rand, full float64) []*booking.Seat {
	t.Helper()
	d := booking.DraftSeating{Plan: booking.DraftPlan{Categories: []booking.PlanCategory{{Name: "One"}}}}
	for z := range 1 + r.IntN(2) {
		zone := booking.PlanZone{Name: fmt.Sprint("Z", z), At: booking.Point{Y: float64(1000 * z)}}
		for row := range 1 + r.IntN(8) {
			name := fmt.Sprintf("%d%c", z, 'A'+row)
			pr := rowOf(name, booking.Point{Y: float64(25 * row)}, 1+r.IntN(14), "One")
			for i := range pr.Seats {
				if i >= 7 {
					pr.Seats[i].At.X += 60 // the aisle
				}
			}
			zone.Rows = append(zone.Rows, pr)
		}
		d.Plan.Zones = append(d.Plan.Zones, zone)
	}
	plan, err := d.Seating("")
	if err != nil {
		t.Fatal(err)
	}
	return freeOf(plan, func() bool { return r.Float64() < full })
}

// freeOf are a plan's seats by rank and place without those that are taken.
func freeOf(plan *booking.Seating, taken func() bool) []*booking.Seat {
	var free []*booking.Seat
	for i := range plan.Seats {
		if !taken() {
			free = append(free, &plan.Seats[i])
		}
	}
	slices.SortFunc(free, func(a, b *booking.Seat) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Place, b.Place))
	})
	return free
}

// lengths are those of the runs of neighbours.
func lengths(seats []*booking.Seat) (out []int) {
	for i, s := range seats {
		if i > 0 && seats[i-1].Rank == s.Rank && seats[i-1].Place+1 == s.Place {
			out[len(out)-1]++
		} else {
			out = append(out, 1)
		}
	}
	return out
}

func without(free, picked []*booking.Seat) []*booking.Seat {
	return slices.DeleteFunc(slices.Clone(free), func(s *booking.Seat) bool { return slices.Contains(picked, s) })
}

func singles(lengths []int) (n int) {
	for _, l := range lengths {
		if l == 1 {
			n++
		}
	}
	return n
}

// The properties of "best available", in halls of every shape and fullness.
func TestBestSeats_areWhatTheyPromiseInAnyHall(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 7))
		free := theatre(t, r, r.Float64())
		n := 1 + r.IntN(10)
		before := slices.Clone(free)
		got := booking.BestSeats(free, n)
		if !slices.Equal(before, free) {
			t.Fatalf("seed %d: what was given is changed", seed)
		}
		if (got != nil) != (n <= len(free)) {
			t.Fatalf("seed %d: %d of %d free seats: %v", seed, n, len(free), got)
		}
		if got == nil {
			seen["none"]++
			continue
		}
		sorted := slices.SortedFunc(slices.Values(got), func(a, b *booking.Seat) int {
			return cmp.Or(cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Place, b.Place))
		})
		if len(got) != n || len(slices.Compact(slices.Clone(sorted))) != n || len(without(got, free)) > 0 {
			t.Fatalf("seed %d: %d seats for %d", seed, len(got), n)
		}
		runs, parts := lengths(free), lengths(sorted)
		together, clean := false, false
		for _, l := range runs {
			together = together || l >= n
			clean = clean || l == n || l >= n+2
		}
		left := singles(lengths(without(free, got)))
		switch {
		case together && len(parts) != 1:
			t.Fatalf("seed %d: %d could sit together, runs %v, and sit %v", seed, n, runs, parts)
		case clean && left > singles(runs):
			t.Fatalf("seed %d: runs %v, %d seats: a single seat is left", seed, runs, n)
		case clean:
			seen["clean"]++
		case together:
			seen["single left"]++
		default:
			seen["split"]++
		}
	}
	for _, what := range []string{"none", "clean", "single left", "split"} {
		if seen[what] < 40 {
			t.Errorf("%q was tried %d times", what, seen[what])
		}
	}
}

func TestBestSeats_giveTheBestRunToTheBestPoint(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 8))
		free := theatre(t, r, 0.3)
		n := 1 + r.IntN(4)
		got := booking.BestSeats(free, n)
		if got == nil || len(lengths(got)) != 1 || singles(lengths(without(free, got))) > singles(lengths(free)) {
			continue
		}
		sum := func(seats []*booking.Seat) (c int64) {
			for _, s := range seats {
				c += s.Cost
			}
			return c
		}
		for i := 0; i+n <= len(free); i++ {
			w := free[i : i+n]
			if len(lengths(w)) == 1 && sum(w) < sum(got) && singles(lengths(without(free, w))) <= singles(lengths(free)) &&
				singles(lengths(without(free, got))) >= singles(lengths(free)) {
				t.Fatalf("seed %d: %d seats cost %d, others without a gap %d", seed, n, sum(got), sum(w))
			}
		}
	}
}

// realPlan is the theatre of the shared data; the test is skipped where it is not.
func realPlan(t testing.TB) *booking.Seating {
	t.Helper()
	text, err := os.ReadFile("../../../shared/data/seatmaps/theatre_738_seats_pretix_format.json")
	if err != nil {
		t.Skip("the shared seating plan was NOT tested: it is not here")
	}
	var in struct {
		Categories []booking.PlanCategory
		Zones      []struct {
			Name     string
			Position booking.Point
			Rows     []struct {
				RowNumber string `json:"row_number"`
				Position  booking.Point
				Seats     []struct {
					Number   string         `json:"seat_number"`
					GUID     booking.SeatID `json:"seat_guid"`
					Position booking.Point
					Category string
				}
			}
		}
	}
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	d := booking.DraftSeating{TellApart: true, Focus: &booking.Point{X: 1035, Y: 836}, Plan: booking.DraftPlan{Categories: in.Categories}}
	for _, z := range in.Zones {
		zone := booking.PlanZone{Name: z.Name, At: z.Position}
		for _, r := range z.Rows {
			row := booking.PlanRow{Name: r.RowNumber, At: r.Position}
			for _, s := range r.Seats {
				row.Seats = append(row.Seats, booking.PlanSeat{ID: s.GUID, Number: s.Number, At: s.Position, Category: s.Category})
			}
			zone.Rows = append(zone.Rows, row)
		}
		d.Plan.Zones = append(d.Plan.Zones, zone)
	}
	plan, err := d.Seating("")
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestBestSeats_fillARealTheatre(t *testing.T) {
	t.Parallel()
	plan := realPlan(t)
	if len(plan.Seats) != 738 {
		t.Fatalf("%d seats", len(plan.Seats))
	}
	free := freeOf(plan, func() bool { return false })
	r := rand.New(rand.NewPCG(1, 1))
	parties, split := 0, 0
	for len(free) > 0 {
		n := min(1+r.IntN(6), len(free))
		got := booking.BestSeats(free, n)
		if len(got) != n {
			t.Fatalf("%d of %d free seats: %d", n, len(free), len(got))
		}
		if parties++; len(lengths(got)) > 1 {
			split++
		}
		free = without(free, got)
	}
	t.Logf("%d parties, %d of them split", parties, split)
	if split*10 > parties {
		t.Errorf("%d of %d parties were split", split, parties)
	}
}

func BenchmarkBestSeats_realTheatre(b *testing.B) {
	plan := realPlan(b)
	for name, full := range map[string]float64{"empty": 0, "half": 0.5, "95 percent": 0.95} {
		for _, n := range []int{2, 6} {
			b.Run(fmt.Sprintf("%s, party of %d", name, n), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 1))
				free := freeOf(plan, func() bool { return r.Float64() < full })
				b.ReportAllocs()
				for b.Loop() {
					booking.BestSeats(free, n)
				}
			})
		}
	}
}
