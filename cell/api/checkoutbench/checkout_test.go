// Package checkoutbench measures the whole way from a hold to tickets: the cell
// with its sagas beside the same steps without them, against the same sandbox and
// durable PostgreSQL, in one run. It holds no code of the product.
package checkoutbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/internal/httpd"
	"guichet/internal/pgserver"
)

const (
	envFile  = "GUICHET_BENCH_FILE"    // where the table goes as well
	envQuick = "GUICHET_BENCH_QUICK"   // set: one short round each, to see that it runs
	envOnly  = "GUICHET_BENCH_CLIENTS" // only so many clients

	wantOrders = 300                    // orders/s at 64 clients
	wantP99    = 500 * time.Millisecond // of the whole way there
)

var rounds, span = pace()

func pace() (int, time.Duration) {
	if os.Getenv(envQuick) != "" {
		return 1, 500 * time.Millisecond
	}
	return 3, 4 * time.Second
}

// crowds are the numbers of clients.
func crowds() []int {
	if n, err := strconv.Atoi(os.Getenv(envOnly)); err == nil && n > 0 {
		return []int{n}
	}
	return []int{8, 64, 256}
}

// sample is what one way did in all its rounds with one number of clients.
type sample struct {
	whole, created []time.Duration
	refused        int64 // 429
	sagas          int64 // that ended in the rounds
	span           time.Duration
	drain          time.Duration // after the rounds, until the last mail had left
	used           used
}

func at(times []time.Duration, percent int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)*percent/100, len(times)-1)]
}

func (s *sample) orders() int64 { return int64(len(s.whole)) }
func (s *sample) rate() float64 { return float64(s.orders()) / s.span.Seconds() }

// BenchmarkCheckout prints a table: orders a second and the times of the whole way
// and of the order's creation, by way and number of clients. Then the books are
// audited against what the clients were told.
//
//	make bench-checkout
func BenchmarkCheckout(b *testing.B) {
	httpd.CollectSeldom() // as cmd/cell does, for all ways alike
	ways := []way{overHTTP(newHouse(b, takesAtOnce)), straight(newHouse(b, takesAtOnce)), bare(newHouse(b, isBare)), authorizing(newHouse(b, takesLater)), shipped(newHouse(b, asShipped))}
	out := &strings.Builder{}
	line := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	line("# Orders\n\n%s\n", machine())
	line("From a hold over the payment in the sandbox to %d tickets, all on one event. The cell with its sagas, the sandbox, the clients and PostgreSQL (fsync on, 512 MB of shared buffers, 4 GB of log between checkpoints, random_page_cost 1.1) share the machine; the sandbox keeps its journal in memory, where PostgreSQL's log has the disk for itself.", perOrder)
	line("%d rounds of %s for each line, interleaved. The sandbox tells each event once, of the types that say something to a cell (docs/money.md); a client reads its order when the webhook of its payment was taken, until the tickets are there. Made by `make bench-checkout`.\n", rounds, span)
	line("| way | clients | orders/s | sagas/s | of way 3 | whole way p50 ms | p99 ms | order created p50 ms | p99 ms | told 429 | desk at work | asked there | together | CPU ms here | CPU ms PostgreSQL | transactions | WAL KiB | statements |")
	line("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	told := make([]int64, len(ways))
	verdict := ""
	for _, clients := range crowds() {
		samples := compare(b, ways, clients)
		for i, w := range ways {
			s := &samples[i]
			told[i] += s.orders()
			n := float64(max(s.orders(), 1))
			line("| %s | %d | %.0f | %.0f | %.2f | %s | %s | %s | %s | %d | %.0f %% | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |", w.name, clients, s.rate(), float64(s.sagas)/s.span.Seconds(), s.rate()/samples[2].rate(),
				ms(at(s.whole, 50)), ms(at(s.whole, 99)), ms(at(s.created, 50)), ms(at(s.created, 99)), s.refused,
				100*s.used.desk.Seconds()/s.span.Seconds(), float64(s.used.ops)/n, float64(s.used.ops)/float64(max(s.used.batches, 1)), s.used.here.Seconds()*1000/n, s.used.there.Seconds()*1000/n, float64(s.used.commits)/n, float64(s.used.wal)/1024/n, float64(s.used.statements)/n)
		}
		if clients == 64 {
			verdict = target(&samples[0]) + "\n" + shippedTarget(&samples[3], &samples[4])
		}
	}
	for i := range ways {
		audit(b, &ways[i], told[i])
	}
	mails, oldest := ways[4].house.posted(b)
	line("\n%s\n", verdict)
	line("Way 2 calls the services that way 1 serves, without the cell's HTTP and idempotency keys. Way 3 is the baseline (`cell/api/checkoutbench/bare_test.go`): way 2 with the same rows of stock, order, payment, tickets,")
	line("invoice, books, outbox and mail, the same calls to the provider and the same desk, and no row of a saga; so nobody goes on when the process dies between two steps, looks for a webhook that never came, or gives back what ran out.")
	line("An order asks something of the desk so many times, and so many of all asked share one transaction.")
	line("Way 4 is way 1 as a cell is set up (`GUICHET_CAPTURE_LATER`): the card is authorized, the stock is confirmed, then the money is taken; one call to the provider and one webhook more.")
	line("Way 5 is way 4 as a town runs it: PostgreSQL with the town's own settings for this machine (%s), and every mail with its PDF leaving meanwhile, to a server that takes all. The other ways keep their mails. Of %d mails the oldest had waited %.0f s when it left. Mails that are behind leave between the rounds, before the next way has its turn.",
		pgserver.Sized(pgserver.Memory(), townServers)["shared_buffers"]+" of buffers", mails, oldest.Seconds())
	line("CPU, transactions (those that only read too), WAL and statements (all that were sent, of the cell's background work too; one about the rows of many counts once) are for each order. Afterwards, for each way: orders paid = payments captured = sets of tickets = invoices = mails = sales booked = orders the clients saw paid, every entry sums to zero, stock counters match.")
	b.Log("\n" + out.String())
	if file := os.Getenv(envFile); file != "" && !b.Failed() {
		if err := write(file, out.String()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// limits begins the paragraph that people write about what limits it; it is kept.
const limits = "## What limits it"

func write(file, text string) error {
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, kept, ok := strings.Cut(string(before), limits); ok {
		text += "\n" + limits + kept
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

func target(s *sample) string {
	met := "missed"
	if s.rate() >= wantOrders && at(s.whole, 99) <= wantP99 {
		met = "met"
	}
	return fmt.Sprintf("Target: at least %d orders/s, and a p99 of at most %s ms of the whole way, at 64 clients: %s in this run (%.0f orders/s, %s ms).",
		wantOrders, ms(wantP99), met, s.rate(), ms(at(s.whole, 99)))
}

// wantShipped is what a cell as shipped makes of what it makes without mails.
const wantShipped = 0.8

func shippedTarget(without, as *sample) string {
	met := "missed"
	if as.rate() >= wantShipped*without.rate() {
		met = "met"
	}
	whole := float64(as.orders()) / (as.span + as.drain).Seconds()
	return fmt.Sprintf("Target: as shipped at least %.1f of way 4 at 64 clients: %s in this run (%.2f). The mails of its %d orders had all left %.1f s after the orders, in which nothing was sold: reckoned with that time it is %.0f orders/s (%.2f).",
		wantShipped, met, as.rate()/without.rate(), as.orders(), as.drain.Seconds(), whole, whole/without.rate())
}

// compare runs the ways by turns with so many clients each.
func compare(b *testing.B, ways []way, clients int) []sample {
	b.Helper()
	samples := make([]sample, len(ways))
	for range rounds {
		for i := range ways {
			s, before, ended := &samples[i], usage(b, ways[i].house), ways[i].house.ended(b)
			if err := round(b.Context(), &ways[i], clients, s); err != nil {
				b.Fatalf("%s, %d clients: %v", ways[i].name, clients, err)
			}
			if ways[i].posts {
				began := time.Now()
				ways[i].house.posted(b)
				s.drain += time.Since(began)
			}
			s.used = s.used.plus(usage(b, ways[i].house).minus(before))
			s.sagas += ways[i].house.ended(b) - ended
		}
	}
	return samples
}

// round lets clients buy one order after the other for a span of time; the last
// ones are finished.
func round(ctx context.Context, w *way, clients int, into *sample) error {
	var mu sync.Mutex
	var fault error
	var refused atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for range clients {
		working.Go(func() {
			whole, created, err := keepBuying(ctx, w, began.Add(span), &refused)
			mu.Lock()
			defer mu.Unlock()
			into.whole = append(into.whole, whole...)
			into.created = append(into.created, created...)
			fault = errors.Join(fault, err)
		})
	}
	working.Wait()
	into.span += time.Since(began)
	into.refused += refused.Load()
	return fault
}

func keepBuying(ctx context.Context, w *way, end time.Time, refused *atomic.Int64) (whole, created []time.Duration, err error) {
	c := newBuyer()
	defer c.client.CloseIdleConnections()
	for time.Now().Before(end) {
		at := time.Now()
		one, err := buyOnce(ctx, w, c)
		if errors.Is(err, errBusy) {
			refused.Add(1)
			time.Sleep(10 * time.Millisecond) // an eager buyer
			continue
		}
		if err != nil {
			return whole, created, err
		}
		whole, created = append(whole, time.Since(at)), append(created, one)
	}
	return whole, created, nil
}

func buyOnce(ctx context.Context, w *way, c *buyer) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return w.buy(ctx, c)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()*1000) }

func machine() string {
	cpu, load := "unknown processor", "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	return fmt.Sprintf("%s · %d × %s · %s/%s · %s · load average before the run: %s", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version(), load)
}
