// Package class says what sort of call a request line is: what the router limits
// together, and what only operators may ask. It is the one table of that; a test of
// cell/api holds it to the routes that cells serve. It decides nothing about who asks.
package class

import (
	"net/http"
	"strings"
)

// Class is a sort of call.
type Class string

// The classes.
const (
	Health    Class = "health"    // probes
	Webhook   Class = "webhook"   // what the payment provider tells
	Operator  Class = "operator"  // operators' own calls: not served on a public port
	Catalogue Class = "catalogue" // search, suggestions, series, keys, the map of the town
	Event     Class = "event"     // what everybody may read of one event
	Hold      Class = "hold"
	Order     Class = "order"
	Ticket    Class = "ticket"  // tickets and their files
	SignIn    Class = "sign_in" // sessions and the way to them
	Mail      Class = "mail"    // what a mail leaves for
	Organizer Class = "organizer"
	Other     Class = "other"
)

// row says which class calls have whose path begins with the segments of path; "*"
// is any one segment, "**" at the end any number of them. method "" is any, "read"
// is GET and HEAD.
type row struct {
	class        Class
	method, path string
}

const (
	read = "read"
	post = http.MethodPost
)

// table is read from above; the first row that fits counts. Paths of pages begin with a
// language or with what they are about, see language; its rows are as pages have them
// behind the language.
var table = split([]row{
	{Health, read, "livez"},
	{Health, read, "readyz"},
	{Webhook, post, "v1/payments/*/webhook"},

	{Operator, "", "metrics"},
	{Operator, "", "debug/**"},
	{Operator, "", "v1/sagas/**"},
	{Operator, "", "v1/payments/notices/**"},
	{Operator, read, "v1/audit"},
	{Operator, post, "v1/organizers"},
	{Operator, "", "v1/catalogue/**"}, // for other cells, which ask without a router

	{Mail, post, "v1/tickets/find"},
	{Mail, post, "v1/orders/*/resend"},
	{Mail, post, "v1/tickets/*/transfer"},

	{Hold, post, "v1/events/*/holds"},
	{Hold, "", "v1/holds/**"},
	{Ticket, read, "v1/orders/*/invoice.pdf"},
	{Ticket, read, "v1/orders/*/credit_notes/*"},
	{Order, "", "v1/orders/**"},
	{Ticket, "", "v1/tickets/**"},
	{Ticket, "", "v1/open"}, // where mailed links lead
	{Ticket, read, "v1/open.js"},

	{Mail, post, "find"},
	{Mail, post, "orders/*/resend"},
	{Mail, post, "tickets/*/give"},
	{Mail, post, "orders/*/tickets/*/give"},
	{Hold, post, "events/*/hold"},
	{Order, post, "holds/*/order"},
	{Hold, "", "holds/**"},
	{Ticket, read, "orders/*/tickets/**"},
	{Order, "", "orders/**"},
	{Ticket, "", "tickets/**"},
	{Ticket, "", "open"},
	{Ticket, "", "found"},
	{Event, read, "events/**"},
	{Catalogue, read, "search"},
	{Catalogue, read, "series/*"},
	{Catalogue, read, "assets/*"},
	{Catalogue, read, "language/*"},
	{Catalogue, read, "find"},
	{Catalogue, read, "help"},
	{Catalogue, read, "privacy"},
	{Catalogue, read, "imprint"},
	{Catalogue, read, "credits"},
	{Catalogue, read, "status"},
	{Catalogue, read, "wallet"},
	{Catalogue, post, "wallet/forget"},
	{Catalogue, read, "widget.js"},
	{Catalogue, read, "sw.js"},
	{Catalogue, read, "manifest.webmanifest"},

	{SignIn, "", "account/**"},
	{SignIn, "", "v1/account/**"},
	{SignIn, "", "v1/session/**"},
	{SignIn, "", "v1/sessions/**"},
	{SignIn, "", "v1/sign_in"},
	{SignIn, "", "v1/me/**"},
	{SignIn, "", "v1/invitations/**"},

	{Catalogue, read, ""},
	{Catalogue, read, "openapi.json"},
	{Catalogue, read, "v1/topology"},
	{Catalogue, read, "v1/regions"},
	{Catalogue, read, "v1/keys/**"},
	{Catalogue, read, "v1/events"},
	{Catalogue, read, "v1/events/suggest"},
	{Catalogue, read, "v1/series/**"},
	{Event, read, "v1/events/*"},
	{Event, read, "v1/events/*/order_form"},
	{Event, read, "v1/events/*/seats"},
	{Event, read, "v1/events/*/transfer_policy"},
	{Event, read, "v1/events/*/embedding"},
	{Event, read, "v1/events/*/revocations"},

	{Organizer, "", "v1/organizers/**"},
	{Organizer, "", "v1/events/**"},
	{Organizer, "", "v1/series/**"},
})

// pattern is a row whose path is cut.
type pattern struct {
	class    Class
	method   string
	segments []string
	open     bool // more may follow
}

func split(rows []row) []pattern {
	made := make([]pattern, 0, len(rows))
	for _, r := range rows {
		p := pattern{class: r.class, method: r.method, segments: segments(nil, r.path)}
		if n := len(p.segments); n > 0 && p.segments[n-1] == "**" {
			p.segments, p.open = p.segments[:n-1], true
		}
		made = append(made, p)
	}
	return made
}

// segments are the parts of a path between slashes; ones without content do not
// count, so no spelling of a path leads past its row.
func segments(into []string, path string) []string {
	for part := range strings.SplitSeq(path, "/") {
		if part != "" {
			into = append(into, part)
		}
	}
	return into
}

// Of is the class of a call by its method and decoded path.
func Of(method, path string) Class {
	var room [8]string
	parts := segments(room[:0], path)
	if len(parts) > 0 && language(parts[0]) {
		parts = parts[1:]
	}
	for i := range table {
		if table[i].fits(method, parts) {
			return table[i].class
		}
	}
	return Other
}

// language says whether a segment is the language of a page, as public pages begin with
// it. Which languages there are is the pages' business; no other path begins so.
func language(segment string) bool {
	return len(segment) == 2 && 'a' <= segment[0] && segment[0] <= 'z' && 'a' <= segment[1] && segment[1] <= 'z'
}

func (p *pattern) fits(method string, parts []string) bool {
	if len(parts) < len(p.segments) || !p.open && len(parts) > len(p.segments) {
		return false
	}
	switch p.method {
	case "", method:
	case read:
		if method != http.MethodGet && method != http.MethodHead {
			return false
		}
	default:
		return false
	}
	for i, want := range p.segments {
		if want != "*" && want != parts[i] {
			return false
		}
	}
	return true
}

// ForPages says whether a page of another origin may make the call, where its origin is
// let in: what attendees ask and buy. Links out of mails are opened by our own page.
func ForPages(method, path string) bool {
	switch Of(method, path) {
	case Catalogue, Event, Hold, Order, Mail:
		return true
	case Ticket:
		var room [8]string
		parts := segments(room[:0], path)
		return parts[1] == "tickets" || parts[1] == "orders"
	default:
	}
	return false
}
