package bus

import (
	"strings"

	"guichet/control-plane/topology"
)

// Patterns for consumers.
const (
	EveryCatalog      = "glb.catalog.*.*" // catalogue documents of all cells
	EveryAvailability = "glb.avail.*"     // availability beats of all cells
)

// Fact is the subject of something that happened to an aggregate of a cell:
// cell.euw3.evt.order.ord_euw3_….paid.
func Fact(cell topology.CellID, aggregate, id, what string) string {
	return "cell." + string(cell) + ".evt." + aggregate + "." + id + "." + what
}

// EveryFact is the pattern of one fact about one kind of aggregate in all cells;
// what may be "*".
func EveryFact(aggregate, what string) string { return "cell.*.evt." + aggregate + ".*." + what }

// Catalog is the subject of an event's catalogue document.
func Catalog(cell topology.CellID, eventID string) string {
	return "glb.catalog." + string(cell) + "." + eventID
}

// Availability is the subject of a cell's availability beats.
func Availability(cell topology.CellID) string { return "glb.avail." + string(cell) }

// Owned is what a cell publishes on, and nobody else: the same subject bound in
// two domains would be stored in both.
func Owned(cell topology.CellID) []string {
	return []string{"cell." + string(cell) + ".evt.>", "glb.catalog." + string(cell) + ".>", Availability(cell)}
}

// Owns reports whether subject is among Owned(cell).
func Owns(cell topology.CellID, subject string) bool {
	c := string(cell)
	return strings.HasPrefix(subject, "cell."+c+".evt.") || strings.HasPrefix(subject, "glb.catalog."+c+".") ||
		subject == Availability(cell)
}

// CellOf is the cell that a subject names, "" if none.
func CellOf(subject string) topology.CellID {
	parts := strings.SplitN(subject, ".", 4)
	at := -1
	switch {
	case len(parts) == 4 && parts[0] == "cell" && parts[2] == "evt":
		at = 1
	case len(parts) >= 3 && parts[0] == "glb" && (parts[1] == "catalog" || parts[1] == "avail"):
		at = 2
	}
	if at < 0 {
		return ""
	}
	cell, err := topology.ParseCell(parts[at])
	if err != nil {
		return ""
	}
	return cell
}

// literal: tokens of visible ASCII, none empty, no wildcards.
func literal(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' || r == '>' }) {
			return false
		}
	}
	return true
}
