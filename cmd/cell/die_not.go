//go:build !drill

package main

import "guichet/cell/saga"

// moments is nothing in a cell that serves people: what ends a process at a moment of
// somebody's choice is built in for drills only (-tags drill).
func moments() func(saga.Moment) { return nil }
