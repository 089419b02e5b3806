package api_test

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/bus"
	"guichet/cell/client"
	"guichet/cell/leaf"
	"guichet/cell/search"
	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/internal/natsd"
)

// aBuyers is an id of something that belongs to a buyer.
var aBuyers = regexp.MustCompile(`(?:hld|ord|tkt|pay|ref)_[a-z]{2,4}[0-9][a-z]?_[0-9a-z]{12}_[0-9a-z]{16}`)

// A whole purchase passes over a real bus: what is on the disks of the hub and of two
// leaves afterwards names the event, and nothing that is the buyer's.
func TestBus_holdsNothingOfAPurchase(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	hubDir, ownDir, farDir := t.TempDir(), t.TempDir(), t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	seeds := map[topology.CellID]string{}
	var known []hub.Identity
	for _, c := range []topology.CellID{here, "use1"} {
		seed, public, err := natsd.NewNKey()
		if err != nil {
			t.Fatal(err)
		}
		seeds[c], known = seed, append(known, hub.Identity{Cell: c, NKey: public})
	}
	middle, err := hub.Start(t.Context(), hub.Config{LeafListen: "127.0.0.1:0", StoreDir: hubDir, Log: quiet, Read: func([]byte) (*topology.Snapshot, error) { return &topology.Snapshot{}, nil }, Cells: func() []hub.Identity { return known }})
	if err != nil {
		t.Fatal(err)
	}
	defer middle.Close()
	if err := middle.Gather(t.Context(), []topology.CellID{here, "use1"}); err != nil {
		t.Fatal(err)
	}
	attach := func(c topology.CellID, dir string) *leaf.Leaf {
		l, err := leaf.Start(t.Context(), leaf.Config{Cell: c, StoreDir: dir, HubURL: "nats-leaf://" + middle.LeafAddr(), Seed: seeds[c], Parking: s.store, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	own, far := attach(here, ownDir), attach("use1", farDir)
	defer own.Close()
	defer far.Close()

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	relay := own.NewRelay(s.store)
	beater := &search.Beater{Cell: here, Changes: s.store, Send: own.Beat, Now: time.Now}
	running.Go(func() { relay.Run(ctx) })
	running.Go(func() { beater.Run(ctx, func(err error) { t.Log(err) }) })
	var mu sync.Mutex
	heard := map[string]string{}
	running.Go(func() {
		_ = far.Consume(ctx, "test", []string{bus.EveryCatalog, bus.EveryAvailability}, func(_ context.Context, m bus.Message) error {
			mu.Lock()
			defer mu.Unlock()
			heard[m.Subject] += string(m.Payload)
			return nil
		})
	})

	_, sender := s.mailroom(t)
	held := s.hold(t, s.floor, 1)
	s.ask(t, "DELETE /v1/holds/"+held.ID, nil).want(t, "204")
	o := s.paid(t, s.floor, 2)
	given := s.ask(t, "POST /v1/tickets/"+o.Tickets[0].ID+"/transfer", recipient("Bob Benn", "bob@example.org")).want(t, "201")
	s.ask(t, "POST /v1/orders/"+o.ID+"/refunds", object{"amount": eur(1000), "reason": "late start"}, s.bearer).want(t, "201")
	canceled := s.paid(t, s.floor, 1)
	s.ask(t, "POST /v1/orders/"+canceled.ID+"/refunds", object{"reason": "I cannot come"}).want(t, "201")
	s.settled(t)
	pass(t, sender)
	s.ask(t, "PATCH "+s.path(), object{"name": "The very last words"}, s.bearer, ifMatch("*")).want(t, "200")
	eventually(t, "the other cell hears the newest of the catalogue and of availability", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(heard[bus.Catalog(here, s.event.ID)], "The very last words") && strings.Contains(heard[bus.Availability(here)], s.event.ID)
	})
	stop()
	running.Wait()
	middle.Close()
	own.Close()
	far.Close()

	secrets := []string{
		held.ID, o.ID, o.HoldID, o.Tickets[0].ID, o.Tickets[1].ID, o.Tickets[1].Barcode, canceled.ID, o.Code, "access_token",
		"ana@example.org", "Ana Lívia", "Bob Benn", "bob@example.org", "late start", "cannot come", read[client.Transfer](t, given).To.Email,
	}
	for name, dir := range map[string]string{"the hub": hubDir, "the own leaf": ownDir, "the other leaf": farDir} {
		text := contentsOf(t, dir)
		if !strings.Contains(text, s.event.ID) || !strings.Contains(text, "The very last words") {
			t.Errorf("%s does not even have the event: nothing was read", name)
		}
		for _, secret := range secrets {
			if secret == "" || strings.Contains(text, secret) {
				t.Errorf("%s has %q", name, secret)
			}
		}
		if found := aBuyers.FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
}

// contentsOf is what is in all files under a directory, names included.
func contentsOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all.WriteString(path + "\n")
		all.Write(raw)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all.String()
}
