//go:build drill

package main

import (
	"os"
	"strings"
	"syscall"

	"guichet/cell/saga"
)

// moments is what a cell that is built for drills adds: GUICHET_DIE_AT names a file,
// which may name the moment of a saga to be killed at.
func moments() func(saga.Moment) { return dieAt(os.Getenv("GUICHET_DIE_AT")) }

// dieAt ends this process with kill -9 at the moment that stands
// in a file as saga:state:when, like purchase:Capture:after. The file is taken away
// first, so that a process dies of it once; while there is none, all lives.
func dieAt(file string) func(saga.Moment) {
	if file == "" {
		return nil
	}
	return func(m saga.Moment) {
		text, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(text)) != m.Saga+":"+m.State+":"+string(m.When) {
			return
		}
		if os.Remove(file) != nil {
			return // another worker is dying of it
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more is done until the signal arrives
	}
}
