package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var paperTests = map[string]func(t *testing.T, s *store.Store){
	"Paper_numbersHaveNoGapsWhateverFailsAndRaces": papersWithoutGaps,
	"Revocation_numbersHaveNoGapsAndABarcodeOne":   revocationsWithoutGaps,
}

func invoiceOf(o id.Order, org id.Organizer) checkout.Paper {
	return checkout.Paper{Kind: checkout.Invoice, Cause: o.String(), Order: o, Organizer: org, Total: eur(100), IssuedAt: time.Unix(1_800_000_000, 0)}
}

func papersWithoutGaps(t *testing.T, s *store.Store) {
	const each = 10
	org, other := id.NewOrganizer(s.Cell), id.NewOrganizer(s.Cell)
	var mu sync.Mutex
	var orders []id.Order
	failed := errors.New("the payment was not stored")
	var racing sync.WaitGroup
	for _, process := range []*store.Store{s, twin(t, s)} {
		for range each {
			racing.Go(func() {
				o := id.NewOrder(id.NewEvent(s.Cell))
				if err := process.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
					return errors.Join(process.IssuePaper(ctx, tx, invoiceOf(o, org)), failed)
				}); !errors.Is(err, failed) {
					t.Error(err)
				}
				for range 2 { // the second has its number already
					if err := process.IssuePaper(t.Context(), txn.None, invoiceOf(o, org)); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				orders = append(orders, o)
			})
		}
	}
	racing.Wait()
	var numbers []int64
	for _, o := range orders {
		p, err := s.Paper(t.Context(), txn.None, o, checkout.Invoice, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Paper(t.Context(), txn.None, o, checkout.Invoice, 2); !errors.Is(err, checkout.ErrPaperNotFound) {
			t.Errorf("a second invoice: %v", err)
		}
		numbers = append(numbers, p.Number)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != int64(i)+1 {
			t.Fatalf("numbers %v", numbers)
		}
	}
	// Another organizer, and another kind, count for themselves.
	o := id.NewOrder(id.NewEvent(s.Cell))
	note := invoiceOf(o, org)
	note.Kind, note.Cause = checkout.CreditNote, "ref_1"
	for _, p := range []checkout.Paper{invoiceOf(o, other), note} {
		if err := s.IssuePaper(t.Context(), txn.None, p); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Paper(t.Context(), txn.None, o, p.Kind, 1); err != nil || got.Number != 1 || got.Series != s.Cell.String() {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func revocationsWithoutGaps(t *testing.T, s *store.Store) {
	event := id.NewEvent(s.Cell)
	failed := errors.New("the refund was not stored")
	if err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		return errors.Join(s.Revoke(ctx, tx, event, []string{"x", "y"}), failed)
	}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	// A ticket that was revoked by itself is canceled with its order later on.
	for _, barcodes := range [][]string{{"a", "b", "c"}, nil, {"a"}, {"d", "b", "d"}} {
		if err := s.Revoke(t.Context(), txn.None, event, barcodes); err != nil {
			t.Fatal(err)
		}
	}
	list, head, now, err := s.Revocations(t.Context(), event, 1, 2)
	if err != nil || head != 4 || len(list) != 2 || list[0].Seq != 2 || list[1].Seq != 3 || now.IsZero() {
		t.Errorf("%+v %d %s %v", list, head, now, err)
	}
}
