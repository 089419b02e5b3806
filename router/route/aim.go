package route

import (
	"net/http"
	"net/url"
	"strings"

	"guichet/control-plane/topology"
)

// Want is what a request is after, as far as routing cares.
type Want int

// The wants.
const (
	WantNearest   Want = iota // any cell can answer: catalogue, keys, pages, and what no cell will accept
	WantEvent                 // an event's page: its home knows best, any cell has a copy
	WantHome                  // a decision, or a record that only the home has
	WantRegion                // something new, at home in a region
	WantCell                  // a cell named by the request
	WantPreferred             // a cell named by the request if it can be asked, else the nearest
)

// Target is what a request's line says about where it belongs.
type Target struct {
	Want   Want
	Ref    topology.Ref    // the id it is about, if any
	Region string          // with WantRegion: the provider's region, empty if it was not given
	Cell   topology.CellID // with WantCell and WantPreferred
}

// kinds are the collections of the contract and the kind of id each holds. Pages
// use the same names without /v1.
var kinds = map[string]string{
	"events": "evt", "holds": "hld", "orders": "ord", "tickets": "tkt", "payments": "pay", "refunds": "ref", "organizers": "org",
	"series": "ser",
}

// Aim reads a request line: method, decoded path and query. holdID is what a new
// order's body names (see PeekHoldID) and empty otherwise. A malformed id aims at
// the nearest cell, which refuses it as the contract says; the router has no
// opinion of its own about what is well-formed.
func Aim(method, path string, query url.Values, holdID string) Target {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	page := segments[0] != "v1"
	if !page || isLanguage(segments[0]) {
		segments = segments[1:]
	}
	collection, text := at(segments, 0), at(segments, 1)
	switch {
	case page && (collection == "find" || collection == "found"):
		return aimAtCell(query.Get("cell"))
	case page && collection == "events" && at(segments, 2) == "" && isRead(method) && query.Get("at") != "home":
		// A page about an event comes from the nearest copy; its script, and ?at=home, ask the home.
		target := aimAtID(stem(text), "evt", WantHome)
		target.Want = WantNearest
		return target
	case collection == "payments" && text == "stripe" && at(segments, 2) == "webhook":
		return aimAtCell(query.Get("cell"))
	case collection == "payments" && text == "notices":
		return aimAtCell(query.Get("cell"))
	case collection == "organizers" && text == "" && method == http.MethodPost:
		return Target{Want: WantRegion, Region: query.Get("home_region")}
	case collection == "orders" && text == "" && method == http.MethodPost:
		return aimAtID(holdID, "hld", WantHome)
	case collection == "tickets" && (text == "find" || text == "found"):
		return aimAtCell(query.Get("cell"))
	case collection == "sagas":
		return aimAtSagas(text, query)
	case collection == "audit" || collection == "invitations" && text == "accept":
		return aimAtCell(query.Get("cell"))
	case kinds[collection] == "":
		return Target{}
	}
	target := aimAtID(stem(text), kinds[collection], WantHome)
	if target.Want != WantHome {
		return target
	}
	rest := strings.Join(segments[2:], "/")
	switch {
	case collection == "events" && rest == "" && isRead(method):
		target.Want = WantEvent
	case collection == "organizers" && (rest == "events" || rest == "series") && isRead(method):
		target.Want, target.Cell = WantPreferred, target.Ref.Key.Birth // which gathers; any other cell says what it has itself
	case collection == "organizers" && ofRegion(rest, method) && query.Get("home_region") != "":
		target.Want, target.Region = WantRegion, query.Get("home_region")
	}
	return target
}

// isLanguage says whether a segment is the language with which a public page's path
// begins. Which languages there are is the cells' business.
func isLanguage(segment string) bool {
	return len(segment) == 2 && 'a' <= segment[0] && segment[0] <= 'z' && 'a' <= segment[1] && segment[1] <= 'z'
}

// ofRegion says whether an organizer's call may name another region than his own:
// his events have their homes where he likes, and each home has its own books.
func ofRegion(rest, method string) bool {
	return (rest == "events" || rest == "series") && method == http.MethodPost || rest == "payouts" || rest == "payment_account" || rest == "embedding" || rest == "audit"
}

func at(segments []string, i int) string {
	if i < len(segments) {
		return segments[i]
	}
	return ""
}

// stem takes the form off a ticket's address: tkt_….pdf, tkt_….png, tkt_….ics.
func stem(text string) string {
	for _, form := range []string{".pdf", ".png", ".ics", ".pkpass"} {
		if s, ok := strings.CutSuffix(text, form); ok {
			return s
		}
	}
	return text
}

func aimAtID(text, kind string, want Want) Target {
	ref, ok := topology.ParseRef(text)
	root := kind == "evt" || kind == "org" || kind == "ser"
	if !ok || ref.Kind != kind || (ref.Own == "") != root {
		return Target{}
	}
	return Target{Want: want, Ref: ref}
}

// aimAtSagas goes to the cell that is named, else to the home of what the saga's id
// ("purchase:ord_euw3_…") or the event in the query names. Operators only.
func aimAtSagas(saga string, query url.Values) Target {
	if cell := query.Get("cell"); cell != "" {
		return aimAtCell(cell)
	}
	_, text, _ := strings.Cut(saga, ":")
	if saga == "" {
		text = query.Get("event_id")
	}
	if ref, ok := topology.ParseRef(text); ok {
		return Target{Want: WantHome, Ref: ref}
	}
	return Target{}
}

func aimAtCell(text string) Target {
	cell, err := topology.ParseCell(text)
	if err != nil {
		return Target{}
	}
	return Target{Want: WantCell, Cell: cell}
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// PeekLimit is how far into a new order's body the router looks for the hold: a body is
// not longer, and clients put their members in any order.
const PeekLimit = 1 << 20
