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

// table is read from above; the first row that fits counts.
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
	for i := range table {
		if table[i].fits(method, parts) {
			return table[i].class
		}
	}
	return Other
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
