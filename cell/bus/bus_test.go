package bus_test

import (
	"errors"
	"strings"
	"testing"

	"guichet/cell/bus"
)

func TestSubject_namesItsCellAndNobodyElseOwnsIt(t *testing.T) {
	t.Parallel()
	for _, subject := range []string{
		bus.Catalog("euw3", "evt_use1_k3v9x2m4q7rt"),
		bus.Availability("euw3"),
	} {
		if got := bus.CellOf(subject); got != "euw3" {
			t.Errorf("CellOf(%q) = %q", subject, got)
		}
		if !bus.Owns("euw3", subject) || bus.Owns("use1", subject) || bus.Owns("euw3b", subject) {
			t.Errorf("%q must be owned by euw3 alone", subject)
		}
	}
	for _, stranger := range []string{"", "cell", "cell.euw3.cmd.x", "cell.euw3.evt.order.o.paid", "glb.catalog", "glb.other.euw3", "cell.EUW3.evt.a.b.c", "$JS.API.INFO"} {
		if got := bus.CellOf(stranger); got != "" {
			t.Errorf("CellOf(%q) = %q, want none", stranger, got)
		}
	}
}

func TestOutgoing_thatCannotTravelIsRefusedBeforeItIsStored(t *testing.T) {
	t.Parallel()
	good := bus.Outgoing{Key: "evt_euw3_k3v9x2m4q7rt", Subject: bus.Catalog("euw3", "evt_euw3_k3v9x2m4q7rt"), Payload: []byte("{}")}
	if err := good.Check("euw3"); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*bus.Outgoing){
		"no key":         func(m *bus.Outgoing) { m.Key = "" },
		"long key":       func(m *bus.Outgoing) { m.Key = strings.Repeat("k", bus.MaxKey+1) },
		"large":          func(m *bus.Outgoing) { m.Payload = make([]byte, bus.MaxPayload+1) },
		"wildcard":       func(m *bus.Outgoing) { m.Subject = "glb.catalog.euw3.*" },
		"space":          func(m *bus.Outgoing) { m.Subject = "glb.catalog.euw3.a b" },
		"empty token":    func(m *bus.Outgoing) { m.Subject = "glb.catalog.euw3..a" },
		"an order":       func(m *bus.Outgoing) { m.Subject = bus.Catalog("euw3", "ord_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v") },
		"a ticket":       func(m *bus.Outgoing) { m.Subject = bus.Catalog("euw3", "evt_euw3_k3v9x2m4q7rt_8h2kd0q1w5zz9c6v") },
		"a fact":         func(m *bus.Outgoing) { m.Subject = "cell.euw3.evt.order.o1.paid" },
		"trailing dot":   func(m *bus.Outgoing) { m.Subject = "glb.catalog.euw3." },
		"another's":      func(m *bus.Outgoing) { m.Subject = bus.Catalog("use1", "evt_use1_k3v9x2m4q7rt") },
		"long subject":   func(m *bus.Outgoing) { m.Subject = "glb.catalog.euw3." + strings.Repeat("x", bus.MaxSubject) },
		"foreign prefix": func(m *bus.Outgoing) { m.Subject = "$JS.API.STREAM.DELETE.OUT" },
	} {
		m := good
		spoil(&m)
		if err := m.Check("euw3"); !errors.Is(err, bus.ErrUnfit) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBucketOf_spreadsKeysAndIsStable(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for i := range 1000 {
		b := bus.BucketOf(strings.Repeat("x", i%50) + string(rune('a'+i%26)))
		if b < 0 || b >= bus.Buckets {
			t.Fatalf("bucket %d", b)
		}
		seen[b] = true
	}
	if len(seen) != bus.Buckets {
		t.Errorf("only %d buckets used", len(seen))
	}
	// Rows written by an older binary stay in the order of the same bucket.
	if got := bus.BucketOf("evt_euw3_k3v9x2m4q7rt"); got != 14 {
		t.Errorf("the hash changed: bucket %d", got)
	}
}

func FuzzCellOf(f *testing.F) {
	for _, seed := range []string{"glb.avail.euw3", "glb.catalog.euw3.evt_euw3_k3v9x2m4q7rt", "....", "glb.catalog.use1.\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		if cell := bus.CellOf(subject); cell != "" && !strings.Contains(subject, string(cell)) {
			t.Errorf("CellOf(%q) invented %q", subject, cell)
		}
	})
}
