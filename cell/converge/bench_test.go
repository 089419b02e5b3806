package converge_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"guichet/cell/search"
	"guichet/cell/search/bleve"
)

// benchEvents is the catalogue of a large cell.
const benchEvents = 100_000

// cpu is what this process has used; the database's work is not in it.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// step measures one thing once and tells it in seconds.
func step(b *testing.B, name string, do func(b *testing.B)) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		began, used := time.Now(), cpu(b)
		do(b)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(time.Since(began).Seconds(), "s")
		b.ReportMetric((cpu(b) - used).Seconds(), "cpu-s")
	})
}

// BenchmarkHeal wipes what a cell can lose and measures how long it takes to come back
// by itself. Run it with -benchtime 1x; docs/bench/converge.md has its numbers.
func BenchmarkHeal(b *testing.B) {
	w := openTown(b)
	w.mender.Pause = nil // as in a town
	fill(b, w.home, benchEvents)
	exec(b, w.home, `ANALYZE`)
	open := func(b *testing.B) *search.Indexer {
		b.Helper()
		index, err := bleve.Open(filepath.Join(b.TempDir(), "index"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = index.Close() })
		return search.NewIndexer(w.here, index, nil)
	}
	step(b, "new_cell_gets_all_documents", func(b *testing.B) {
		b.Helper()
		if o := w.pass(b); o.Put != benchEvents {
			b.Fatalf("%+v", o)
		}
	})
	exec(b, w.here, `ANALYZE`)
	step(b, "comparison_that_finds_nothing", func(b *testing.B) {
		b.Helper()
		if o := w.pass(b); o.Buckets != 0 {
			b.Fatalf("%+v", o)
		}
	})
	step(b, "wiped_index_is_filled_from_the_copy", func(b *testing.B) {
		b.Helper()
		x := open(b)
		if err := x.CatchUp(b.Context()); err != nil || x.Stats().Applied != benchEvents {
			b.Fatalf("%+v, %v", x.Stats(), err)
		}
	})
	exec(b, w.home, `UPDATE booking.event SET version = 4, name = 'Changed' WHERE event_id LIKE '%7_________'`)
	step(b, "wiped_leaf_lost_a_change_of_every_tenth", func(b *testing.B) {
		b.Helper()
		if o := w.pass(b); o.Put != benchEvents/10 {
			b.Fatalf("%+v", o)
		}
	})
}
