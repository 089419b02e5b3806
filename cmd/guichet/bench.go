package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"guichet/cell/client"
	"guichet/cmd/guichet/town"
	"guichet/internal/mtls"
)

// Bounds of a bench.
const (
	benchTimeout = 10 * time.Second // of one call
	benchWarm    = 20               // calls per target that are not counted
	benchQuota   = 1_000_000
	benchSettled = 8 // seconds without a new event in the index
)

// bench measures an open town from outside: the same calls to a cell directly
// (the baseline) and through the router, in turns, so that what the machine does
// meanwhile happens to both.
type bench struct {
	creds   town.Credentials
	cell    string // URL of the cell that is called directly, and is nearest and home
	org     client.Organizer
	http    *http.Client
	rounds  int
	span    time.Duration
	clients []int
	eventID string
	typeID  string
	total   int // events in the index
}

// op is one thing to measure: requests that one client sends in order.
type op struct {
	name string
	call func(ctx context.Context, base string) error
}

func benchCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the open town is")
	rounds := fs.Int("rounds", 5, "turns that each target gets")
	span := fs.Duration("span", time.Second, "length of a turn")
	out := fs.String("out", "", "write the table to this `file` as well")
	open := fs.Bool("open", false, "open a fresh town on free ports for the bench, with the whole catalogue, and close it after")
	if rest, err := parseMixed(fs, args); err != nil {
		return err
	} else if len(rest) > 0 || *rounds < 1 || *rounds > 100 || *span < 50*time.Millisecond || *span > time.Minute {
		return fmt.Errorf("%w: rounds 1 to 100, span 50ms to 1m, no arguments", errUsage)
	}
	if *open {
		own, err := openBenchTown(ctx, stderr)
		if err != nil {
			return err
		}
		defer own.close()
		*credentials = own.credentials
	}
	creds, err := town.ReadCredentials(*credentials)
	if err != nil {
		return fmt.Errorf("is a town open? %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	if creds.TLS.On() { // the router is called without
		identity, err := mtls.Open(creds.TLS)
		if err != nil {
			return err
		}
		transport.TLSClientConfig = identity.Client(mtls.Kinds(mtls.Cell))
	}
	b := &bench{creds: creds, rounds: *rounds, span: *span, clients: []int{1, 16}, http: &http.Client{Timeout: benchTimeout, Transport: transport}}
	if err := b.prepare(ctx); err != nil {
		return fmt.Errorf("prepare the bench: %w", err)
	}
	var table bytes.Buffer
	if err := b.run(ctx, io.MultiWriter(stdout, &table)); err != nil {
		return err
	}
	if *out == "" {
		return nil
	}
	if err := os.WriteFile(*out, table.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return os.Chmod(*out, 0o644) //nolint:gosec // a page of documentation is for everybody
}

// prepare finds the first cell and makes an event there that can be held often.
func (b *bench) prepare(ctx context.Context) error {
	if len(b.creds.Organizers) == 0 {
		return errors.New("the credentials name no organizer")
	}
	b.org = b.creds.Organizers[0]
	i := slices.IndexFunc(b.creds.Processes, func(p town.Process) bool { return p.Cell == b.org.HomeCell && strings.HasPrefix(p.Name, "cell-") })
	if i < 0 {
		return fmt.Errorf("no process of cell %s runs", b.org.HomeCell)
	}
	b.cell = b.creds.Processes[i].URL
	start := time.Now().AddDate(1, 0, 0).Truncate(time.Second)
	var e client.Event
	c := client.New(b.creds.Router, client.WithBearer(b.org.APIKey))
	e, _, err := c.CreateEvent(ctx, b.org.ID, "", client.NewEvent{
		Name: "Bench", Category: "other", Venue: client.Venue{Name: "Machine room", City: "Paris", Country: "FR"}, StartsAt: start, TimeZone: "Europe/Paris",
		Currency: "EUR", Quotas: []client.NewQuota{{Name: "all", Size: benchQuota}}, TicketTypes: []client.NewTicketType{{Name: "Entry", Quotas: []string{"all"}, Price: benchPrice}},
		Publish: true,
	}, "bench-"+rand.Text())
	if err != nil {
		return err
	}
	b.eventID, b.typeID = e.ID, e.TicketTypes[0].ID
	return b.settle(ctx, c)
}

// settle waits until the index has stopped growing: a bench beside the indexing of
// an import would measure both.
func (b *bench) settle(ctx context.Context, c *client.Client) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for same := 0; same < benchSettled; {
		l, _, err := c.Search(ctx, client.Query{Limit: 1})
		if err != nil {
			return err
		}
		if same++; l.Total != b.total {
			same = 0
		}
		b.total = l.Total
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// run prints a row per operation and number of clients.
func (b *bench) run(ctx context.Context, out io.Writer) error {
	sayf(out, "# What a call costs in a town\n\n%s\n\nOne machine carries everything: three cells with their PostgreSQL (fsync on), control plane, router, sandbox and the clients.\n", machine())
	sayf(out, "\"direct\" calls the cell %s itself and is the baseline; \"router\" makes the same call through the router, in %d turns of %s each, alternating.\n", b.org.HomeCell, b.rounds, b.span)
	sayf(out, "%d events are in the index. Times are milliseconds; \"added\" is the router's share. Made by `make bench`.\n\n", b.total)
	sayf(out, "| call | clients | direct p50 | direct p99 | direct /s | router p50 | router p99 | router /s | added p50 | added p99 |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, o := range b.ops() {
		for _, n := range b.clients {
			direct, routed, err := b.compare(ctx, o, n)
			if err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
			sayf(out, "| %s | %d | %s | %s | %.0f | %s | %s | %.0f | %s | %s |\n", o.name, n, ms(direct.at(50)), ms(direct.at(99)), direct.rate(),
				ms(routed.at(50)), ms(routed.at(99)), routed.rate(), ms(routed.at(50)-direct.at(50)), ms(routed.at(99)-direct.at(99)))
		}
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

func (b *bench) ops() []op {
	get := func(name, path string) op {
		return op{name, func(ctx context.Context, base string) error { return b.do(ctx, http.MethodGet, base+path, nil, nil) }}
	}
	return []op{
		get("event page", "/v1/events/"+b.eventID),
		get("search, one word", "/v1/events?q=beethoven"),
		get("search, misspelt", "/v1/events?q=beetoven"),
		get("search, two words", "/v1/events?q=comedy+toronto"),
		get("near 50 km, by distance", "/v1/events?near=43.65,-79.38&radius_km=50&sort=distance"),
		get("all, with three facets", "/v1/events?facets=category,city,country"),
		get("suggest", "/v1/events/suggest?q=beet"),
		{"hold and release", b.hold},
	}
}

func (b *bench) hold(ctx context.Context, base string) error {
	body, err := json.Marshal(client.NewHold{Items: []client.HoldItem{{TicketTypeID: b.typeID, Quantity: 1}}})
	if err != nil {
		return err
	}
	var h client.Hold
	if err := b.do(ctx, http.MethodPost, base+"/v1/events/"+b.eventID+"/holds", body, &h); err != nil {
		return err
	}
	return b.do(ctx, http.MethodDelete, base+"/v1/holds/"+h.ID, nil, nil)
}

func (b *bench) do(ctx context.Context, method, url string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(client.HeaderNear, "48.8566,2.3522")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(client.HeaderIdempotencyKey, rand.Text())
	}
	res, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, client.MaxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %d: %.200s", method, url, res.StatusCode, answer)
	}
	if into != nil {
		return json.Unmarshal(answer, into)
	}
	return nil
}

// sample is what one target did in all its turns.
type sample struct {
	times []time.Duration
	span  time.Duration
}

func (s *sample) at(percent int) time.Duration {
	slices.Sort(s.times)
	return s.times[min(len(s.times)*percent/100, len(s.times)-1)]
}

func (s *sample) rate() float64 { return float64(len(s.times)) / s.span.Seconds() }

func (b *bench) compare(ctx context.Context, o op, clients int) (direct, routed *sample, err error) {
	direct, routed = &sample{}, &sample{}
	for range benchWarm {
		if err := errors.Join(o.call(ctx, b.cell), o.call(ctx, b.creds.Router)); err != nil {
			return nil, nil, err
		}
	}
	for range b.rounds {
		if err := errors.Join(b.turn(ctx, o, b.cell, clients, direct), b.turn(ctx, o, b.creds.Router, clients, routed)); err != nil {
			return nil, nil, err
		}
	}
	return direct, routed, nil
}

// turn lets clients call one after the other's answer for the span of a turn.
func (b *bench) turn(ctx context.Context, o op, base string, clients int, into *sample) error {
	var mu sync.Mutex
	var working sync.WaitGroup
	var fault error
	began := time.Now()
	for range clients {
		working.Go(func() {
			var times []time.Duration
			var err error
			for time.Since(began) < b.span && err == nil {
				at := time.Now()
				err = o.call(ctx, base)
				times = append(times, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			into.times = append(into.times, times...)
			fault = errors.Join(fault, err)
		})
	}
	working.Wait()
	into.span += time.Since(began)
	return fault
}
