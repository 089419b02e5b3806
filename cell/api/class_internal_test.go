package api

import (
	"testing"

	"guichet/cell/client/class"
)

// The router's door knows operators' calls from the table of classes. This holds the
// table to the routes: a new operator's call that is not in it would be public.
func TestRoutes_ofOperatorsAreThoseThatTheRouterHides(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, r := range routes {
		hidden := class.Of(r.method, r.path) == class.Operator
		if private := r.auth == operators || r.path == "/metrics"; private != hidden {
			t.Errorf("%s %s: for operators %t, hidden by the router %t", r.method, r.path, private, hidden)
		}
		if hidden {
			seen++
		}
	}
	if seen < 5 {
		t.Errorf("%d operators' calls were seen", seen)
	}
}

// Every route of the contract is in a class that says what it is.
func TestRoutes_haveAClassOfTheRouters(t *testing.T) {
	t.Parallel()
	for _, r := range routes {
		if class.Of(r.method, r.path) == class.Other {
			t.Errorf("%s %s is in no class: give it a row in cell/client/class", r.method, r.path)
		}
	}
}
