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

// Catalog is the subject of an event's catalogue document.
func Catalog(cell topology.CellID, eventID string) string {
	return "glb.catalog." + string(cell) + "." + eventID
}

// Availability is the subject of a cell's availability beats.
func Availability(cell topology.CellID) string { return "glb.avail." + string(cell) }

// Owned is what a cell publishes on, and nobody else: the same subject bound in
// two domains would be stored in both. There is the catalogue and availability and
// nothing else: what is told here reaches the whole town, and nothing private does.
func Owned(cell topology.CellID) []string {
	return []string{"glb.catalog." + string(cell) + ".*", Availability(cell)}
}

// Owns reports whether subject is among Owned(cell).
func Owns(cell topology.CellID, subject string) bool {
	event, ok := strings.CutPrefix(subject, Catalog(cell, ""))
	return ok && isEvent(event) || subject == Availability(cell)
}

// isEvent: an event and nothing of a buyer's has a catalogue document.
func isEvent(s string) bool {
	ref, ok := topology.ParseRef(s)
	return ok && ref.Kind == "evt" && ref.Own == ""
}

// CellOf is the cell that a subject names, "" if none.
func CellOf(subject string) topology.CellID {
	parts := strings.SplitN(subject, ".", 4)
	if len(parts) < 3 || parts[0] != "glb" || parts[1] != "catalog" && parts[1] != "avail" {
		return ""
	}
	cell, err := topology.ParseCell(parts[2])
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
