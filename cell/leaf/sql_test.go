package leaf_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/leaf"
	"guichet/cell/store"
	"guichet/control-plane/topology"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

func migrateCell(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "migrate")
	if err != nil {
		return err
	}
	defer db.Close()
	return store.New(db, "euw3").Migrate(ctx)
}

func database(t *testing.T, cell topology.CellID) *store.Store {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrateCell), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return store.New(db, cell)
}

// dying is an outbox whose relay is killed between publish and cursor.
type dying struct{ *store.Store }

var errKilled = errors.New("killed between publish and cursor")

func (dying) Advance(context.Context, int, int64, int64) error { return errKilled }

func TestFacts_fromSQLToSQLHappenOnceThroughEveryCrash(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	from, to := database(t, "euw3"), database(t, "use1")
	const facts = 40
	for i := range facts {
		m := store.Outgoing{Key: fmt.Sprint("evt", i%5), Subject: doc("euw3", i), Payload: []byte(fmt.Sprint(i))}
		if err := from.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error { return from.Publish(ctx, tx, m) }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.leaves["euw3"].NewRelay(dying{from}).Pass(t.Context()); !errors.Is(err, errKilled) {
		t.Fatalf("got %v", err)
	}

	var mu sync.Mutex
	effects, deliveries := map[string]int{}, 0
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.leaves["use1"].Consume(ctx, "books", []string{bus.EveryCatalog}, func(ctx context.Context, m bus.Message) error {
			var first bool
			if err := to.InTx(ctx, func(ctx context.Context, tx txn.Tx) (err error) {
				first, err = to.Once(ctx, tx, "books", m.ID)
				return err
			}); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if deliveries++; first {
				effects[string(m.Payload)]++
				return errors.New("killed between commit and acknowledgement")
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.relay(w.leaves["euw3"], from)

	eventually(t, "every fact was delivered twice", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return deliveries >= 2*facts
	})
	eventually(t, "the relay is done", func() bool {
		spans, err := from.Moved(t.Context())
		return err == nil && len(spans) == 0
	})
	mu.Lock()
	defer mu.Unlock()
	for i := range facts {
		if effects[fmt.Sprint(i)] != 1 {
			t.Errorf("fact %d had %d effects", i, effects[fmt.Sprint(i)])
		}
	}
	if len(effects) != facts {
		t.Errorf("%d effects", len(effects))
	}
}

func TestLeaf_thatLostItsDiskIsToldAgainFromSQL(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.closeHub() // nobody else has the facts
	o := database(t, "sae1")
	const facts = 20
	for i := range facts {
		if err := o.Publish(t.Context(), txn.None, store.Outgoing{Key: fmt.Sprint(i), Subject: doc("sae1", i), Payload: []byte(fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := leaf.Start(t.Context(), leaf.Config{Cell: "sae1", StoreDir: t.TempDir(), Parking: w.parked, Log: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		if more, err = first.NewRelay(o).Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first.Close() // and its directory with it

	second := w.openLeaf("sae1", t.TempDir(), w.hubCfg.LeafListen)
	mine := w.consume(second, "mine", bus.EveryCatalog)
	if _, err := o.Rewind(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.relay(second, o).Wake()
	eventually(t, "all facts are there again", func() bool { return mine.count() == facts })
}
