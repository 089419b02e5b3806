package leaf_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/leaf"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

func TestFact_publishedAtOneCellArrivesOnceAtAll(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	var heard []*heard
	for _, c := range cells {
		heard = append(heard, w.consume(w.leaves[c], "indexer", bus.EveryCatalog))
	}
	o := newOutbox("euw3")
	var want []string
	for i := range 600 { // more than two batches in some buckets
		payload := fmt.Sprintf("doc %d", i)
		o.put(fmt.Sprint("evt", i%3), doc("euw3", i), payload)
		want = append(want, payload)
	}
	w.relay(w.leaves["euw3"], o).Wake()
	eventually(t, "every leaf has every document", func() bool {
		return heard[0].count() == 600 && heard[1].count() == 600 && heard[2].count() == 600
	})
	for i, c := range cells {
		heard[i].allOnce(t, string(c), want...)
	}
	eventually(t, "the cursor is at the end", func() bool { return !o.pending() })
}

func TestFact_ownAndOthersComeInTheOrderOfTheirBucket(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	got := map[topology.CellID]chan string{}
	for _, c := range cells {
		ch := make(chan string, 2000)
		got[c] = ch
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = w.leaves[c].ConsumeBatch(ctx, "reader", []string{bus.EveryCatalog}, 64, func(_ context.Context, batch []bus.Message) error {
				for _, m := range batch {
					ch <- string(m.Payload)
				}
				return nil
			})
		}()
		t.Cleanup(func() { cancel(); <-done })
	}
	o := newOutbox("use1")
	for i := range 1000 {
		o.put("one key", doc("use1", 0), fmt.Sprint(i))
	}
	w.relay(w.leaves["use1"], o).Wake()
	for _, c := range cells {
		for i := range 1000 {
			select {
			case p := <-got[c]:
				if p != fmt.Sprint(i) {
					t.Fatalf("%s heard %s in place of %d", c, p, i)
				}
			case <-time.After(patience):
				t.Fatalf("%s stopped hearing at %d", c, i)
			}
		}
	}
}

func TestMessageID_ofTwoCellsWithTheSameSeqDoesNotCollide(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	listener := w.consume(w.leaves["apn1"], "indexer", bus.EveryCatalog)
	for _, c := range []topology.CellID{"euw3", "use1"} {
		o := newOutbox(c) // both rows are bucket b, seq 1
		o.put("same key", doc(c, 0), "from "+string(c))
		w.relay(w.leaves[c], o).Wake()
	}
	eventually(t, "both arrive", func() bool { return listener.count() == 2 })
	listener.allOnce(t, "apn1", "from euw3", "from use1")
}

func TestHub_killedNobodyNoticesAndThenItCatchesUp(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	local := w.consume(w.leaves["euw3"], "local", bus.EveryCatalog)
	far := w.consume(w.leaves["apn1"], "far", bus.EveryCatalog)
	o := newOutbox("euw3")
	relay := w.relay(w.leaves["euw3"], o)
	put := func(from, to int) {
		for i := from; i < to; i++ {
			o.put("k", doc("euw3", 0), fmt.Sprint(i))
		}
		relay.Wake()
	}
	if err := w.hub.Publish(t.Context(), mapText(7)); err != nil {
		t.Fatal(err)
	}
	put(0, 10)
	eventually(t, "the far cell hears", func() bool { return far.count() == 10 })
	eventually(t, "the mirror has the map", func() bool {
		text, _, err := w.leaves["euw3"].Topology(t.Context())
		return err == nil && string(text) == string(mapText(7))
	})

	w.closeHub()
	put(10, 30)
	eventually(t, "local facts flow without the hub", func() bool { return local.count() == 30 })
	if text, _, err := w.leaves["euw3"].Topology(t.Context()); err != nil || string(text) != string(mapText(7)) {
		t.Errorf("the map without the hub: %s %v", text, err)
	}
	if err := w.leaves["euw3"].Ready(t.Context()); err != nil {
		t.Errorf("a leaf without the hub is ready: %v", err)
	}
	if far.count() != 10 {
		t.Errorf("the far cell heard %d without a hub", far.count())
	}

	w.openHub()
	put(30, 40)
	eventually(t, "the far cell catches up", func() bool { return far.count() == 40 })
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
	}
	far.allOnce(t, "apn1", want...)
	local.allOnce(t, "euw3", want...)
	if err := w.hub.Publish(t.Context(), mapText(8)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mirror catches up", func() bool {
		text, _, err := w.leaves["apn1"].Topology(t.Context())
		return err == nil && string(text) == string(mapText(8))
	})
}

func TestHub_thatLostItsDiskGathersAgainAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	far := w.consume(w.leaves["apn1"], "far", bus.EveryCatalog)
	o := newOutbox("euw3")
	relay := w.relay(w.leaves["euw3"], o)
	for i := range 50 {
		o.put("k", doc("euw3", 0), fmt.Sprint(i))
	}
	relay.Wake()
	eventually(t, "the far cell hears", func() bool { return far.count() == 50 })
	w.closeHub()
	if err := os.RemoveAll(w.hubCfg.StoreDir); err != nil {
		t.Fatal(err)
	}
	for i := 50; i < 60; i++ {
		o.put("k", doc("euw3", 0), fmt.Sprint(i))
	}
	relay.Wake()
	w.openHub()
	eventually(t, "the far cell hears what came meanwhile", func() bool { return far.count() == 60 })
}

func TestLeaf_startsColdWithoutTheHubAndFindsItLater(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.closeHub()
	dir := t.TempDir()
	alone := w.openLeaf("sae1", dir, w.hubCfg.LeafListen)
	mine := w.consume(alone, "mine", bus.EveryCatalog)
	o := newOutbox("sae1")
	o.put("k", doc("sae1", 0), "hello")
	w.relay(alone, o).Wake()
	eventually(t, "it hears itself", func() bool { return mine.count() == 1 })
	if _, _, err := alone.Topology(t.Context()); !errors.Is(err, leaf.ErrNoTopology) {
		t.Errorf("no map came yet: %v", err)
	}
	if alone.Hub() {
		t.Error("there is no hub")
	}
	w.openHub()
	if err := w.hub.Gather(t.Context(), append([]topology.CellID{"sae1"}, cells...)); err != nil {
		t.Fatal(err)
	}
	far := w.consume(w.leaves["use1"], "far", bus.EveryCatalog)
	eventually(t, "a cell that joined is heard by the others", func() bool { return far.count() == 1 })
	eventually(t, "the leaf knows its hub", alone.Hub)
}

func TestRelay_thatDiedBetweenPublishAndCursorRepeatsWithoutASecondEffect(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	far := w.consume(w.leaves["apn1"], "far", bus.EveryCatalog)
	o := newOutbox("euw3")
	for i := range 20 {
		o.put("k", doc("euw3", 0), fmt.Sprint(i))
	}
	o.broken = errors.New("killed here")
	first := w.leaves["euw3"].NewRelay(o)
	if _, err := first.Pass(t.Context()); !errors.Is(err, o.broken) {
		t.Fatalf("the first relay must die at the cursor: %v", err)
	}
	o.mu.Lock()
	o.broken = nil
	o.mu.Unlock()
	o.put("k", doc("euw3", 0), "20")
	w.relay(w.leaves["euw3"], o).Wake()
	eventually(t, "all arrive", func() bool { return far.count() == 21 })
	far.mu.Lock()
	defer far.mu.Unlock()
	for payload, n := range far.effects {
		if n != 1 {
			t.Errorf("%s had %d effects", payload, n)
		}
	}
	if len(far.attempts) != 21 {
		t.Errorf("%d message ids for 21 rows", len(far.attempts))
	}
}

func TestConsume_parksPoisonAndTheOthersFlow(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.closeHub() // own facts need nobody
	o := newOutbox("euw3")
	for i := range 30 {
		payload := fmt.Sprint(i)
		if i%10 == 3 {
			payload = "poison " + payload
		}
		o.put("k", doc("euw3", 0), payload)
	}
	h := &heard{fail: func(m bus.Message) error {
		switch {
		case string(m.Payload) == "poison 3":
			panic("a bug in the handler")
		case strings.HasPrefix(string(m.Payload), "poison"):
			return errPoison
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.leaves["euw3"].ConsumeBatch(ctx, "reader", []string{bus.EveryCatalog}, 16, func(ctx context.Context, batch []bus.Message) error {
			for _, m := range batch { // all or nothing, like a transaction
				if strings.HasPrefix(string(m.Payload), "poison") && len(batch) > 1 {
					return errPoison
				}
			}
			for _, m := range batch {
				if err := h.hear(ctx, m); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	w.relay(w.leaves["euw3"], o).Wake()
	eventually(t, "the healthy ones are through", func() bool { return h.count() == 27 })
	eventually(t, "the poison is parked", func() bool { return len(w.parked.all()) == 3 })
	for _, p := range w.parked.all() {
		if p.Consumer != "reader" || !strings.HasPrefix(string(p.Message.Payload), "poison") || p.Message.Delivery != leaf.MaxDeliveries || p.Reason == "" {
			t.Errorf("parked %+v", p)
		}
	}
}

func TestConsume_anOutageParksNothing(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	w.closeHub()
	away := kind.Unavailable.New("database_unavailable")
	tries := 0
	h := &heard{fail: func(bus.Message) error {
		if tries++; tries <= 2*leaf.MaxDeliveries {
			return fmt.Errorf("write: %w", away)
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.leaves["euw3"].Consume(ctx, "reader", []string{bus.EveryCatalog}, h.hear)
	}()
	t.Cleanup(func() { cancel(); <-done })
	o := newOutbox("euw3")
	// Several messages share the failures, so that no pause grows long.
	for i := range 5 {
		o.put("k", doc("euw3", 0), fmt.Sprint(i))
	}
	w.relay(w.leaves["euw3"], o).Wake()
	eventually(t, "the effects happen after the outage", func() bool { return h.count() == 5 })
	if p := w.parked.all(); len(p) != 0 {
		t.Errorf("parked %d in an outage", len(p))
	}
}

func TestConsume_goesOnWhereItWasAfterARestart(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	dir := t.TempDir()
	hubAddr := w.hubCfg.LeafListen
	o := newOutbox("sae1")
	start := func() (*leaf.Leaf, func()) {
		l, err := leaf.Start(t.Context(), leaf.Config{Cell: "sae1", StoreDir: dir, HubURL: "nats-leaf://" + hubAddr, Seed: nkeyOf("sae1").seed, Parking: w.parked, Log: quiet(t)})
		if err != nil {
			t.Fatal(err)
		}
		return l, l.Close
	}
	listen := func(l *leaf.Leaf, want int) *heard {
		h := &heard{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = l.Consume(ctx, "reader", []string{bus.EveryCatalog}, h.hear) }()
		relayCtx, stopRelay := context.WithCancel(t.Context())
		relayed := make(chan struct{})
		go func() { defer close(relayed); l.NewRelay(o).Run(relayCtx) }()
		eventually(t, "it hears", func() bool { return h.count() == want })
		cancel()
		stopRelay()
		<-done
		<-relayed
		return h
	}
	o.put("k", doc("sae1", 0), "one")
	first, stop := start()
	listen(first, 1)
	stop()
	o.put("k", doc("sae1", 0), "two")
	second, stop := start()
	defer stop()
	listen(second, 1).allOnce(t, "after the restart", "two")
}

func TestConsume_twoUnderOneNameShareTheWork(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	l := w.leaves["euw3"]
	a, b := w.consume(l, "shared", bus.EveryCatalog), w.consume(l, "shared", bus.EveryCatalog)
	o := newOutbox("euw3")
	for i := range 200 {
		o.put(fmt.Sprint(i), doc("euw3", i), fmt.Sprint(i))
	}
	w.relay(l, o) // both relay the same outbox
	w.relay(l, o)
	eventually(t, "together they hear all", func() bool { return a.count()+b.count() == 200 })
	for p := range a.effects {
		if b.effects[p] != 0 {
			t.Errorf("%s was heard by both", p)
		}
	}
}

func TestBeat_reachesTheOthersWithoutAnOutbox(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	far := w.consume(w.leaves["use1"], "beats", bus.EveryAvailability)
	if err := w.leaves["apn1"].Beat(t.Context(), []byte(`{"cell":"apn1","changed":{}}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the beat arrives", func() bool { return far.count() == 1 })
}

func TestWatchTopology_givesEverySnapshotThatReachesTheMirror(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	versions := make(chan string, 100)
	go w.leaves["apn1"].WatchTopology(ctx, func(text []byte) { versions <- string(text) })
	for v := range int64(3) {
		if err := w.hub.Publish(t.Context(), mapText(v+1)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(patience)
	for v := ""; v != string(mapText(3)); {
		select {
		case v = <-versions:
		case <-deadline:
			t.Fatalf("version 3 did not come, the last was %q", v)
		}
	}
}

func TestConsume_anAckAtOneCellAcknowledgesNothingAtAnother(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fast := w.consume(w.leaves["euw3"], "reader", bus.EveryCatalog)
	slow := &heard{fail: func(m bus.Message) error {
		if m.Cell == "use1" && m.Delivery == 1 {
			eventually(t, "euw3 is done", func() bool { return fast.count() >= 5 })
			return errPoison
		}
		return nil
	}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.leaves["use1"].ConsumeBatch(ctx, "reader", []string{"glb.catalog.use1.*"}, 5, func(ctx context.Context, batch []bus.Message) error {
			var failed error
			for _, m := range batch {
				failed = errors.Join(failed, slow.hear(ctx, m))
			}
			return failed
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	mine := newOutbox("use1")
	for i := range 5 {
		mine.put("k", doc("use1", 0), fmt.Sprint("u", i))
	}
	w.relay(w.leaves["use1"], mine).Wake()
	eventually(t, "use1 has its five in hand", func() bool {
		slow.mu.Lock()
		defer slow.mu.Unlock()
		return !mine.pending()
	})
	o := newOutbox("euw3")
	for i := range 5 {
		o.put("k", doc("euw3", 0), fmt.Sprint("e", i))
	}
	w.relay(w.leaves["euw3"], o).Wake()
	eventually(t, "what failed at use1 comes again", func() bool { return slow.count() == 5 })
}
