package store

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

func migrateSeries(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	return New(db, "euw3").Migrate(ctx)
}

// theatre is a store with a series of so many nights.
func theatre(t testing.TB, nights int) (*Store, booking.Series) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateSeries), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := New(db, "euw3")
	now := time.Now()
	price := money.Money{Amount: 2500, Currency: "EUR"}
	d := booking.DraftSeries{Name: "Play", Publish: true, Rule: fmt.Sprintf("FREQ=DAILY;COUNT=%d", min(nights, 2500)), Template: booking.Draft{
		Venue: booking.Venue{Name: "Theatre", City: "Paris", Country: "FR"}, StartsAt: now.AddDate(0, 0, 1).Truncate(time.Hour), TimeZone: "Europe/Paris", Currency: "EUR",
		Quotas: []booking.DraftQuota{{Name: "floor", Size: 400}, {Name: "balcony", Size: 100}},
		Types:  []booking.DraftType{{Name: "Floor", Price: price, Quotas: []string{"floor"}}, {Name: "Balcony", Price: price, Quotas: []string{"balcony"}}},
	}}
	if nights > 2500 {
		d.Slots = []booking.Slot{{Name: "matinee", At: "15:00"}, {Name: "evening", At: "20:00"}}
	}
	box := &booking.Service{Store: s, Cell: "euw3", Region: "eu-west-3", Now: time.Now}
	series, _, err := box.CreateSeries(t.Context(), id.NewOrganizer("euw3"), d, booking.Key{Key: "k", Fingerprint: "f"})
	if err != nil || series.Made != int64(nights) {
		t.Fatalf("%d of %d nights, %v", series.Made, nights, err)
	}
	return s, series
}

// Regression 13, by the plan instead of by the clock: a page in the middle of
// 5,000 dates walks the index from its place on and sorts nothing, with the values
// at hand and with a plan made before they were known.
func TestOccurrences_readThroughTheIndex(t *testing.T) {
	t.Parallel()
	s, series := theatre(t, booking.MaxOccurrences)
	if _, err := s.DB.Pool.Exec(t.Context(), `ANALYZE booking.event`); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		plan := explain(t, s, mode, selectOccurrences, series.ID.String(), series.CreatedAt.AddDate(3, 0, 0), "", never(), false, 101)
		if !strings.Contains(plan, "Index Scan using event_by_series") || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") ||
			!strings.Contains(plan, "ROW(starts_at, event_id) >") || strings.Contains(plan, "Filter: (ROW(") {
			t.Errorf("%s:\n%s", mode, plan)
		}
	}
}

func never() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

func explain(t *testing.T, s *Store, mode, sql string, args ...any) string {
	t.Helper()
	var lines []string
	err := s.DB.InTx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		lines = nil
		if _, err := tx.Exec(ctx, `SET LOCAL plan_cache_mode = `+mode); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DEALLOCATE ALL`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `PREPARE page AS `+sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		var values []string
		for _, a := range args {
			switch v := a.(type) {
			case time.Time:
				values = append(values, "'"+v.Format(time.RFC3339)+"'")
			case string:
				values = append(values, "'"+v+"'")
			default:
				values = append(values, fmt.Sprint(v))
			}
		}
		rows, err := tx.Query(ctx, `EXPLAIN EXECUTE page (`+strings.Join(values, ", ")+`)`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// BenchmarkSeries measures what docs/bench/series.md tells.
func BenchmarkSeries(b *testing.B) {
	began := time.Now()
	s, series := theatre(b, booking.MaxOccurrences)
	making := time.Since(began)
	if _, err := s.DB.Pool.Exec(b.Context(), `ANALYZE booking.event`); err != nil {
		b.Fatal(err)
	}
	read := func(after booking.Place, limit int) []booking.Event {
		page, err := s.Occurrences(b.Context(), series.ID, after, never(), false, limit)
		if err != nil {
			b.Fatal(err)
		}
		return page
	}
	first := booking.Place{At: time.Unix(0, 0)}
	middle := booking.Place{At: series.CreatedAt.AddDate(3, 0, 0)}
	for _, c := range []struct {
		name  string
		after booking.Place
		limit int
	}{{"first20", first, 20}, {"first100", first, 100}, {"middle100", middle, 100}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if n := len(read(c.after, c.limit)); n != c.limit {
					b.Fatalf("%d of %d", n, c.limit)
				}
			}
		})
	}
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			n := 0
			for after := first; ; {
				page := read(after, 100)
				if n += len(page); len(page) == 0 {
					break
				}
				last := page[len(page)-1]
				after = booking.Place{At: last.StartsAt, Event: last.ID.String()}
			}
			if n != booking.MaxOccurrences {
				b.Fatalf("%d occurrences", n)
			}
		}
	})
	_, _ = fmt.Fprintf(os.Stderr, "made %d published occurrences in %s\n", series.Made, making)
}
