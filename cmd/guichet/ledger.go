package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/ticket"
)

// maxLedgerLine bounds one row: a batch of the desk with room to spare.
const maxLedgerLine = 16 << 20

// ledgerCommand adds an event's ledger up again.
func ledgerCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet ledger", flag.ContinueOnError)
	fs.SetOutput(stderr)
	keys := fs.String("keys", "", "`file or URL` of the public keys (default: the open town's router)")
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the router is")
	fs.Usage = func() {
		sayf(stderr, "guichet ledger verify FILE [flags]     FILE is what GET /v1/events/{id}/ledger gave\n\n")
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 || rest[0] != "verify" {
		fs.Usage()
		return fmt.Errorf("%w: verify and one file are needed", errUsage)
	}
	f, err := os.Open(rest[1])
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	set, from, err := loadKeys(ctx, *keys, *credentials)
	if err != nil {
		return err
	}
	list, err := ticket.ParseJWKSet(set)
	if err != nil {
		return fmt.Errorf("the keys are not usable: %w", err)
	}
	tally, seal, err := addUp(f)
	if err != nil {
		return fmt.Errorf("not valid: %w", err)
	}
	if err := ticket.VerifySeal(seal.Text(), seal.Signature, seal.KeyID, ticket.KeysOf(list)); err != nil {
		return fmt.Errorf("not valid: %w", err)
	}
	sayf(stdout, "valid: %d entries of %s, sealed by %s (keys: %s)\n", tally.Head.Next-1, tally.Event, seal.KeyID, from)
	for _, q := range slices.SortedFunc(maps.Values(tally.Quotas), func(a, b *booking.Quota) int { return len(a.ID.String()) - len(b.ID.String()) }) {
		sayf(stdout, "  %s  size %d, held %d, sold %d, allocated %d, free %d\n", q.ID, q.Size, q.Held, q.Sold, q.Allocated, q.Free())
	}
	for _, kind := range slices.Sorted(maps.Keys(tally.Counts)) {
		sayf(stdout, "  %-9s %d\n", kind, tally.Counts[kind])
	}
	sayf(stdout, "held + sold + allocated was never above size\n")
	saySeats(stdout, tally)
	return nil
}

// saySeats tells where the seats stand, if the event has any.
func saySeats(stdout io.Writer, tally *booking.Tally) {
	if tally.Counts[booking.EntrySeating] == 0 {
		return
	}
	count := map[booking.SeatState]int64{}
	for _, c := range tally.Seats {
		count[c.State]++
	}
	sayf(stdout, "no seat ever had two live claims; now held %d, sold %d, killed %d, kept by the house %d\n",
		count[booking.SeatHeld], count[booking.SeatSold], count[booking.SeatKilled], count[booking.SeatHouse])
}

// addUp reads a ledger to its seal and holds every row to the chain and to P2.
func addUp(r io.Reader) (*booking.Tally, client.Seal, error) {
	tally := &booking.Tally{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLedgerLine)
	for n := 1; lines.Scan(); n++ {
		var line struct {
			booking.LedgerRow
			Seal *client.Seal `json:"seal"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, client.Seal{}, fmt.Errorf("line %d cannot be read: %w", n, err)
		}
		if line.Seal == nil {
			if err := tally.Add(line.LedgerRow); err != nil {
				return nil, client.Seal{}, fmt.Errorf("line %d: %w", n, err)
			}
			continue
		}
		if line.Seal.Hash != tally.Head.Hash || line.Seal.EventID != tally.Event.String() {
			return nil, client.Seal{}, booking.ErrLedger.With("the seal is on another row than the last")
		}
		if lines.Scan() {
			return nil, client.Seal{}, booking.ErrLedger.With("there is something behind the seal")
		}
		return tally, *line.Seal, nil
	}
	if err := lines.Err(); err != nil {
		return nil, client.Seal{}, fmt.Errorf("read the ledger: %w", err)
	}
	return nil, client.Seal{}, booking.ErrLedger.With("it ends without a seal: it was cut off")
}
