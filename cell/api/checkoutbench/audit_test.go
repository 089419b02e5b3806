package checkoutbench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// audits are what must be as many as orders were seen paid. P2, P3, P4.
var audits = []struct{ what, sql string }{
	{"orders", `SELECT count(*) FROM checkout.orders`},
	{"paid orders", `SELECT count(*) FROM checkout.orders WHERE state = 'paid'`},
	{"captured payments", `SELECT count(*) FROM payment.payment WHERE state = 'captured' AND received = amount`},
	{"whole sets of tickets", `SELECT count(*) FROM (SELECT order_id FROM checkout.ticket WHERE state = 'valid' GROUP BY order_id HAVING count(*) = 2) AS o`},
	{"invoices", `SELECT count(*) FROM checkout.paper WHERE kind = 'invoice'`},
	{"sales booked", `SELECT count(DISTINCT entry_id) FROM payment.posting`},
	{"mails", `SELECT count(*) FROM notify.message`},
}

// flaws are what there must be none of.
var flaws = []struct{ what, sql string }{
	{"entries do not sum to zero", `SELECT count(*) FROM (SELECT entry_id FROM payment.posting GROUP BY entry_id HAVING sum(amount) <> 0) AS e`},
	{"tickets beyond the sets", `SELECT count(*) - 2 * (SELECT count(*) FROM checkout.orders) FROM checkout.ticket`},
	{"sold are not tickets", `SELECT (SELECT sum(sold) FROM booking.quota)::bigint - count(*) FROM checkout.ticket WHERE state = 'valid'`},
	{"held have no hold", `SELECT (SELECT sum(held) FROM booking.quota)::bigint - coalesce(sum((h.items->0->>'quantity')::bigint), 0)::bigint FROM booking.hold AS h WHERE h.state = 'active'`},
	{"sagas did not succeed", `SELECT count(*) FROM saga.run WHERE status <> 'succeeded'`},
}

// audit holds the rows stored to what the clients were told.
func audit(b *testing.B, w *way, told int64) {
	b.Helper()
	want := map[string]int64{"sagas": 0}
	if w.sagas {
		want["sagas"] = told
	}
	if n := w.house.ended(b); n != want["sagas"] {
		b.Errorf("%s: %d sagas ended, want %d", w.name, n, want["sagas"])
	}
	for _, a := range audits {
		if n := w.house.number(b, a.sql); n != told {
			b.Errorf("%s: %d %s, the clients saw %d orders paid", w.name, n, a.what, told)
		}
	}
	for _, f := range flaws {
		if n := w.house.number(b, f.sql); n != 0 {
			b.Errorf("%s: %d %s", w.name, n, f.what)
		}
	}
	if n := w.house.faults.count.Load(); n != 0 {
		b.Errorf("%s: %d faults in the background, the last: %v", w.name, n, w.house.faults.last.Load())
	}
}

func (h *house) number(b *testing.B, sql string) (n int64) {
	b.Helper()
	if err := h.store.DB.Pool.QueryRow(b.Context(), sql).Scan(&n); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (h *house) ended(b *testing.B) int64 {
	b.Helper()
	return h.number(b, `SELECT count(*) FROM saga.run WHERE status = 'succeeded'`)
}

// used is what a round took: of the cores in this process (cell, sandbox and
// clients) and in the database's sessions, of the desk's time, and of the log.
type used struct {
	here, there, desk          time.Duration
	batches, ops, commits, wal int64
	statements                 int64 // sent to the database, BEGIN and COMMIT too
}

func (u used) plus(o used) used {
	return used{u.here + o.here, u.there + o.there, u.desk + o.desk, u.batches + o.batches, u.ops + o.ops, u.commits + o.commits, u.wal + o.wal, u.statements + o.statements}
}

func (u used) minus(o used) used {
	return used{u.here - o.here, u.there - o.there, u.desk - o.desk, u.batches - o.batches, u.ops - o.ops, u.commits - o.commits, u.wal - o.wal, u.statements - o.statements}
}

// tick is the kernel's unit in /proc/<pid>/stat.
const tick = 10 * time.Millisecond

// settling lets PostgreSQL's sessions report their commits, which they do once a second;
// what is left of a round (money taken after the tickets) is done by then too.
const settling = 1200 * time.Millisecond

func usage(b *testing.B, h *house) (u used) {
	b.Helper()
	time.Sleep(settling)
	u.desk, u.batches, u.ops = time.Duration(h.desk.busy.Load()), h.desk.batches.Load(), h.desk.ops.Load()
	u.statements = h.statements.sent.Load()
	u.commits = h.number(b, `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`)
	u.wal = h.number(b, `SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint`)
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		u.here = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	u.there = sessions(h)
	return u
}

// sessions is the CPU of the database's sessions; where there is no /proc it is zero.
func sessions(h *house) (sum time.Duration) {
	database := h.store.DB.Pool.Config().ConnConfig.Database
	titles, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, title := range titles {
		text, _ := os.ReadFile(title)
		if !strings.HasPrefix(string(text), "postgres:") || !strings.Contains(string(text), database) {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(title), "stat"))
		_, behind, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(behind); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			sum += time.Duration(user+system) * tick
		}
	}
	return sum
}
