// Package deskbench measures holds at one hot event, the desk beside the ways
// others take, behind the same HTTP, with the same clients and the same durable
// PostgreSQL, in one run. It holds no code of the product.
package deskbench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

const (
	rounds  = 4
	span    = 1500 * time.Millisecond
	envFile = "GUICHET_BENCH_FILE" // where the table goes as well
)

func splitPeers() []string { return sqldb.SplitStatements(peers) }

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "deskbench")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

// BenchmarkHolds prints a table: holds a second and waits, by variant and number
// of clients. After each variant the rows stored are counted against the
// answers given.
//
//	make bench-desk
func BenchmarkHolds(b *testing.B) {
	db, err := sqldb.Open(b.Context(), testdb.New(b, migrate, testdb.Durable), "deskbench", sqldb.MaxConns(32))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	all := variants(b, store.New(db, "euw3"))
	addrs := make([]string, len(all))
	for i, v := range all {
		addrs[i] = serve(b, v.handler)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "# Holds at one event\n\n%s\n\n", machine())
	fmt.Fprintf(&table, "One event, one cell process, its PostgreSQL (fsync on) and the clients share the machine. %d rounds of %s for each variant, interleaved. The desk is as shipped:\n", rounds, span)
	fmt.Fprintf(&table, "strict JSON, idempotency keys, ledger, outbox. The others (see `cell/api/deskbench/variant_test.go`) store a hold and no more. Made by `make bench-desk`.\n\n")
	fmt.Fprintf(&table, "| variant | clients | holds/s | p50 ms | p99 ms | of the empty handler | times variant 1 | told 429 |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	granted := make([]int64, len(all))
	for _, clients := range []int{64, 256, 1024} {
		samples := make([]sample, len(all))
		for range rounds {
			for i, v := range all {
				if err := round(addrs[i], v.path, v.body, clients, span, &samples[i]); err != nil {
					b.Fatalf("%s: %v", v.name, err)
				}
			}
		}
		for i, v := range all {
			s := &samples[i]
			granted[i] += s.granted
			fmt.Fprintf(&table, "| %s | %d | %.0f | %.1f | %.1f | %.2f | %.1f | %d |\n", v.name, clients, s.rate(), s.at(50).Seconds()*1000, s.at(99).Seconds()*1000,
				s.rate()/samples[0].rate(), s.rate()/samples[1].rate(), s.refused)
		}
	}
	for i, v := range all {
		if v.stored == nil {
			continue
		}
		if n, err := v.stored(b.Context()); err != nil || n != granted[i] {
			b.Errorf("%s: %d holds are stored, %d were acknowledged (%v)", v.name, n, granted[i], err)
		}
	}
	table.WriteString("\nRows stored = holds acknowledged, in every variant.\n")
	b.Log("\n" + table.String())
	if file := os.Getenv(envFile); file != "" && !b.Failed() {
		if err := os.WriteFile(file, []byte(table.String()), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
}

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
