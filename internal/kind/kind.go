// Package kind says what sort of thing went wrong, so that the edge can answer
// without reading texts. A sentinel is made once with a stable code; callers
// wrap it with fmt.Errorf("…: %w") and the edge asks As and Of.
package kind

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Kind decides the HTTP status and whether a caller may retry.
type Kind int

// The kinds, by the answer they lead to.
const (
	Internal         Kind = iota // 500: our fault, details stay in the log
	Invalid                      // 400: the request is malformed
	Unauthorized                 // 401: no or wrong credentials
	Forbidden                    // 403: known, but not allowed
	NotFound                     // 404
	NotAllowed                   // 405
	TooSlow                      // 408: the request did not come in time
	Conflict                     // 409: the state does not allow it now
	Stale                        // 412: If-Match does not match
	TooLarge                     // 413
	UnsupportedMedia             // 415
	Moved                        // 421: another cell is the home
	Unprocessable                // 422: well-formed, but against a rule
	ConditionMissing             // 428: If-Match is required
	Busy                         // 429: come back later
	Unavailable                  // 503: cannot ask or cannot store now
)

var statuses = map[Kind]int{
	Internal: 500, Invalid: 400, Unauthorized: 401, Forbidden: 403, NotFound: 404, NotAllowed: 405, TooSlow: 408, Conflict: 409,
	Stale: 412, TooLarge: 413, UnsupportedMedia: 415, Moved: 421, Unprocessable: 422, ConditionMissing: 428, Busy: 429, Unavailable: 503,
}

// Status is the HTTP status code of the kind; a kind nobody knows is our fault.
func (k Kind) Status() int {
	if s, ok := statuses[k]; ok {
		return s
	}
	return statuses[Internal]
}

// Error is an error with a kind, a stable code for programs, a detail for
// people and fields that help either. Values are immutable: the With methods copy.
type Error struct {
	Kind   Kind
	Code   string         // stable, snake_case, part of the API
	Detail string         // one sentence for people, without secrets
	Fields map[string]any // extra members of the problem document
	Retry  time.Duration  // when to come back; zero means unsaid
	origin *Error         // the sentinel this was made from
}

// New makes a sentinel of this kind.
func (k Kind) New(code string) *Error { return &Error{Kind: k, Code: code} }

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code
	}
	return e.Code + ": " + e.Detail
}

// Is lets errors.Is find the sentinel behind a detailed copy.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) // identities are compared: errors.Is does the unwrapping
	return ok && (t == e || (e.origin != nil && t == e.origin))
}

// With says more: the copy matches the sentinel in errors.Is.
func (e *Error) With(format string, args ...any) *Error {
	c := e.copy()
	c.Detail = fmt.Sprintf(format, args...)
	return c
}

// Field adds a member to the problem document.
func (e *Error) Field(name string, value any) *Error {
	c := e.copy()
	c.Fields[name] = value
	return c
}

// After says when trying again makes sense.
func (e *Error) After(d time.Duration) *Error {
	c := e.copy()
	c.Retry = d
	return c
}

// Fault points at a field that is wrong, by JSON pointer (RFC 6901).
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// At says which field is wrong and why. The empty pointer is the whole body.
func (e *Error) At(pointer, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	where := pointer + ":"
	if pointer == "" {
		where = "the body"
	}
	return e.With("%s %s", where, detail).Field("errors", []Fault{{pointer, detail}})
}

func (e *Error) copy() *Error {
	c := *e
	c.Fields = make(map[string]any, len(e.Fields)+1)
	maps.Copy(c.Fields, e.Fields)
	if c.origin == nil {
		c.origin = e
	}
	return &c
}

// As finds the first Error in err's chain, nil if there is none.
func As(err error) *Error {
	e, _ := errors.AsType[*Error](err)
	return e
}

// Of is the kind of err; Internal when nothing in its chain says one.
func Of(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}
