package booking_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
)

// book writes a ledger of an event with one quota of ten and what is done to it.
func book(t *testing.T) (event id.Event, rows []booking.LedgerRow, quota id.Quota) {
	t.Helper()
	event = id.NewEvent("euw3")
	quota = id.NewQuota(event)
	var head booking.LedgerHead
	at := time.Date(2027, 1, 2, 3, 4, 5, 678901234, time.UTC)
	for _, entries := range [][]booking.Entry{
		{{Kind: booking.EntryOpen, Changes: []booking.Change{{Quota: quota, Size: 10}}}},
		{
			{Kind: booking.EntryHold, Ref: "a", Changes: []booking.Change{{Quota: quota, Held: 6}}},
			{Kind: booking.EntryHold, Ref: "b", Changes: []booking.Change{{Quota: quota, Held: 4}}},
		},
		{{Kind: booking.EntrySale, Ref: "a", Changes: []booking.Change{{Quota: quota, Held: -6, Sold: 6}}}},
		{{Kind: booking.EntryExpiry, Ref: "b", Changes: []booking.Change{{Quota: quota, Held: -4}}}},
	} {
		row, err := head.Row(event, at, entries)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return event, rows, quota
}

func addUp(rows []booking.LedgerRow) (*booking.Tally, error) {
	t := &booking.Tally{}
	for _, r := range rows {
		// As it comes from a file, not as it was in memory.
		text, err := json.Marshal(r)
		if err != nil {
			return t, err
		}
		var read booking.LedgerRow
		if err := json.Unmarshal(text, &read); err != nil {
			return t, err
		}
		if err := t.Add(read); err != nil {
			return t, err
		}
	}
	return t, nil
}

func TestLedger_addsUpToWhatIsLeft(t *testing.T) {
	event, rows, quota := book(t)
	tally, err := addUp(rows)
	if err != nil {
		t.Fatal(err)
	}
	if q := tally.Quotas[quota]; q.Size != 10 || q.Held != 0 || q.Sold != 6 || q.Free() != 4 || tally.Event != event || tally.Head.Next != 6 {
		t.Errorf("%+v, %+v", *q, tally.Head)
	}
	if tally.Counts[booking.EntryHold] != 2 || tally.Counts[booking.EntrySale] != 1 {
		t.Errorf("counts %v", tally.Counts)
	}
}

func TestLedger_showsEveryChangeOfItsPast(t *testing.T) {
	for name, spoil := range map[string]func(rows []booking.LedgerRow) []booking.LedgerRow{
		"a row is missing":        func(r []booking.LedgerRow) []booking.LedgerRow { return append(r[:1:1], r[2:]...) },
		"the first is missing":    func(r []booking.LedgerRow) []booking.LedgerRow { return r[1:] },
		"two rows changed places": func(r []booking.LedgerRow) []booking.LedgerRow { r[2], r[3] = r[3], r[2]; return r },
		"a row is told twice":     func(r []booking.LedgerRow) []booking.LedgerRow { return append(r, r[3]) },
		"an entry was changed": func(r []booking.LedgerRow) []booking.LedgerRow {
			r[2].Entries = bytes.Replace(r[2].Entries, []byte(`"sold":6`), []byte(`"sold":7`), 1)
			return r
		},
		"the time was changed":  func(r []booking.LedgerRow) []booking.LedgerRow { r[1].At = r[1].At.Add(time.Second); return r },
		"another event's row":   func(r []booking.LedgerRow) []booking.LedgerRow { r[2].Event = id.NewEvent("euw3"); return r },
		"the hash was replaced": func(r []booking.LedgerRow) []booking.LedgerRow { r[0].Hash = r[1].Hash; return r },
	} {
		_, rows, _ := book(t)
		if _, err := addUp(spoil(rows)); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

func TestLedger_refusesMoreThanThereWas(t *testing.T) {
	event := id.NewEvent("euw3")
	quota := id.NewQuota(event)
	for name, last := range map[string]booking.Change{
		"oversold":             {Quota: quota, Held: 11},
		"returned twice":       {Quota: quota, Sold: -1},
		"shrunk below itself":  {Quota: quota, Size: -11},
		"a quota from nowhere": {Quota: id.NewQuota(event), Held: 1},
	} {
		var head booking.LedgerHead
		var rows []booking.LedgerRow
		for _, c := range []booking.Change{{Quota: quota, Size: 10}, last} {
			row, err := head.Row(event, time.Unix(1, 0), []booking.Entry{{Kind: booking.EntryHold, Changes: []booking.Change{c}}})
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if _, err := addUp(rows); !errors.Is(err, booking.ErrLedger) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A ledger that was written once must verify for ever: what is hashed never changes.
func TestLedger_hashIsThatOfEverBefore(t *testing.T) {
	t.Parallel()
	event, err := id.ParseEvent("evt_euw3_k3v9x2m4q7rt")
	if err != nil {
		t.Fatal(err)
	}
	head := booking.LedgerHead{Next: 7, Hash: "abc"}
	at := time.Date(2027, 5, 1, 19, 30, 0, 123_400_999, time.FixedZone("", 2*3600))
	row, err := head.Row(event, at, []booking.Entry{{Kind: booking.EntryHold, Ref: "r", Changes: []booking.Change{}}})
	if err != nil {
		t.Fatal(err)
	}
	// printf 'guichet-ledger-v1\nevt_euw3_k3v9x2m4q7rt\n7\n2027-05-01T17:30:00.1234Z\nabc\n[{"kind":"hold","ref":"r","changes":[]}]' | sha256sum
	if want := "485e4b4a665094d51adc7dc6d6bdcb68f9c3423f59524d4d8eb10c05fa2b579a"; row.Hash != want || head.Hash != want || head.Next != 8 {
		t.Errorf("%s, %+v", row.Hash, head)
	}
}
