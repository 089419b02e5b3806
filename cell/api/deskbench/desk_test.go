// Package deskbench measures holds, the desk beside the ways others take, behind
// the same HTTP, with the same clients and the same durable PostgreSQL, in one
// run. It holds no code of the product.
package deskbench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"guichet/cell/store"
	"guichet/internal/httpd"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

const (
	envFile  = "GUICHET_BENCH_FILE"  // where the tables go as well; the picture goes beside it
	envQuick = "GUICHET_BENCH_QUICK" // set: one short round each, to see that it runs
	envOnly  = "GUICHET_BENCH_ONLY"  // the parts to run, separated by commas; all when it is not set
)

var rounds, span = pace()

func pace() (int, time.Duration) {
	if os.Getenv(envQuick) != "" {
		return 1, 300 * time.Millisecond
	}
	return 4, 1500 * time.Millisecond
}

func splitPeers() []string { return sqldb.SplitStatements(peers) }

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "deskbench")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

// report is what a run writes.
type report struct {
	strings.Builder
	bars []bar
}

func (r *report) line(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

// BenchmarkHolds prints tables: holds a second and waits, by variant and number
// of clients; with slower commits; over many events; of a full event; of an open
// on-sale. After each the rows stored are counted against the answers given.
//
//	make bench-desk
func BenchmarkHolds(b *testing.B) {
	httpd.CollectSeldom() // as cmd/cell does, for all variants alike
	r := &report{}
	r.line("# Holds\n\n%s\n", machine())
	r.line("The cell process, its PostgreSQL (fsync on, 512 MB of shared buffers, 4 GB of log between checkpoints, random_page_cost 1.1) and the clients share the machine. %d rounds of %s for each line, interleaved with what they are compared with.", rounds, span)
	r.line("The desk is as shipped: strict JSON, idempotency keys, ledger. The others (see `cell/api/deskbench/variant_test.go`) store a hold and no more. All with the collector of garbage as cmd/cell sets it. Made by `make bench-desk`.")
	r.line("After each table the rows stored were counted: as many as holds acknowledged, and no event above its size.\n")
	only := strings.FieldsFunc(os.Getenv(envOnly), func(r rune) bool { return r == ',' })
	for _, part := range []struct {
		name string
		run  func(b *testing.B, r *report)
	}{
		{"one", oneEvent},
		{"terms", withTerms},
		{"slow", slowCommits},
		{"two", twoProcesses},
		{"many", manyEvents},
		{"full", fullEvent},
		{"onsale", onSale},
	} {
		if len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		if part.run(b, r); b.Failed() {
			return
		}
	}
	b.Log("\n" + r.String())
	if file := os.Getenv(envFile); file != "" {
		picture := strings.TrimSuffix(file, filepath.Ext(file)) + ".svg"
		for name, text := range map[string]string{file: r.String(), picture: drawing(r.bars)} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

// open makes a durable database of the bench's own; settings are the session's.
func open(b *testing.B, settings map[string]string) *store.Store {
	b.Helper()
	db := connect(b, testdb.New(b, migrate, testdb.Durable), settings)
	return store.New(db, "euw3")
}

// compare runs the variants side by side with so many clients each.
func compare(b *testing.B, all []variant, clients int) []sample {
	b.Helper()
	addrs := make([]string, len(all))
	for i, v := range all {
		addrs[i] = serve(b, v.handler)
	}
	samples := make([]sample, len(all))
	for range rounds {
		for i, v := range all {
			before := usage(v.database)
			if err := round(addrs[i], v.request, clients, span, &samples[i]); err != nil {
				b.Fatalf("%s: %v", v.name, err)
			}
			samples[i].used = samples[i].used.plus(usage(v.database).minus(before))
		}
	}
	return samples
}

// audit counts the rows stored against the answers given.
func audit(b *testing.B, all []variant, granted []int64) {
	b.Helper()
	for i, v := range all {
		if v.stored == nil {
			continue
		}
		if n, err := v.stored(b.Context()); err != nil || n != granted[i] {
			b.Errorf("%s: %d holds are stored, %d were acknowledged (%v)", v.name, n, granted[i], err)
		}
		if v.sane == nil {
			continue
		}
		if err := v.sane(b.Context()); err != nil {
			b.Errorf("%s: %v", v.name, err)
		}
	}
}

func oneEvent(b *testing.B, r *report) {
	b.Helper()
	all := variants(b, open(b, nil))
	r.line("## One event\n\nCPU is what a hold costs of the two cores: in this process (cell and clients), and in PostgreSQL's sessions.\n")
	r.line("| variant | clients | holds/s | p50 ms | p99 ms | of the empty handler | times variant 1 | told 429 | CPU µs here | CPU µs PostgreSQL |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	granted := make([]int64, len(all))
	for _, clients := range []int{64, 256, 1024} {
		samples := compare(b, all, clients)
		for i, v := range all {
			s := &samples[i]
			granted[i] += s.granted
			here, there := s.cost()
			r.line("| %s | %d | %.0f | %s | %s | %.2f | %.1f | %d | %.0f | %.0f |", v.name, clients, s.rate(), ms(s.at(50)), ms(s.at(99)),
				s.rate()/samples[0].rate(), s.rate()/samples[1].rate(), s.refused, here, there)
			r.bars = append(r.bars, bar{group: strconv.Itoa(clients) + " clients", name: v.name, value: s.rate()})
		}
	}
	audit(b, all, granted)
	r.line("\n![Holds a second](desk.svg)\n")
}

// slowCommits adds time to each commit, as a disk farther away would, or a
// database with replicas: PostgreSQL sleeps before it flushes (commit_delay).
func slowCommits(b *testing.B, r *report) {
	b.Helper()
	r.line("## One event, slower commits\n\n1,024 clients; so many milliseconds are added to each commit (`commit_delay`).\n")
	r.line("| added ms | 1 lock, recount, insert: holds/s | p99 ms | 4 the desk: holds/s | p99 ms | times variant 1 |\n|--:|--:|--:|--:|--:|--:|")
	for _, delay := range []int{2, 5, 10} {
		all := variants(b, open(b, map[string]string{"commit_delay": strconv.Itoa(delay * 1000), "commit_siblings": "0"}))
		pair := []variant{all[1], all[len(all)-1]}
		s := compare(b, pair, 1024)
		audit(b, pair, []int64{s[0].granted, s[1].granted})
		r.line("| %d | %.0f | %s | %.0f | %s | %.0f |", delay, s[0].rate(), ms(s[0].at(99)), s[1].rate(), ms(s[1].at(99)), s[1].rate()/s[0].rate())
	}
	r.line("")
}

// twoProcesses sells one event at two cell houses, each with its own desk and its
// own connections.
func twoProcesses(b *testing.B, r *report) {
	b.Helper()
	s := open(b, nil)
	shop := newHouse(b, s)
	e := shop.event(b, size)
	other := newHouse(b, store.New(connect(b, s.DB.Pool.Config().ConnString(), nil), "euw3"))
	one := deskVariant("one desk", shop.handler, e, s)
	two := deskVariant("two desks", alternate(shop.handler, other.handler), e, s)
	one.stored = nil // both write the same rows
	samples := compare(b, []variant{one, two}, 256)
	both := samples[0].granted + samples[1].granted
	audit(b, []variant{two}, []int64{both})
	r.line("## One event, two desks\n\nTwo houses of one cell with a desk and a pool each, in this process, 256 clients: correct by the row locks alone, and slower.\n")
	r.line("| desks | holds/s | p50 ms | p99 ms | of one |\n|---|--:|--:|--:|--:|")
	for i, name := range []string{"one", "two"} {
		r.line("| %s | %.0f | %s | %s | %.2f |", name, samples[i].rate(), ms(samples[i].at(50)), ms(samples[i].at(99)), samples[i].rate()/samples[0].rate())
	}
	r.line("")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// serve listens as the programs do, less the tracing.
func serve(b *testing.B, h http.Handler) string {
	b.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	b.Cleanup(func() { _ = srv.Close() })
	go func() { _ = srv.Serve(l) }()
	return l.Addr().String()
}

func machine() string {
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s · %d × %s · %s/%s · %s", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), cpu, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
