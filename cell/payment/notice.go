package payment

import "time"

// Outcome says what became of a notice.
type Outcome string

// The outcomes of a notice.
const (
	Done    Outcome = "done"    // it had its effect, or there was none to have any more
	Ignored Outcome = "ignored" // its type says nothing to us, or nobody here is meant
	Waiting Outcome = "waiting" // something else comes first; it is looked at again
	// Repeated is never stored: the notice was there already.
	Repeated Outcome = "repeated"
)

// Stored is a notice as it was kept.
type Stored struct {
	ID       string
	Type     string
	Body     []byte // as the provider sent it; its signature was checked then
	Outcome  Outcome
	Attempts int64 // looks at it while it waited
	Received time.Time
}
