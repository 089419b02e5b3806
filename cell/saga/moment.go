package saga

import (
	"guichet/internal/txn"
)

// Moment is a point in a run at which a process may die.
type Moment struct {
	Saga  string // the definition's name
	State string // the Task at hand
	When  When
}

// When a moment is, seen from its Task.
type When string

// The moments of a Task. What dies before Stored must leave nothing but what the
// outside was asked, and that is asked again under the same key.
const (
	Before When = "before" // nothing of it is done; the intent of a call to the outside is stored
	After  When = "after"  // it is done, or the outside has answered, and none of that is stored
	Stored When = "stored" // its transaction is committed, and nobody heard so yet
)

func (r *Runner) moment(saga, state string, when When) {
	if r.Moments != nil {
		r.Moments(Moment{saga, state, when})
	}
}

// stored tells of a Task whose work is done when the transaction at hand is committed.
func (r *Runner) stored(tx txn.Tx, saga, state string) {
	if r.Moments != nil {
		tx.After(func() { r.moment(saga, state, Stored) })
	}
}
