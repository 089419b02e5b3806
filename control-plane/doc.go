// Package controlplane is the town hall: it knows which cells there are and where
// each event is at home, and nobody on a booking's path waits for it (P6, P8).
// This package holds no code and is imported by nobody; the rooms are
//
//	topology/   what everyone may know: CellID, Epoch, Snapshot
//	registry/   cells: join, beat, weight, leave (pure decisions)
//	placement/  events: home and epoch, compare-and-set (pure decisions)
//	snapshot/   builds the map with a growing version and tells it
//	store/      SQL and nothing else
//	hub/        the bus's middle: WORLD and the topology bucket
//	api/        HTTP for operators and cells
//
// The cell is authoritative, the directory follows: a cell that stops beating
// stays on the map, because the control plane may be the one who is cut off.
package controlplane
