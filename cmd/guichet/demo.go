package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	qrcode "github.com/skip2/go-qrcode"

	"guichet/cell/catalog/city"
	"guichet/cell/client"
	"guichet/cmd/guichet/town"
	"guichet/geo"
)

const (
	demoLimit   = 90 * time.Second // of the whole play
	payLimit    = 30 * time.Second // until a payment has become a ticket
	payPoll     = 200 * time.Millisecond
	demoName    = "Demo Attendee"
	demoMail    = "demo@example.com"
	cleanupWait = 3 * time.Second
)

// play is one run of the demo: an attendee in a city, step by step.
type play struct {
	router, sandbox string
	from            city.City
	eventID, query  string
	quantity        int64
	card            string
	outFile         string

	client *client.Client
	key    string // prefix of the run's idempotency keys
	out    io.Writer
	steps  int
}

// demoCommand plays an attendee in an open town.
func demoCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	p, err := parseDemo(args, stderr)
	if err != nil {
		return err
	}
	p.out, p.key = stdout, "demo-"+rand.Text()
	p.client = client.New(p.router, client.WithNear(p.from.Location.Lat, p.from.Location.Lon))
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	sayf(stdout, "An attendee in %s (%s) at %s\n", p.from.Name, p.from.Country, p.router)
	return p.run(ctx)
}

func parseDemo(args []string, stderr io.Writer) (*play, error) {
	p := &play{}
	fs := flag.NewFlagSet("guichet demo", flag.ContinueOnError)
	fs.SetOutput(stderr)
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where router and sandbox are")
	from := fs.String("from", "Paris", "`city` of the attendee; a country tells namesakes apart: \"Valencia,VE\"")
	fs.StringVar(&p.router, "router", "", "base `URL` (default: the credentials')")
	fs.StringVar(&p.sandbox, "sandbox", "", "base `URL` of the payment sandbox (default: the credentials')")
	fs.StringVar(&p.eventID, "event", "", "`id` of the event (default: one whose home is far away)")
	fs.StringVar(&p.query, "query", "", "`text` to search for; the first hit is bought")
	fs.Int64Var(&p.quantity, "quantity", 1, "tickets")
	fs.StringVar(&p.card, "card", "pm_card_visa", "Stripe's test payment `method`")
	fs.StringVar(&p.outFile, "out", "", "write the ticket to this `file` (.pdf, .png or .txt)")
	rest, err := parseMixed(fs, args)
	if err != nil {
		return nil, err
	}
	var ok bool
	switch p.from, ok = city.Find(*from); {
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: %q is not expected", errUsage, rest[0])
	case p.eventID != "" && p.query != "":
		return nil, fmt.Errorf("%w: give --event or --query", errUsage)
	case p.quantity < 1:
		return nil, fmt.Errorf("%w: --quantity %d is less than 1", errUsage, p.quantity)
	case !ok:
		return nil, fmt.Errorf("%w: %q is not among the %d cities this tool knows", errUsage, *from, len(city.All()))
	}
	if ext := filepath.Ext(p.outFile); p.outFile != "" && ext != ".pdf" && ext != ".png" && ext != ".txt" {
		return nil, fmt.Errorf("%w: --out %q ends in none of .pdf, .png, .txt", errUsage, p.outFile)
	}
	if p.router == "" || p.sandbox == "" {
		creds, err := town.ReadCredentials(*credentials)
		if err != nil && p.router == "" {
			return nil, err
		}
		if p.router == "" {
			p.router = creds.Router
		}
		if p.sandbox == "" {
			p.sandbox = creds.Sandbox
		}
	}
	return p, nil
}

// say prints a step: what, who answered, why, how long, and what came of it.
func (p *play) say(what string, m client.Meta, format string, args ...any) {
	p.steps++
	who, why := m.Cell, m.Route
	if who == "" {
		who = "–"
	}
	if why == "" {
		why = "–"
	}
	sayf(p.out, "%2d. %-8s %-6s %-8s %7s  %s\n", p.steps, what, who, why, m.Elapsed.Round(100*time.Microsecond), fmt.Sprintf(format, args...))
}

func (p *play) run(ctx context.Context) error {
	eventID, err := p.search(ctx)
	if err != nil {
		return fmt.Errorf("search: %w", err)
	}
	event, m, err := p.client.Event(ctx, eventID)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	p.say("event", m, "%s – %s, %s, %s; home %s", event.Name, event.Venue.Name, event.Venue.City, localStart(event), event.Home.Cell)
	typ, err := pickType(event, p.quantity)
	if err != nil {
		return err
	}
	hold, err := p.hold(ctx, event, typ)
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	order, err := p.order(ctx, hold)
	if err != nil {
		p.release(ctx, hold)
		return fmt.Errorf("order: %w", err)
	}
	paid, err := p.pay(ctx, order)
	if err != nil {
		p.giveUp(ctx, order)
		return fmt.Errorf("pay: %w", err)
	}
	order = paid
	return p.tickets(ctx, order)
}

// search finds the event to buy and prints who answered.
func (p *play) search(ctx context.Context) (eventID string, err error) {
	here := client.Location{Lat: p.from.Location.Lat, Lon: p.from.Location.Lon}
	if p.eventID != "" { // the event is given; the search shows what is on in town
		found, m, err := p.client.Search(ctx, client.Query{Near: &here, RadiusKM: 100, Sort: "distance", Limit: 1})
		if err != nil {
			return "", err
		}
		p.say("search", m, "%d events within 100 km of %s", found.Total, p.from.Name)
		return p.eventID, nil
	}
	q := client.Query{Text: p.query, Limit: 20}
	why := fmt.Sprintf("%q", p.query)
	if p.query == "" {
		if q, why, err = p.farAway(ctx); err != nil {
			return "", err
		}
	}
	found, m, err := p.client.Search(ctx, q)
	if err != nil {
		return "", err
	}
	for _, l := range found.Items {
		if l.Availability == client.None || p.query == "" && (l.PriceFrom == nil || l.PriceFrom.Amount == 0) {
			continue
		}
		p.say("search", m, "%d events, %s; takes %s", found.Total, why, l.ID)
		return l.ID, nil
	}
	return "", fmt.Errorf("nothing to buy among %d events, %s", found.Total, why)
}

// farAway asks for events around the serving region that is farthest from here.
func (p *play) farAway(ctx context.Context) (client.Query, string, error) {
	snapshot, _, err := p.client.Topology(ctx)
	if err != nil {
		return client.Query{}, "", err
	}
	var far geo.Region
	for _, c := range snapshot.Cells {
		r, ok := geo.RegionByCode(c.Region)
		if ok && c.State == "serving" && (far.Code == "" || geo.DistanceKM(p.from.Location, r.Point) > geo.DistanceKM(p.from.Location, far.Point)) {
			far = r
		}
	}
	if far.Code == "" {
		return client.Query{}, "", errors.New("no cell is serving")
	}
	q := client.Query{Near: &client.Location{Lat: far.Lat, Lon: far.Lon}, RadiusKM: 1500, Sort: "distance", Limit: 50}
	return q, fmt.Sprintf("around %s, %.0f km away", far.City, geo.DistanceKM(p.from.Location, far.Point)), nil
}

func localStart(e client.Event) string {
	t := e.StartsAt
	if loc, err := time.LoadLocation(e.TimeZone); err == nil {
		t = t.In(loc)
	}
	return t.Format("Mon 2 Jan 2006 15:04 MST")
}

// pickType takes the cheapest ticket that costs something and is to be had; a
// free one if there is no other.
func pickType(e client.Event, quantity int64) (client.TicketType, error) {
	var best *client.TicketType
	for i, t := range e.TicketTypes {
		if t.Availability == client.None || quantity < t.MinPerOrder || t.MaxPerOrder > 0 && quantity > t.MaxPerOrder {
			continue
		}
		free, bestFree := t.PriceAllIn.Amount == 0, best != nil && best.PriceAllIn.Amount == 0
		if best == nil || bestFree && !free || free == bestFree && t.PriceAllIn.Amount < best.PriceAllIn.Amount {
			best = &e.TicketTypes[i]
		}
	}
	if best == nil {
		return client.TicketType{}, fmt.Errorf("%s has no ticket type for %d tickets", e.Name, quantity)
	}
	return *best, nil
}

func (p *play) hold(ctx context.Context, e client.Event, t client.TicketType) (hold client.Hold, err error) {
	var m client.Meta
	want := client.NewHold{Items: []client.HoldItem{{TicketTypeID: t.ID, Quantity: p.quantity}}}
	err = client.Retry(ctx, client.Patience{}, func(ctx context.Context) (err error) {
		hold, m, err = p.client.CreateHold(ctx, e.ID, want, p.key+"-hold")
		return err
	})
	if err == nil {
		p.say("hold", m, "%d × %s, %s in all, until %s", p.quantity, t.Name, hold.Total, hold.ExpiresAt.Local().Format(time.TimeOnly))
	}
	return hold, err
}

// release gives the tickets back when the order failed; the hold expires anyway.
func (p *play) release(ctx context.Context, h client.Hold) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupWait)
	defer cancel()
	if m, err := p.client.ReleaseHold(ctx, h.ID); err == nil {
		p.say("release", m, "the tickets are given back")
	}
}

// giveUp cancels an order that was not paid; it expires anyway, and one that was
// paid after all refuses.
func (p *play) giveUp(ctx context.Context, o client.Order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupWait)
	defer cancel()
	if canceled, m, err := p.client.CancelOrder(ctx, o.ID, p.key+"-cancel"); err == nil {
		p.say("cancel", m, "the order is %s", canceled.State)
	}
}

func (p *play) order(ctx context.Context, h client.Hold) (order client.Order, err error) {
	var m client.Meta
	total := h.Total
	want := client.NewOrder{HoldID: h.ID, Buyer: client.Buyer{Email: demoMail, Name: demoName, Locale: "en"}, ShownTotal: &total}
	err = client.Retry(ctx, client.Patience{}, func(ctx context.Context) (err error) {
		order, m, err = p.client.CreateOrder(ctx, want, p.key+"-order")
		return err
	})
	if err == nil {
		p.say("order", m, "%s, %s, %s", order.Code, order.Total, order.State)
	}
	return order, err
}

// tickets prints the tickets, checks them with the public keys and shows the first.
func (p *play) tickets(ctx context.Context, order client.Order) error {
	list, m, err := p.client.Tickets(ctx, order.ID)
	if err != nil {
		return fmt.Errorf("tickets: %w", err)
	}
	if int64(len(list)) != p.quantity {
		return fmt.Errorf("tickets: %d came, %d were paid", len(list), p.quantity)
	}
	p.say("ticket", m, "%d, %s, %s", len(list), list[0].Name, list[0].ID)
	set, m, err := p.client.TicketKeys(ctx)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, t := range list {
		claims, err := verify(t.Barcode, set)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		p.say("verify", m, "signed by %s, checked here with the public key", claims.KeyID)
		m = client.Meta{}
	}
	qr, err := qrcode.New(list[0].Barcode, qrcode.Low)
	if err != nil {
		return fmt.Errorf("barcode: %w", err)
	}
	sayf(p.out, "\n%s\n%s\n", qr.ToSmallString(false), list[0].Barcode)
	return p.write(ctx, list[0])
}

// write keeps the ticket if that was asked for.
func (p *play) write(ctx context.Context, t client.Ticket) (err error) {
	var data []byte
	switch filepath.Ext(p.outFile) {
	case "":
		return nil
	case ".pdf":
		data, _, err = p.client.TicketPDF(ctx, t.ID)
	case ".png":
		data, _, err = p.client.TicketPNG(ctx, t.ID)
	default:
		data = []byte(strings.TrimSpace(t.Barcode) + "\n")
	}
	if err == nil {
		err = os.WriteFile(p.outFile, data, 0o600) // the person says where
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", p.outFile, err)
	}
	sayf(p.out, "written to %s\n", p.outFile)
	return nil
}
