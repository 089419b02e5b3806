package converge_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"guichet/cell/client"
	"guichet/cell/converge"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// A cell that is new, was restored or was away for long gets what the streams have
// forgotten, and afterwards one call says that nothing differs.
func TestMender_bringsEveryPublishedEventToACellThatHasNone(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.home, 130)
	exec(t, w.home, `UPDATE booking.event SET state = 'draft' WHERE name = 'Concert 7'`)
	exec(t, w.home, `UPDATE booking.event SET state = 'canceled' WHERE name = 'Concert 8'`)
	exec(t, w.home, `UPDATE booking.event SET starts_at = now() - INTERVAL '402 days' WHERE name = 'Concert 9'`)
	exec(t, w.home, `UPDATE booking.event SET starts_at = now() - INTERVAL '300 days' WHERE name = 'Concert 10'`)
	woken := 0
	w.mender.Wake = func() { woken++ }
	if o := w.pass(t); o.Put != 127 || o.Removed != 0 || woken == 0 {
		t.Fatalf("%+v, the indexer was woken %d times", o, woken)
	}
	docs, _, err := w.here.DocumentsAfter(t.Context(), 0, 200)
	if err != nil || len(docs) != 127 || docs[0].Event.Home.Cell != "use1" || docs[0].Event.TicketTypes[0].Availability != client.Available {
		t.Errorf("%d documents, %v", len(docs), err)
	}
	asked := w.asked
	if o := w.pass(t); o != (converge.Outcome{}) || w.asked != asked+1 {
		t.Errorf("again: %+v with %d calls", o, w.asked-asked)
	}
}

func TestMender_healsAChangeAWithdrawalAndAHomeThatWentBack(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.home, 5)
	w.pass(t)
	event := func(n string) string { return "evt_use1_" + n + "00000000000" }
	exec(t, w.home, `UPDATE booking.event SET name = 'Opera', version = 4 WHERE event_id = $1`, event("1"))
	exec(t, w.home, `UPDATE booking.event SET state = 'canceled', version = 4 WHERE event_id = $1`, event("2"))
	exec(t, w.home, `UPDATE booking.event SET name = 'Restored', version = 2 WHERE event_id = $1`, event("3"))
	if o := w.pass(t); o.Put != 2 || o.Removed != 1 || o.Buckets != 3 {
		t.Errorf("%+v", o)
	}
	for n, want := range map[string]string{"1": "Opera", "3": "Restored", "4": "Concert 4"} {
		if name, there := w.named(t, event(n)); name != want || !there {
			t.Errorf("event %s is %q, published %t", n, name, there)
		}
	}
	if name, there := w.named(t, event("2")); name != "Concert 2" || there {
		t.Errorf("the canceled event is %q, published %t", name, there)
	}
	exec(t, w.home, `UPDATE booking.event SET state = 'published', version = 5 WHERE event_id = $1`, event("2"))
	if o := w.pass(t); o.Put != 1 {
		t.Errorf("published again: %+v", o)
	}
	if _, there := w.named(t, event("2")); !there {
		t.Error("what was published again is not there")
	}
	if o := w.pass(t); o != (converge.Outcome{}) {
		t.Errorf("at the end: %+v", o)
	}
}

// behind is a peer from which something comes by the bus while it is asked.
type behind struct {
	converge.Peer
	meanwhile func()
}

func (b behind) Documents(ctx context.Context, events []string) ([]search.Document, error) {
	docs, err := b.Peer.Documents(ctx, events)
	b.meanwhile()
	return docs, err
}

func TestMender_takesNothingBackThatTheBusBroughtMeanwhile(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.home, 2)
	w.pass(t)
	one := "evt_use1_100000000000"
	exec(t, w.home, `UPDATE booking.event SET name = 'Four', version = 4 WHERE event_id = $1`, one)
	peer := w.mender.Peer("use1")
	w.mender.Peer = func(topology.CellID) converge.Peer {
		return behind{peer, func() {
			d := search.NewDocument(client.Event{ID: one, Name: "Five", Version: 5, StartsAt: time.Now(), Home: client.Home{Cell: "use1"}}, true)
			if err := w.here.PutDocuments(t.Context(), search.Consumer, "m5", []search.Document{d}); err != nil {
				t.Error(err)
			}
		}}
	}
	if o := w.pass(t); o.Put != 0 {
		t.Errorf("%+v", o)
	}
	if name, _ := w.named(t, one); name != "Five" {
		t.Errorf("it is %q", name)
	}
}

// liar is a cell that speaks of what is not its.
type liar struct{ docs []search.Document }

func (l liar) Digest(context.Context) (converge.Digest, error) {
	d := converge.Digest{}
	for i := range l.docs {
		d.Add(converge.Entry{Event: l.docs[i].ID(), Version: 9})
	}
	return d, nil
}

func (l liar) Entries(_ context.Context, bucket, _ string) (out []converge.Entry, next string, err error) {
	for i := range l.docs {
		if converge.BucketOf(l.docs[i].ID()) == bucket {
			out = append(out, converge.Entry{Event: l.docs[i].ID(), Version: 9})
		}
	}
	return out, "", nil
}

func (l liar) Documents(context.Context, []string) ([]search.Document, error) { return l.docs, nil }

func TestMender_believesACellAboutItsOwnEventsOnly(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	doc := func(cell topology.CellID, home string, published bool) search.Document {
		return search.NewDocument(client.Event{ID: id.NewEvent(cell).String(), Name: "lie", Version: 9, StartsAt: time.Now(), Home: client.Home{Cell: home}}, published)
	}
	good := doc("use1", "use1", true)
	lies := liar{[]search.Document{doc("euw3", "use1", true), doc("use1", "euw3", true), doc("use1", "use1", false), {}, good}}
	w.mender.Peer = func(topology.CellID) converge.Peer { return lies }
	o := w.pass(t)
	for _, d := range lies.docs {
		if d.ID() == "" {
			continue
		}
		if _, there := w.named(t, d.ID()); there != (d.ID() == good.ID()) {
			t.Errorf("%s of home %s, published %t, was taken: %t", d.ID(), d.Event.Home.Cell, d.Published, there)
		}
	}
	if o.Put != 1 || len(w.refused) == 0 {
		t.Errorf("%+v, refused %v", o, w.refused)
	}
}

// A cell's own events reach its own copy over the bus too; what was lost there heals likewise.
func TestMender_healsACellsOwnCopy(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.here, 20)
	w.mender.Peer = func(topology.CellID) converge.Peer {
		return &converge.Home{Cell: "euw3", Own: w.here, Now: time.Now}
	}
	o, err := w.mender.Pass(t.Context(), "euw3")
	if err != nil || o.Put != 20 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestHome_answersCellsAloneWhereThereAreCertificates(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.home, 3)
	ask := func(method, path, peer string) int {
		r := httptest.NewRequest(method, path, http.NoBody)
		if peer != "" {
			r.TLS = &tls.ConnectionState{}
		}
		if peer != "" && peer != "nobody" {
			name, err := url.Parse("spiffe://guichet/" + peer)
			if err != nil {
				t.Fatal(err)
			}
			r.TLS.PeerCertificates = []*x509.Certificate{{URIs: []*url.URL{name}}}
		}
		rec := httptest.NewRecorder()
		w.told.Handler().ServeHTTP(rec, r)
		return rec.Code
	}
	for _, c := range []struct {
		method, path, peer string
		want               int
	}{
		{"GET", "digest", "cell/euw3", 200},
		{"GET", "digest", "", 200}, // a town without certificates
		{"GET", "digest", "nobody", 404},
		{"GET", "digest", "router/edge", 404},
		{"GET", "digest", "operator/town", 404},
		{"POST", "digest", "cell/euw3", 404},
		{"GET", "other", "cell/euw3", 404},
		{"GET", "entries?bucket=evt_use1_10", "cell/euw3", 200},
		{"GET", "entries", "cell/euw3", 400},
		{"GET", "entries?bucket=evt_use1_1", "cell/euw3", 400},
		{"GET", "entries?bucket=evt_use1_%25%25", "cell/euw3", 400},
		{"GET", "documents?event=evt_use1_100000000000", "cell/euw3", 200},
		{"GET", "documents", "cell/euw3", 400},
		{"GET", "documents?event=x", "cell/euw3", 400},
	} {
		if got := ask(c.method, converge.Path+c.path, c.peer); got != c.want {
			t.Errorf("%s %s by %q: %d, want %d", c.method, c.path, c.peer, got, c.want)
		}
	}
}

// Who asks while others are being answered waits for its turn, and no longer than its deadline.
func TestHome_doesOneDearThingAtATime(t *testing.T) {
	t.Parallel()
	began, end := make(chan struct{}), make(chan struct{})
	h := &converge.Home{Own: slow{began, end}, Now: time.Now}
	done := make(chan error, 1)
	go func() { _, err := h.Digest(context.Background()); done <- err }()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Documents(ctx, []string{"evt_use1_100000000000"}); !errors.Is(err, converge.ErrBusy) || kind.As(err).Retry == 0 {
		t.Errorf("while it is busy: %v", err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type slow struct{ began, end chan struct{} }

func (s slow) Entries(context.Context, string, string, int) ([]converge.Entry, string, error) {
	close(s.began)
	<-s.end
	return nil, "", nil
}

func (s slow) PublishedDocuments(context.Context, []string) ([]search.Document, error) {
	return nil, nil
}

func TestDigest_differsByWhatIsMissingOlderOrToo(t *testing.T) {
	t.Parallel()
	sum := func(entries ...converge.Entry) converge.Digest {
		d := converge.Digest{}
		for _, e := range entries {
			d.Add(e)
		}
		return d
	}
	a, b, c := converge.Entry{"evt_use1_1a0000000000", 1}, converge.Entry{"evt_use1_1a0000000001", 2}, converge.Entry{"evt_euw3_1a0000000000", 1}
	older := converge.Entry{b.Event, 1}
	for name, d := range map[string]struct {
		ours, theirs converge.Digest
		want         []string
	}{
		"the same in another order": {sum(a, b, c), sum(c, b, a), nil},
		"nothing":                   {sum(), sum(converge.Entry{"ord_use1_1a0000000000_0000000000000000", 1}), nil},
		"missing here":              {sum(a), sum(a, b), []string{"evt_use1_1a"}},
		"missing there":             {sum(a, c), sum(a), []string{"evt_euw3_1a"}},
		"older":                     {sum(a, older), sum(a, b), []string{"evt_use1_1a"}},
		"versions changed places":   {sum(a, b), sum(converge.Entry{a.Event, 2}, older), []string{"evt_use1_1a"}},
	} {
		if got := d.ours.Differ(d.theirs); !slices.Equal(got, d.want) {
			t.Errorf("%s: %v, want %v", name, got, d.want)
		}
	}
}

// A copy does not grow for ever: what is published no more is remembered for a while,
// and so is what a cell said of its stock.
func TestSweepCatalogue_forgetsTombstonesAndHintsAfterTheirTime(t *testing.T) {
	t.Parallel()
	w := openTown(t)
	fill(t, w.home, 4)
	w.pass(t)
	exec(t, w.here, `UPDATE search.document SET published = false, changed_at = now() - INTERVAL '31 days' WHERE event_id = 'evt_use1_100000000000'`)
	exec(t, w.here, `UPDATE search.document SET published = false, changed_at = now() - INTERVAL '29 days' WHERE event_id = 'evt_use1_200000000000'`)
	exec(t, w.here, `UPDATE search.document SET changed_at = now() - INTERVAL '400 days' WHERE event_id = 'evt_use1_300000000000'`)
	exec(t, w.here, `INSERT INTO search.availability (event_id, cell, class, as_of) VALUES
		('evt_use1_100000000000', 'use1', 'few', now() - INTERVAL '8 days'), ('evt_use1_300000000000', 'use1', 'few', now() - INTERVAL '6 days')`)
	if n, err := w.here.SweepCatalogue(t.Context()); err != nil || n != 2 {
		t.Errorf("%d rows went, %v", n, err)
	}
	for _, event := range []string{"evt_use1_200000000000", "evt_use1_300000000000", "evt_use1_400000000000"} {
		if name, _ := w.named(t, event); name == "" {
			t.Errorf("%s is gone", event)
		}
	}
}
