package store_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/testserver"

	"guichet/cell/store"
	"guichet/internal/sqldb"
	"guichet/internal/sqldb/overlay"
)

const (
	home       = "eu-west-3"
	clusterSet = 3 * time.Minute // for ranges to have their three voters
)

// threeNodes are a cluster in three zones of one region, and a URL that names all.
func threeNodes(t *testing.T) (testserver.TestServer, string) {
	t.Helper()
	server, err := testserver.NewTestServer(testserver.CockroachBinaryPathOpt(cockroachBinary(t)), testserver.ThreeNodeOpt(), testserver.StoreOnDiskOpt(),
		testserver.LocalityFlagsOpt("region="+home+",zone=a", "region="+home+",zone=b", "region="+home+",zone=c"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	var hosts []string
	var all url.URL
	for i := range 3 {
		if err := server.WaitForInitFinishForNode(i); err != nil {
			t.Fatal(err)
		}
		all = *server.PGURLForNode(i)
		hosts = append(hosts, all.Host)
	}
	all.Host = strings.Join(hosts, ",")
	return server, all.String()
}

// A cell's way on a cluster of its own: the region, the schema, the ages, the proof; then a node
// dies under load.
func TestCluster_ofThreeNodesIsAtHomeAndOutlivesOne(t *testing.T) {
	t.Parallel()
	server, dsn := threeNodes(t)
	db, err := sqldb.Open(t.Context(), dsn, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	s := store.New(db, "euw3")
	for range 2 { // the second time all stands already
		for _, step := range []func(context.Context) error{
			func(ctx context.Context) error { return s.Settle(ctx, home) }, s.Migrate, s.Confine, s.Expire,
		} {
			if err := step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var proof overlay.Proof
	for end := time.Now().Add(clusterSet); !proof.Safe(); time.Sleep(time.Second) {
		p, can, err := overlay.Prove(t.Context(), db, home, time.Now)
		if err != nil || !can {
			t.Fatal(can, err)
		}
		if proof = p; time.Now().After(end) {
			t.Fatalf("after %s %v", clusterSet, p.Fault())
		}
	}
	if p, _, err := overlay.Prove(t.Context(), db, "us-east-1", time.Now); err != nil || p.AtHome() {
		t.Errorf("the rows are at home in another region: %+v, %v", p, err)
	}
	if _, err := db.Pool.Exec(t.Context(), `INSERT INTO booking.organizer (organizer_id, name, home_region, key_hash) VALUES ('o', '0', 'r', 'h')`); err != nil {
		t.Fatal(err)
	}
	count := func(ctx context.Context) error {
		return db.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE booking.organizer SET name = (name::bigint + 1)::text WHERE organizer_id = 'o'`)
			return err
		})
	}
	var done, lost atomic.Int64
	stop := make(chan struct{})
	silence := make(chan time.Duration)
	go func() {
		longest, last := time.Duration(0), time.Now()
		for {
			select {
			case <-stop:
				silence <- longest
				return
			default:
			}
			if err := count(t.Context()); err != nil {
				lost.Add(1) // may have happened: its answer was lost
				continue
			}
			done.Add(1)
			longest, last = max(longest, time.Since(last)), time.Now()
		}
	}()
	time.Sleep(2 * time.Second) // of load, before and after
	if err := server.StopNode(2); err != nil {
		t.Fatal(err)
	}
	before := done.Load()
	for end := time.Now().Add(time.Minute); done.Load() < before+20; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing was written for a minute after a node had died")
		}
	}
	close(stop)
	t.Logf("a node died: the longest silence was %s, %d writes were told, %d not", <-silence, done.Load(), lost.Load())
	var n int64
	if err := db.Pool.QueryRow(t.Context(), `SELECT name::bigint FROM booking.organizer WHERE organizer_id = 'o'`).Scan(&n); err != nil || n < done.Load() || n > done.Load()+lost.Load() {
		t.Errorf("%d writes are there (%v), %d were told and %d may be", n, err, done.Load(), lost.Load())
	}
}
