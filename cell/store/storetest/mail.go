package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var mailTests = map[string]func(t *testing.T, s *store.Store){
	"Mail_existsOnceForItsOrderKindAndPart":          mailOnce,
	"Mail_isClaimedByOneSenderOnly":                  mailClaimedOnce,
	"Mail_whoseLeaseRanOutIsEndedByItsNewSender":     mailFence,
	"Mail_isSentAgainSoManyTimesAndNoMore":           mailAgain,
	"Mail_isKeptWhileThereIsNoServer":                mailShelved,
	"Mail_forgetsWhomItWentTo":                       mailForgets,
	"Mail_thatAStrangerCausedIsCountedForItsAddress": mailCaused,
	"Mail_remembersWhichOrdersAnAddressHas":          mailReach,
	"Mail_queuedInATransactionThatFailsIsNotSent":    mailRollsBack,
}

func letter(s *store.Store, k notify.Kind, part string) notify.Message {
	return notify.Message{Kind: k, Order: id.NewOrder(id.NewEvent(s.Cell)), Part: part, To: "Ana@example.org", Name: "Ana", Locale: "fr"}
}

func enqueue(t *testing.T, s *store.Store, ms ...notify.Message) {
	t.Helper()
	for _, m := range ms {
		if err := s.Enqueue(t.Context(), txn.None, m); err != nil {
			t.Fatal(err)
		}
	}
}

func claim(t *testing.T, s *store.Store, lease time.Duration) []notify.Claimed {
	t.Helper()
	claimed, err := s.Claim(t.Context(), 100, lease)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

// stateOf reads a message's row.
func stateOf(t *testing.T, s *store.Store, m notify.Message) (state, reason, address string) {
	t.Helper()
	if err := s.DB.Pool.QueryRow(t.Context(), `SELECT state, reason, address FROM notify.message WHERE message_id = $1`, m.ID()).Scan(&state, &reason, &address); err != nil {
		t.Fatal(err)
	}
	return state, reason, address
}

func mailOnce(t *testing.T, s *store.Store) {
	m := letter(s, notify.Refund, "ref_1")
	other := m
	other.Part = "ref_2"
	var racing sync.WaitGroup
	for _, process := range []*store.Store{s, twin(t, s)} {
		for range 5 {
			racing.Go(func() {
				if err := process.Enqueue(t.Context(), txn.None, m); err != nil {
					t.Error(err)
				}
			})
		}
	}
	racing.Wait()
	enqueue(t, s, other)
	claimed := claim(t, s, time.Minute)
	if len(claimed) != 2 {
		t.Fatalf("%d mails, want 2", len(claimed))
	}
	slices.SortFunc(claimed, func(a, b notify.Claimed) int { return len(a.Part) - len(b.Part) })
	for _, c := range claimed {
		if c.Order != m.Order || c.Kind != m.Kind || c.To != m.To || c.Name != m.Name || c.Locale != m.Locale || c.Attempt != 1 || c.MessageID != c.ID() || c.QueuedAt.IsZero() {
			t.Errorf("it came back as %+v", c)
		}
	}
}

func mailClaimedOnce(t *testing.T, s *store.Store) {
	const mails = 40
	for range mails {
		enqueue(t, s, letter(s, notify.OrderPaid, ""))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var racing sync.WaitGroup
	for _, process := range []*store.Store{s, twin(t, s), s, twin(t, s)} {
		racing.Go(func() {
			for {
				claimed, err := process.Claim(t.Context(), 3, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if len(claimed) == 0 {
					return
				}
				mu.Lock()
				for _, c := range claimed {
					seen[c.MessageID]++
				}
				mu.Unlock()
			}
		})
	}
	racing.Wait()
	// A sender may find nothing free while the others hold their rows: the rest is taken here.
	for _, c := range claim(t, s, time.Hour) {
		seen[c.MessageID]++
	}
	if len(seen) != mails {
		t.Errorf("%d mails were claimed, want %d", len(seen), mails)
	}
	for mail, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", mail, n)
		}
	}
}

func mailFence(t *testing.T, s *store.Store) {
	m := letter(s, notify.OrderPaid, "")
	enqueue(t, s, m)
	stale := claim(t, s, 0)
	fresh := claim(t, s, time.Minute)
	if len(stale) != 1 || len(fresh) != 1 || fresh[0].Attempt != 2 {
		t.Fatalf("claimed %d and %d", len(stale), len(fresh))
	}
	if err := s.End(t.Context(), stale[0], notify.Parked, "late"); err != nil {
		t.Fatal(err)
	}
	if err := s.Later(t.Context(), stale[0], 0, "late"); err != nil {
		t.Fatal(err)
	}
	if state, reason, _ := stateOf(t, s, m); state != "queued" || reason != "" || len(claim(t, s, time.Minute)) != 0 {
		t.Errorf("who lost his lease made it %s: %q", state, reason)
	}
	if err := s.End(t.Context(), fresh[0], notify.Sent, ""); err != nil {
		t.Fatal(err)
	}
	if state, _, _ := stateOf(t, s, m); state != "sent" {
		t.Errorf("it is %s", state)
	}
}

func mailAgain(t *testing.T, s *store.Store) {
	const limit = 3
	m := letter(s, notify.OrderPaid, "")
	enqueue(t, s, m)
	other := twin(t, s)
	var mu sync.Mutex
	granted := 0
	var racing sync.WaitGroup
	for range 10 {
		for _, process := range []*store.Store{s, other} {
			racing.Go(func() {
				wait, err := process.Again(t.Context(), txn.None, m, "again-", limit, 1000*24*time.Hour)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if wait == 0 {
					granted++
				} else if wait < 0 || wait > 1000*24*time.Hour {
					t.Errorf("wait %s", wait)
				}
			})
		}
	}
	racing.Wait()
	if granted != limit || len(claim(t, s, time.Minute)) != limit+1 {
		t.Errorf("%d were sent again, want %d", granted, limit)
	}
}

func mailShelved(t *testing.T, s *store.Store) {
	m := letter(s, notify.OrderPaid, "")
	enqueue(t, s, m)
	if n, err := s.Shelve(t.Context(), notify.NoServer, 10); err != nil || n != 1 {
		t.Fatalf("shelved %d: %v", n, err)
	}
	if state, reason, address := stateOf(t, s, m); state != "unsent" || reason != notify.NoServer || address != m.To {
		t.Errorf("it is %s: %s", state, reason)
	}
	if counts, err := s.Waiting(t.Context()); err != nil || counts["unsent"] != 1 {
		t.Errorf("waiting: %v, %v", counts, err)
	}
	if n, err := s.Unshelve(t.Context(), 0); err != nil || n != 0 {
		t.Errorf("too old, and yet %d came back: %v", n, err)
	}
	if n, err := s.Unshelve(t.Context(), time.Hour); err != nil || n != 1 {
		t.Errorf("%d came back: %v", n, err)
	}
	if len(claim(t, s, time.Minute)) != 1 {
		t.Error("it cannot be sent")
	}
}

func mailForgets(t *testing.T, s *store.Store) {
	sent, waiting := letter(s, notify.OrderPaid, ""), letter(s, notify.OrderPaid, "")
	enqueue(t, s, sent)
	c := claim(t, s, time.Minute)[0]
	if err := s.End(t.Context(), c, notify.Sent, ""); err != nil {
		t.Fatal(err)
	}
	search := notify.Message{Kind: notify.FindMyTickets, To: "ana@example.org"}
	if _, err := s.Again(t.Context(), txn.None, search, "search-", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, waiting)
	if n, err := s.Forget(t.Context(), time.Hour, time.Hour, 10); err != nil || n != 0 {
		t.Errorf("forgot %d that are young: %v", n, err)
	}
	if n, err := s.Forget(t.Context(), -time.Minute, -time.Minute, 10); err != nil || n != 2 {
		t.Errorf("forgot %d, want the sent one and the search: %v", n, err)
	}
	if state, _, address := stateOf(t, s, sent); state != "sent" || address != "" {
		t.Errorf("the sent one is %s to %q", state, address)
	}
	if _, _, address := stateOf(t, s, waiting); address == "" {
		t.Error("a mail that waits lost its address")
	}
	if n, err := s.Forget(t.Context(), -time.Minute, -time.Minute, 10); err != nil || n != 0 {
		t.Errorf("forgot %d twice: %v", n, err)
	}
}

func mailReach(t *testing.T, s *store.Store) {
	first, second := letter(s, notify.OrderPaid, ""), letter(s, notify.OrderPaid, "")
	expired, stranger := letter(s, notify.OrderExpired, ""), letter(s, notify.OrderPaid, "")
	stranger.To = "other@example.org"
	enqueue(t, s, first, first, second, expired, stranger)
	got, err := s.OrdersReached(t.Context(), notify.AddressHash(" ANA@example.org"), 10)
	if err != nil || !slices.Equal(got, []id.Order{second.Order, first.Order}) {
		t.Errorf("found %v: %v", got, err)
	}
	if got, err = s.OrdersReached(t.Context(), notify.AddressHash("ana@example.org"), 1); err != nil || len(got) != 1 {
		t.Errorf("found %d, want 1: %v", len(got), err)
	}
}

func mailRollsBack(t *testing.T, s *store.Store) {
	m := letter(s, notify.OrderPaid, "")
	failed := errors.New("the order was not paid after all")
	err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		return errors.Join(s.Enqueue(ctx, tx, m), failed)
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if n := len(claim(t, s, time.Minute)); n != 0 {
		t.Errorf("%d mails tell what did not happen", n)
	}
	if got, err := s.OrdersReached(t.Context(), notify.AddressHash(m.To), 10); err != nil || len(got) != 0 {
		t.Errorf("the address has %v: %v", got, err)
	}
}

func mailCaused(t *testing.T, s *store.Store) {
	caused := func(part, to string) notify.Message {
		m := letter(s, notify.OrderPaid, part)
		m.To, m.Caused = to, true
		return m
	}
	first := caused("", "Ana+1@example.org")
	enqueue(t, s, first, first, caused("", "ana@EXAMPLE.org"), caused("", "bob@example.org"), letter(s, notify.OrderPaid, ""))
	again := caused("", "ana+again@example.org")
	if _, err := twin(t, s).Again(t.Context(), txn.None, again, "again-", 5, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		if err := s.Enqueue(ctx, tx, caused("", "ana@example.org")); err != nil {
			return err
		}
		return errors.New("rolled back")
	}); err == nil {
		t.Fatal("it was stored")
	}
	key := notify.LimitHash("ana@example.org")
	now, at, err := s.Caused(t.Context(), txn.None, key, 10)
	if err != nil || len(at) != 3 {
		t.Fatalf("%d were caused: %v", len(at), err)
	}
	if at[0].Before(at[1]) || at[1].Before(at[2]) || now.Before(at[0]) || now.Sub(at[2]) > time.Minute {
		t.Errorf("%v, and it is %s", at, now)
	}
	if _, at, err := s.Caused(t.Context(), txn.None, key, 2); err != nil || len(at) != 2 {
		t.Errorf("%d of at most 2: %v", len(at), err)
	}
	if n, err := s.ForgetCaused(t.Context(), time.Hour, 10); err != nil || n != 0 {
		t.Errorf("forgot %d that are young: %v", n, err)
	}
	for _, want := range []int64{3, 1, 0} {
		if n, err := s.ForgetCaused(t.Context(), -time.Minute, 3); err != nil || n != want {
			t.Errorf("forgot %d, want %d: %v", n, want, err)
		}
	}
}
