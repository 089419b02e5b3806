package route

import (
	"net/url"
	"strings"

	"guichet/control-plane/topology"
)

// SessionCookie is the cookie whose value begins with the name of the cell that can
// read it, and a dot.
const SessionCookie = "__Host-guichet_session"

// IsAccount says whether a path is one of the pages on which people sign in.
func IsAccount(path string) bool { return path == "/account" || strings.HasPrefix(path, "/account/") }

// AimAccount reads where a page of a person's account belongs. What an issuer sends back
// must reach the cell that began the sign-in, which state names; a mailed link the cell
// that it names; all else goes by preference to the cell that can read the session, and
// to the nearest while that one is away: a page that says so is better than none.
func AimAccount(path string, query url.Values, session string) Target {
	name := query.Get("cell")
	if path == "/account/callback" {
		name, _, _ = strings.Cut(query.Get("state"), ".")
	}
	if name != "" {
		return aimAtCell(name)
	}
	name, _, named := strings.Cut(session, ".")
	cell, err := topology.ParseCell(name)
	if !named || err != nil {
		return Target{}
	}
	return Target{Want: WantPreferred, Cell: cell}
}

// preferred sends to a cell if that can be, else to the nearest.
func (d decider) preferred() Decision {
	if got := d.m.named(d.Target.Cell, Home); got.Err == nil && d.reachable(got.Cell) {
		got.Affinity, got.Elsewhere = d.Client, true
		if d.Target.Ref.Kind != "" {
			got.Affinity = d.Target.Ref.Key.String()
		}
		return got
	}
	return d.nearest()
}
