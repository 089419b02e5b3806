package booking

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"guichet/cell/id"
	"guichet/internal/kind"
)

// ErrLedger means that a ledger does not add up: a row is missing, was changed,
// or tells of more than there was.
var ErrLedger = kind.Unprocessable.New("ledger_broken")

// EntryKind says what happened to stock.
type EntryKind string

// What can happen to stock.
const (
	EntryOpen     EntryKind = "open"      // the event came to be, with its quotas
	EntrySize     EntryKind = "size"      // a quota was resized
	EntryHold     EntryKind = "hold"      // tickets were kept aside
	EntryRelease  EntryKind = "release"   // a hold was given back
	EntryExpiry   EntryKind = "expiry"    // a hold ended by the clock
	EntrySale     EntryKind = "sale"      // a hold became tickets
	EntryLateSale EntryKind = "late_sale" // a hold that had ended became tickets all the same
	EntryReturn   EntryKind = "return"    // tickets were canceled

	EntryAllocate       EntryKind = "allocate"        // staff set stock aside
	EntryDeallocate     EntryKind = "deallocate"      // staff gave it back
	EntryAllocationHold EntryKind = "allocation_hold" // stock set aside was held for a named buyer

	EntrySeating      EntryKind = "seating"       // a seating plan was laid out; its seats are the house's
	EntryKill         EntryKind = "kill"          // seats were taken out of the sale
	EntryUnkill       EntryKind = "unkill"        // and came back
	EntryHouse        EntryKind = "house"         // seats were set aside for the house
	EntryHouseRelease EntryKind = "house_release" // and released
)

// Entry is one thing that happened. Ref is the id of the hold, order or allocation.
// Seats are those it was done to, where there are seats.
type Entry struct {
	Kind    EntryKind `json:"kind"`
	Ref     string    `json:"ref,omitempty"`
	Changes []Change  `json:"changes"`
	Seats   []SeatID  `json:"seats,omitempty"`
}

// Change is what an entry adds to one quota's counters.
type Change struct {
	Quota     id.Quota `json:"quota"`
	Size      int64    `json:"size,omitempty"`
	Held      int64    `json:"held,omitempty"`
	Sold      int64    `json:"sold,omitempty"`
	Allocated int64    `json:"allocated,omitempty"`
}

func changeOf(before, after Quota) Change {
	return Change{
		Quota: after.ID, Size: after.Size - before.Size, Held: after.Held - before.Held,
		Sold: after.Sold - before.Sold, Allocated: after.Allocated - before.Allocated,
	}
}

// Opening is the first entry of an event's ledger.
func (e *Event) Opening() Entry {
	entry := Entry{Kind: EntryOpen, Changes: make([]Change, 0, len(e.Quotas))}
	for _, q := range e.Quotas {
		entry.Changes = append(entry.Changes, changeOf(Quota{}, q))
	}
	return entry
}

// Resizing is the entry about quotas that are not what they were, or were not there, or
// are there no more; ok is false when all are as before.
func (e *Event) Resizing(before []Quota) (entry Entry, ok bool) {
	entry.Kind = EntrySize
	was := func(qid id.Quota) Quota {
		for _, q := range before {
			if q.ID == qid {
				return q
			}
		}
		return Quota{}
	}
	for _, q := range e.Quotas {
		if c := changeOf(was(q.ID), q); c != (Change{Quota: q.ID}) {
			entry.Changes = append(entry.Changes, c)
		}
	}
	for _, q := range before {
		if e.Quota(q.ID) == nil && q.Size != 0 {
			entry.Changes = append(entry.Changes, Change{Quota: q.ID, Size: -q.Size})
		}
	}
	return entry, len(entry.Changes) > 0
}

// LedgerRow is what one transaction did to an event's stock: a run of entries
// with consecutive numbers, chained to the row before by its hash. Rows are only
// ever appended.
type LedgerRow struct {
	Event   id.Event        `json:"event_id"`
	First   int64           `json:"first"` // number of the first entry; numbers start at 1
	At      time.Time       `json:"at"`    // the database's clock
	Entries json.RawMessage `json:"entries"`
	Prev    string          `json:"prev"` // hash of the row before, "" for the first
	Hash    string          `json:"hash"`
}

// LedgerHead is where an event's ledger ends.
type LedgerHead struct {
	Next int64  // number of the next entry; 0 and 1 both mean that there is none yet
	Hash string // of the last row, "" when there is none
}

// Row makes the next row of the ledger and moves the head behind it.
func (h *LedgerHead) Row(event id.Event, at time.Time, entries []Entry) (LedgerRow, error) {
	text, err := json.Marshal(entries)
	if err != nil {
		return LedgerRow{}, fmt.Errorf("write ledger of %s: %w", event, err)
	}
	r := LedgerRow{Event: event, First: max(h.Next, 1), At: at.UTC().Truncate(time.Microsecond), Entries: text, Prev: h.Hash}
	r.Hash = r.hash()
	h.Next, h.Hash = r.First+int64(len(entries)), r.Hash
	return r, nil
}

// hash covers everything but itself.
func (r *LedgerRow) hash() string {
	text := make([]byte, 0, 256+len(r.Entries))
	text = append(append(append(text, "guichet-ledger-v1\n"...), r.Event.String()...), '\n')
	text = append(strconv.AppendInt(text, r.First, 10), '\n')
	text = append(r.At.UTC().AppendFormat(text, time.RFC3339Nano), '\n')
	text = append(append(append(text, r.Prev...), '\n'), r.Entries...)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Tally adds a ledger up again, row by row, and holds it to P2 at every step.
type Tally struct {
	Event  id.Event
	Head   LedgerHead
	Quotas map[id.Quota]*Quota
	Counts map[EntryKind]int64
	Seats  map[SeatID]SeatClaim // those that are not free
}

// Add takes the next row in.
func (t *Tally) Add(r LedgerRow) error {
	if t.Quotas == nil {
		t.Quotas, t.Counts, t.Seats, t.Event = map[id.Quota]*Quota{}, map[EntryKind]int64{}, map[SeatID]SeatClaim{}, r.Event
	}
	switch {
	case r.Event != t.Event:
		return ErrLedger.With("row %d is about %s, not %s", r.First, r.Event, t.Event)
	case r.First != max(t.Head.Next, 1):
		return ErrLedger.With("entry %d is missing: the next row begins with %d", max(t.Head.Next, 1), r.First)
	case r.Prev != t.Head.Hash || r.Hash != r.hash():
		return ErrLedger.With("the row of entry %d was changed: its hash does not match", r.First)
	}
	var entries []Entry
	if err := json.Unmarshal(r.Entries, &entries); err != nil {
		return ErrLedger.With("the row of entry %d cannot be read: %v", r.First, err)
	}
	for i, e := range entries {
		if err := t.apply(r.First+int64(i), e); err != nil {
			return err
		}
	}
	t.Head = LedgerHead{Next: r.First + int64(len(entries)), Hash: r.Hash}
	return nil
}

func (t *Tally) apply(number int64, e Entry) error {
	t.Counts[e.Kind]++
	if err := t.seats(number, e); err != nil {
		return err
	}
	for _, c := range e.Changes {
		q := t.Quotas[c.Quota]
		if q == nil {
			q = &Quota{ID: c.Quota}
			t.Quotas[c.Quota] = q
		}
		q.Size, q.Held, q.Sold, q.Allocated = q.Size+c.Size, q.Held+c.Held, q.Sold+c.Sold, q.Allocated+c.Allocated
		if q.Held < 0 || q.Sold < 0 || q.Allocated < 0 || q.Free() < 0 { // P2
			return ErrLedger.With("after entry %d (%s) quota %s has size %d, held %d, sold %d, allocated %d",
				number, e.Kind, c.Quota, q.Size, q.Held, q.Sold, q.Allocated)
		}
	}
	return nil
}
