// Package audit is the cell's record of who changed what: one entry for each change that a
// person, a key or an operator made through the organizers' and operators' calls. An
// entry is written in the transaction of the change, so neither is there without the
// other, and never changed afterwards; what is past Retention is deleted.
//
// The call's Note travels with its context. Handlers say on it what they changed; the
// store writes it where the change is written. This room knows no calls and no tables.
package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"guichet/internal/txn"
)

// Limits of an entry.
const (
	// Retention is how long entries are kept.
	Retention = 400 * 24 * time.Hour
	// MaxSide bounds before and after, each in bytes of JSON.
	MaxSide = 4 << 10
	// maxText bounds every other text of an entry, in bytes.
	maxText = 256
)

// ActorKind is the kind of who did something.
type ActorKind string

// The kinds of actors.
const (
	Person   ActorKind = "person"
	Key      ActorKind = "key"
	Operator ActorKind = "operator"
	System   ActorKind = "system"
	Buyer    ActorKind = "buyer"
)

// Actor is who did something: of a person the member's id, of a key its id, of an operator
// the id of the token.
type Actor struct {
	Kind     ActorKind
	ID, Name string
}

// Object is what something was done to.
type Object struct{ Kind, ID string }

// Entry is a row of the log.
type Entry struct {
	ID            string
	At            time.Time
	Actor         Actor
	Action        string
	Object        Object
	Organizer     string // id, "" where the change is no organizer's
	Event         string // id, "" where it is no event's
	Before, After json.RawMessage
	RequestID     string
	Address       string // truncated
}

// Query says which entries are wanted, newest first. Empty means any.
type Query struct {
	Organizer, Event, Actor string
	From, To                time.Time // zero: open; To is not included
	Before                  Place     // zero: from the newest on
	Limit                   int
}

// Place is where an entry stands in the log.
type Place struct {
	At time.Time
	ID string
}

// Log keeps entries.
type Log interface {
	// AppendNote writes the note of ctx's call, in the transaction that ctx carries,
	// once however often it is asked for; nothing when the call has no note.
	AppendNote(ctx context.Context, tx txn.Tx) error
	AuditEntries(ctx context.Context, q Query) ([]Entry, error)
}

// Note is the entry of a call while the call is being done.
type Note struct {
	mu      sync.Mutex
	e       Entry
	nothing bool
}

// NewNote begins the entry of a call; its id makes it one, however often it is written.
func NewNote(e Entry) *Note {
	e.ID = rand.Text()
	return &Note{e: e}
}

type noteKey struct{}

// With carries the note.
func With(ctx context.Context, n *Note) context.Context { return context.WithValue(ctx, noteKey{}, n) }

// Of is the note of ctx's call; nil for a call that is not in the log. All methods take nil.
func Of(ctx context.Context) *Note {
	n, _ := ctx.Value(noteKey{}).(*Note)
	return n
}

// On says what is changed.
func (n *Note) On(kind, id string) *Note {
	return n.set(func(e *Entry) { e.Object = Object{kind, id} })
}

// For says whose it is.
func (n *Note) For(organizer string) *Note { return n.set(func(e *Entry) { e.Organizer = organizer }) }

// At says which event it belongs to.
func (n *Note) At(event string) *Note { return n.set(func(e *Entry) { e.Event = event }) }

// As says who does it, where a call finds that out by itself.
func (n *Note) As(a Actor) *Note { return n.set(func(e *Entry) { e.Actor = a }) }

// Changed says what was before and what is after: the members in which two JSON objects
// differ. nil is nothing. Secrets are left out by name.
func (n *Note) Changed(before, after any) *Note {
	b, a := Diff(before, after)
	return n.set(func(e *Entry) { e.Before, e.After = b, a })
}

// Nothing says that all is as it should be already: such a call leaves no entry.
func (n *Note) Nothing() *Note {
	if n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.nothing = true
	}
	return n
}

func (n *Note) set(with func(e *Entry)) *Note {
	if n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		with(&n.e)
		n.nothing = false // a transaction that runs again may find something to do
	}
	return n
}

// Entry is the note as it is to be written: bounded, and text that any database keeps. false
// says that nothing is.
func (n *Note) Entry() (Entry, bool) {
	if n == nil {
		return Entry{}, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.e
	for _, text := range []*string{&e.Actor.ID, &e.Actor.Name, &e.Action, &e.Object.Kind, &e.Object.ID, &e.Organizer, &e.Event, &e.RequestID, &e.Address} {
		*text = bounded(*text)
	}
	return e, !n.nothing
}

func bounded(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// secret are members that never stand in the log, at whatever depth: what admits, and what
// is a buyer's. Whoever adds one to a body adds it here; a test walks the contract's.
var secret = map[string]bool{
	"api_key": true, "token": true, "access_token": true, "membership_token": true, "client_secret": true, "barcode": true, "secret": true, "password": true,
	"buyer": true, "attendees": true, "attendee": true, "answers": true, "consents": true,
}

// Diff is what differs between two values that JSON can write, each side by itself. A side
// that is too long says only how long it would have been.
func Diff(before, after any) (b, a json.RawMessage) {
	was, is := members(before), members(after)
	for name := range maps.Clone(was) {
		if other, there := is[name]; there && bytes.Equal(was[name], other) {
			delete(was, name)
			delete(is, name)
		}
	}
	return side(was), side(is)
}

// members are those of a JSON object; of anything else there is one, named value.
func members(v any) map[string]json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil || bytes.Equal(text, []byte("null")) {
		return nil
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil {
		m = map[string]json.RawMessage{"value": text}
	}
	for name, value := range m {
		if secret[name] {
			delete(m, name)
			continue
		}
		m[name] = redacted(value)
	}
	return m
}

// redacted is a value without secrets inside, and with its members in one order.
func redacted(text json.RawMessage) json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return json.RawMessage(`null`)
	}
	out, err := json.Marshal(strip(v))
	if err != nil {
		return json.RawMessage(`null`)
	}
	return bytes.ReplaceAll(out, []byte(`\u0000`), []byte(`\ufffd`)) // which no jsonb keeps
}

func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if secret[name] {
				delete(v, name)
			} else {
				v[name] = strip(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
	}
	return v
}

func side(m map[string]json.RawMessage) json.RawMessage {
	if len(m) == 0 {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil
	}
	if len(text) <= MaxSide {
		return text
	}
	names := slices.Sorted(maps.Keys(m))
	if len(names) > 50 {
		names = names[:50]
	}
	text, _ = json.Marshal(map[string]any{"too_long": len(text), "members": names}) // numbers and short names
	if len(text) > MaxSide {
		return json.RawMessage(`{"too_long":true}`)
	}
	return text
}

// Truncate is an address without what tells single people apart: of IPv4 the first 24 bits
// are kept, of IPv6 the first 48. What is no address is nothing.
func Truncate(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}
