package saga

import "time"

// Limits of definitions.
const (
	// MaxDefinition is the longest definition, in bytes.
	MaxDefinition = 256 << 10
	maxStates     = 200 // in all, with those of branches
	maxBranches   = 16
	maxName       = 80 // characters of a state's name, the standard's limit
	// MaxSeconds bounds every time of a definition.
	MaxSeconds = 99_999_999
)

// Machine is a state machine in Amazon States Language, read by Parse. It is not
// changed afterwards and safe for concurrent use.
type Machine struct {
	Comment string
	StartAt string
	States  map[string]*State
	// Timeout ends the whole run; zero is never.
	Timeout time.Duration
}

// Type of a state.
type Type string

// The types that are known here. Map is not: a flow that handles many things goes
// through them page by page.
const (
	Task     Type = "Task"
	Choice   Type = "Choice"
	Wait     Type = "Wait"
	Parallel Type = "Parallel"
	Pass     Type = "Pass"
	Succeed  Type = "Succeed"
	Fail     Type = "Fail"
)

// State is one state. Which fields count depends on its type.
type State struct {
	Name    string
	Type    Type
	Comment string
	Next    string // "" is the end
	// Resource is what a Task asks for: an activity's ARN. Its last part is the name
	// under which the handler is registered.
	Resource string
	Branches []*Machine
	Retry    []Retrier
	Catch    []Catcher
	Choices  []Branch
	Default  string
	// Timeout of a Task; zero when none is said.
	Timeout time.Duration

	input, output, result place
	parameters, selector  *template
	timeoutPath           *path
	choices               []*rule
	seconds               *int64
	until                 *time.Time
	secondsPath           *path
	untilPath             *path
	fixed                 any // of a Pass state
	hasFixed              bool
	errorName, cause      string
	errorPath, causePath  *path
}

// place is InputPath, OutputPath or ResultPath: nowhere is its null.
type place struct {
	at      *path // nil is the whole
	nowhere bool
}

// Branch is where a choice leads, for those who draw.
type Branch struct {
	When string // in words
	Next string
}

// Retrier says how often and when a failed state is tried again.
type Retrier struct {
	Errors   []string
	Interval time.Duration
	Backoff  float64
	Max      int // tries after the first
	MaxDelay time.Duration
	Jitter   bool // any time up to the delay
}

// Catcher says where a failed state leads.
type Catcher struct {
	Errors []string
	Next   string
	result place
}

// Names of errors that the language itself knows.
const (
	errAll           = "States.ALL"
	errTimeout       = "States.Timeout"
	errTaskFailed    = "States.TaskFailed"
	errRuntime       = "States.Runtime"
	errResultPath    = "States.ResultPathMatchFailure"
	errParameterPath = "States.ParameterPathFailure"
	errBranch        = "States.BranchFailed"
	errNoChoice      = "States.NoChoiceMatched"
	errDataLimit     = "States.DataLimitExceeded"
)

// failure is why a state failed: an error's name and a sentence.
type failure struct{ name, cause string }

// matches says whether a retrier's or catcher's list means the error. Faults of
// the flow itself are not caught by States.ALL: they would only be met again.
func (f *failure) matches(list []string, branch bool) bool {
	for _, name := range list {
		switch name {
		case f.name:
			return true
		case errAll:
			return f.name != errRuntime && f.name != errDataLimit
		case errTaskFailed:
			if f.name != errTimeout && f.name != errRuntime && f.name != errDataLimit {
				return true
			}
		case errBranch:
			if branch {
				return true
			}
		}
	}
	return false
}

// delay before try n+1, n tries having failed after the first (0 for the first pause).
func (r *Retrier) delay(n int, random func() float64) time.Duration {
	d := r.Interval.Seconds()
	for range n {
		d *= r.Backoff
		if d >= r.MaxDelay.Seconds() {
			break
		}
	}
	d = min(d, r.MaxDelay.Seconds())
	if r.Jitter {
		d *= random()
	}
	return time.Duration(d * float64(time.Second))
}
