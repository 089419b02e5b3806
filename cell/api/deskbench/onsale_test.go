package deskbench

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"guichet/cell/booking"
)

const (
	minutes = 20                     // of the curve, its peak in the midst
	beat    = 500 * time.Millisecond // that a minute of the curve takes here
	peak    = 15_000                 // arrivals a second at the peak
	lines   = 1024                   // connections; one that is busy makes the next arrival wait
)

// worldCup reads the arrivals of the busiest minutes of the World Cup 98 web site,
// scaled to peak. nil when the data is not there.
func worldCup(b *testing.B) (perBeat []int) {
	b.Helper()
	f, err := os.Open(findShared(b, "traffic/worldcup98_requests_per_minute.csv.gz"))
	if err != nil {
		b.Logf("NO ON-SALE CURVE: %v", err)
		return nil
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		b.Fatal(err)
	}
	counts := make([]int, 0, len(rows))
	for _, row := range rows[1:] {
		n, err := strconv.Atoi(row[1])
		if err != nil {
			b.Fatal(err)
		}
		counts = append(counts, n)
	}
	most := slices.Index(counts, slices.Max(counts))
	from := max(most-minutes/2, 0)
	for _, n := range counts[from:min(from+minutes, len(counts))] {
		perBeat = append(perBeat, int(float64(n)/float64(counts[most])*peak*beat.Seconds()))
	}
	return perBeat
}

// findShared looks for the data that may lie beside the project.
func findShared(b *testing.B, name string) string {
	b.Helper()
	dir, err := os.Getwd()
	if err != nil {
		b.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if at := filepath.Join(dir, "shared", "data"); exists(filepath.Join(at, "SOURCES.md")) {
			return filepath.Join(at, name)
		}
		dir = filepath.Dir(dir)
	}
	return name
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// seen is what the buyers of a beat met; waits count from the arrival that was
// due, whether or not a connection was free then.
type seen struct {
	mu                              sync.Mutex
	waits                           []time.Duration // of those who were answered with a hold
	held, refused, soldOut, strange int
}

// onSale lets buyers arrive by the curve, whatever is answered. There are fewer
// tickets than buyers: the last ones are told sold out, and nobody falsely.
func onSale(b *testing.B, r *report) {
	b.Helper()
	curve := worldCup(b)
	if curve == nil {
		r.line("## An on-sale\n\nNot measured: the arrival curve is not there (`shared/data` beside the project).")
		return
	}
	total := 0
	for _, n := range curve {
		total += n
	}
	s := open(b, nil)
	shop := newHouse(b, s)
	places := int64(total) * 8 / 10
	e := shop.event(b, places)
	beats, err := arrive(serve(b, shop.handler), e, curve)
	if err != nil {
		b.Fatal(err)
	}
	r.line("## An on-sale, arrivals open-loop\n\nThe %d busiest minutes of the World Cup 98 web site (Internet Traffic Archive; counts by N. Mahmoudi, MIT), each in %s, scaled to %d arrivals a second at the peak: %d buyers, %d tickets, %d connections.", minutes, beat, peak, total, places, lines)
	r.line("A wait counts from when the buyer was due.\n\n| beat | arrivals/s | holds/s | told 429 | told sold out | p50 ms | p99 ms |\n|--:|--:|--:|--:|--:|--:|--:|")
	var held, turned int64
	for i := range beats {
		x := &beats[i]
		slices.Sort(x.waits)
		at := func(percent int) string {
			if len(x.waits) == 0 {
				return "–"
			}
			return ms(x.waits[min(len(x.waits)*percent/100, len(x.waits)-1)])
		}
		held, turned = held+int64(x.held), turned+int64(x.soldOut)
		if x.strange > 0 {
			b.Errorf("beat %d: %d answers that a buyer should never see", i, x.strange)
		}
		r.line("| %d | %.0f | %.0f | %d | %d | %s | %s |", i+1, float64(curve[i])/beat.Seconds(), float64(x.held)/beat.Seconds(), x.refused, x.soldOut, at(50), at(99))
	}
	v := deskVariant("on sale", shop.handler, e, s)
	audit(b, []variant{v}, []int64{held})
	if held < places && turned > 0 { // P9
		b.Errorf("%d of %d tickets are held and %d buyers were told sold out", held, places, turned)
	}
	r.line("\n%d of %d tickets were held.", held, places)
}

func arrive(addr string, e booking.Event, curve []int) ([]seen, error) {
	type buyer struct {
		beat int
		due  time.Time
	}
	due := make(chan buyer, 1<<20)
	beats := make([]seen, len(curve))
	path, body := holdRequest(e)
	var mu sync.Mutex
	var fault error
	var working sync.WaitGroup
	for range lines {
		working.Go(func() {
			c, err := dial(addr)
			for x := range due {
				var status int
				if err == nil {
					status, _, err = c.post(path, body)
				}
				beats[x.beat].add(status, time.Since(x.due))
			}
			mu.Lock()
			defer mu.Unlock()
			fault = errors.Join(fault, err)
			if c != nil {
				c.close()
			}
		})
	}
	began, r := time.Now(), rand.New(rand.NewPCG(98, 1))
	for i, n := range curve {
		at := make([]time.Duration, n)
		for k := range at {
			at[k] = time.Duration(i)*beat + time.Duration(r.Int64N(int64(beat)))
		}
		slices.Sort(at)
		for _, offset := range at {
			time.Sleep(time.Until(began.Add(offset)))
			due <- buyer{i, began.Add(offset)}
		}
	}
	close(due)
	working.Wait()
	if fault != nil {
		return nil, fmt.Errorf("a connection broke: %w", fault)
	}
	return beats, nil
}

func (x *seen) add(status int, waited time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch status {
	case http.StatusCreated:
		x.held++
		x.waits = append(x.waits, waited)
	case http.StatusTooManyRequests:
		x.refused++
	case http.StatusConflict:
		x.soldOut++
	default:
		x.strange++
	}
}
