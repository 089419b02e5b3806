package linear

import (
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
)

// A client who is cut off twice repeats his extension: the first attempt was decided and
// lost, the second was decided at another moment and stands. One of them is kept for both,
// and must know of both.
func TestHistory_knowsWhatWasDecidedForEveryAttemptWithOneKey(t *testing.T) {
	for _, in := range []asked{{act: actExtend, key: "e1.3", hold: "h"}, {act: actHold, key: "h1.3", n: 1}} {
		g := &game{}
		want := []seen{{id: "h", state: "active", expires: 1}, {id: "h", state: "active", expires: 2}}
		for i, decided := range want {
			w := g.witnessOf(in)
			w.agreed = append(w.agreed, decided)
			in.call = int64(i)
			g.ops = append(g.ops, porcupine.Operation{Input: in, Call: in.call, Output: &pending{told{verdict: unknown, ret: never}, w}, Return: never})
		}
		ops := g.history(map[string]bool{"h": true})
		if len(ops) != 1 || !slices.Equal(ops[0].Output.(told).maybe, want) { //nolint:forcetypeassert // ours
			t.Errorf("%s: the history has %+v", in.act, ops)
		}
		other := in
		other.key = "another"
		if g.witnessOf(other) == g.witnessOf(in) {
			t.Errorf("%s: two keys share a witness", in.act)
		}
	}
	g := &game{}
	in := asked{act: actConvert, hold: "h"}
	if first, second := g.witnessOf(in), g.witnessOf(in); first == second {
		t.Error("attempts without a key share a witness")
	}
}
