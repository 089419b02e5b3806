package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/store"
	"guichet/internal/txn"
)

// An entry that is there is not added to, whatever a later caller thinks is in it.
func TestPost_isWholeAndOnce(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	order, org := id.NewOrder(id.NewEvent("euw3")), id.NewOrganizer("euw3")
	entry := payment.Entry{ID: "e", Kind: payment.KindSale, Order: order, Currency: "EUR", Postings: []payment.Posting{{Account: payment.AtProvider, Amount: 10}, {Account: payment.OwedTo(org), Amount: -10}}}
	longer := entry.Taxed(org, 4)
	for _, e := range []payment.Entry{entry, entry, longer, {ID: "nothing", Order: order}} {
		if err := s.Post(t.Context(), txn.None, e); err != nil {
			t.Fatal(err)
		}
	}
	broken := entry
	broken.ID, broken.Postings = "broken", entry.Postings[:1]
	if err := s.Post(t.Context(), txn.None, broken); err == nil {
		t.Error("half an entry was posted")
	}
	var n, sum int64
	if err := s.DB.Pool.QueryRow(t.Context(), `SELECT count(*), sum(amount)::bigint FROM payment.posting`).Scan(&n, &sum); err != nil || n != 2 || sum != 0 {
		t.Errorf("%d postings that sum to %d, %v", n, sum, err)
	}
	sums, err := s.AccountsOf(t.Context(), org)
	if err != nil || !slices.Equal(sums, []payment.Sum{{Currency: "EUR", Account: payment.OwedTo(org), Kind: payment.KindSale, Amount: -10}}) {
		t.Errorf("%+v, %v", sums, err)
	}
}

func TestNotices_areForgottenAfterTheirRetentionButNotWhileTheyWait(t *testing.T) {
	t.Parallel()
	s := searchStore(t)
	for _, name := range []string{"evt_old", "evt_waiting", "evt_young"} {
		n := payment.Notice{ID: name, Type: "charge.updated", Created: time.Now()}
		if first, err := s.InsertNotice(t.Context(), txn.None, n, "", []byte("{}")); err != nil || !first {
			t.Fatal(first, err)
		}
	}
	if err := s.SetNotice(t.Context(), txn.None, "evt_waiting", payment.Waiting, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB.Pool.Exec(t.Context(), `UPDATE payment.notice SET received_at = received_at - $1::float8 * INTERVAL '1 second' WHERE notice_id <> 'evt_young'`, (store.NoticeRetention + time.Minute).Seconds()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.ForgetNotices(t.Context()); err != nil || n != 1 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	left, err := s.NoticesSince(t.Context(), time.Time{}, "", 10)
	var names []string
	for _, n := range left {
		names = append(names, n.ID)
	}
	if err != nil || fmt.Sprint(names) != "[evt_waiting evt_young]" {
		t.Errorf("%v, %v", names, err)
	}
	if due, err := s.ClaimNotices(t.Context(), 10, time.Minute); err != nil || len(due) != 0 {
		t.Errorf("%d are due an hour early, %v", len(due), err)
	}
	if strings.Join(names, " ") == "" {
		t.Error("nothing was listed")
	}
}
