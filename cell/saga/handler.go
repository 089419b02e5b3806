package saga

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"guichet/internal/kind"
	"guichet/internal/txn"
)

// Handler does what a Task asks for. Exactly one of Within, Outside, Await and
// Caller is set.
type Handler struct {
	// Within does its work in the transaction of the checkpoint: both are stored or
	// neither. It may run again, so nothing in it may be seen from outside.
	Within func(ctx context.Context, tx txn.Tx, c Call) (any, error)
	// Desk lets Within run at the event's desk, where its stock is decided.
	Desk bool
	// Alone lets Within have a transaction of its own, with nothing before it: for
	// work that comes in pages.
	Alone bool

	// Outside asks somebody who knows nothing of our transactions. Before, its
	// intent is stored; the call's Key is the same over tries and takeovers.
	Outside func(ctx context.Context, c Call) (any, error)
	// Note stores what came of Outside, with the checkpoint; nil for nothing more.
	// What it is given is what Outside answered; only its JSON is kept.
	Note func(ctx context.Context, tx txn.Tx, c Call, result any) error
	// Ready is asked before the intent is written down: its error is the task's, and
	// nobody outside was asked. Nil is always ready.
	Ready func() error
	// Ask says that Outside changes nothing there: no intent is written down.
	Ask bool

	// Await waits for a Signal, whose payload is the result.
	Await bool
	// Hurry lets Drive end that wait, as it ends the pauses between tries.
	Hurry bool
	// Caller is done by whoever starts the run, in his transaction; Start takes its result.
	Caller bool
}

// Call is a Task that is to be done.
type Call struct {
	Run   string
	Event string
	State string
	// Key is for the outside: "run:state:visit", the same however often it is tried.
	Key   string
	Now   time.Time // the database's clock
	input any
}

// Read decodes the task's effective input.
func (c Call) Read(into any) error {
	text, err := json.Marshal(c.input)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read the input of %s: %w", c.State, err)
	}
	return nil
}

// plain turns a result into what the language knows.
func plain(result any) (any, error) {
	text, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("write a result: %w", err)
	}
	return decode(text)
}

// ready says that the outside would be asked now.
func (h Handler) ready() bool { return h.Ready == nil || h.Ready() == nil }

// safely turns a panic, which is our own bug, into an error: one run's fault must
// not take the process down with it.
func safely(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// failureOf names an error for Retry and Catch: by its stable code, or as the
// language says it.
func failureOf(err error, late bool) *failure {
	cause := strings.ReplaceAll(err.Error(), "\x00", "") // others' words may be in it, and no text column takes a NUL
	switch e := kind.As(err); {
	case e != nil:
		return &failure{e.Code, cause}
	case late:
		return &failure{errTimeout, cause}
	default:
		return &failure{errTaskFailed, cause}
	}
}
