package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/cell/store"
	"guichet/internal/txn"
)

var accountTests = map[string]func(t *testing.T, s *store.Store){
	"Account_isReadAsItWasWritten":                       accountKept,
	"Account_isEachOrganizersOwn":                        accountsApart,
	"Account_keepsOneOwnerWhenTwoRemoveEachOther":        accountLastOwner,
	"Account_ofTwentyWhoAcceptOneInvitationMakesOne":     accountAcceptedOnce,
	"Account_aRefusalLeavesNothing":                      accountRefusal,
	"Account_aChangeInATransactionThatFailsIsNotThere":   accountRollsBack,
	"Account_listsWhatIsRevokedFromThenUntilItExpires":   accountRevoked,
	"Account_aListOfRevocationsIsBoundedAndHasKeysFirst": accountRevokedBound,
	"Account_forgetsWhatIsPast":                          accountForgets,
}

func ownerOf(name string) account.Identity {
	return account.Identity{Issuer: "https://issuer.example", Subject: name, Email: name + "@example.org", Name: "Zoë «" + name + "»"}
}

// settle opens an account with owners.
func settle(t *testing.T, s *store.Store, owners ...string) (org id.Organizer, members []account.Member) {
	t.Helper()
	org = id.NewOrganizer(s.Cell)
	err := s.ChangeAccount(t.Context(), txn.None, org, func(a *account.Account, now time.Time) error {
		members = nil
		for _, name := range owners {
			members = append(members, account.Member{ID: id.NewMembership(org), Identity: ownerOf(name), Role: access.Owner, AddedAt: now, AddedBy: "test"})
		}
		a.Changes.Members = members
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return org, members
}

// look reads an account as a change would.
func look(t *testing.T, s *store.Store, org id.Organizer) (a account.Account) {
	t.Helper()
	if err := s.ChangeAccount(t.Context(), txn.None, org, func(read *account.Account, _ time.Time) error {
		a = *read
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return a
}

func mustChange(t *testing.T, s *store.Store, org id.Organizer, decide func(a *account.Account, now time.Time) error) {
	t.Helper()
	if err := s.ChangeAccount(t.Context(), txn.None, org, decide); err != nil {
		t.Fatal(err)
	}
}

func accountKept(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana", "bob")
	by := account.By{Person: members[0].Identity}
	mustChange(t, s, org, func(a *account.Account, now time.Time) error {
		inv, err := a.Invite(by, account.Asked{Email: "new@example.org", Role: access.Door, Locale: "fr"}, now)
		if err != nil {
			return err
		}
		inv.TokenHash = "hash"
		a.Changes.Invitations = append(a.Changes.Invitations, *inv)
		for _, scope := range []account.Scope{{Role: access.Events}, {Permissions: []access.Permission{access.Scan, access.ReadStats}}} {
			k, err := a.MakeKey(by, account.AskedKey{Name: "caisse «1»", Scope: scope}, now)
			if err != nil {
				return err
			}
			k.Hash = "hash"
			a.Changes.Keys = append(a.Changes.Keys, *k)
		}
		return a.Demand(by, "urn:mfa", "urn:mfa", now)
	})
	a := look(t, s, org)
	if len(a.Members) != 2 || len(a.Invitations) != 1 || len(a.Keys) != 2 || a.RequiredACR != "urn:mfa" {
		t.Fatalf("%+v", a)
	}
	inv, err := s.Invitation(t.Context(), a.Invitations[0].ID)
	if err != nil || !reflect.DeepEqual(inv, a.Invitations[0]) || inv.Locale != "fr" || inv.TokenHash != "hash" || inv.Inviter != "Zoë «ana»" || inv.ExpiresAt.Sub(inv.InvitedAt) > account.InvitationLife {
		t.Errorf("%+v, %v", inv, err)
	}
	for _, k := range a.Keys {
		got, now, err := s.APIKey(t.Context(), k.ID)
		if err != nil || !reflect.DeepEqual(got, k) || now.Before(k.CreatedAt) || got.State(now) != account.KeyLive || len(got.Scope.Permissions) != 2 && got.Scope.Role != access.Events {
			t.Errorf("%+v, %v", got, err)
		}
	}
	m, err := s.Membership(t.Context(), org, "https://issuer.example", "bob")
	if err != nil || len(m.Members) != 1 || m.Members[0].ID != members[1].ID || m.Members[0].Identity != members[1].Identity || m.RequiredACR != "urn:mfa" {
		t.Errorf("%+v, %v", m, err)
	}
	if m, err := s.Membership(t.Context(), org, "https://other.example", "bob"); err != nil || len(m.Members) != 0 {
		t.Errorf("another issuer's: %+v, %v", m, err)
	}
	// Pages are in the order of ids, each behind the last.
	var paged []id.Membership
	for after := ""; ; {
		page, err := s.Members(t.Context(), txn.None, org, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		paged, after = append(paged, page[0].ID), page[0].ID.String()
	}
	if len(paged) != 2 || !slices.IsSortedFunc(paged, func(a, b id.Membership) int { return slices.Compare([]byte(a.String()), []byte(b.String())) }) {
		t.Errorf("%v", paged)
	}
	if _, _, err := s.APIKey(t.Context(), id.NewAPIKey(org)); !errors.Is(err, account.ErrKeyNotFound) {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := s.Invitation(t.Context(), id.NewInvitation(org)); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("an unknown invitation: %v", err)
	}
}

func accountsApart(t *testing.T, s *store.Store) {
	one, members := settle(t, s, "ana")
	two, others := settle(t, s, "ana", "bob")
	if a := look(t, s, one); len(a.Members) != 1 || a.Members[0].ID != members[0].ID {
		t.Errorf("%+v", a)
	}
	err := s.ChangeAccount(t.Context(), txn.None, one, func(a *account.Account, now time.Time) error {
		_, err := a.Remove(account.By{Person: ownerOf("ana")}, others[1].ID, now)
		return err
	})
	wantErr(t, err, account.ErrMemberNotFound)
	if a := look(t, s, two); len(a.Members) != 2 {
		t.Errorf("%+v", a)
	}
	if a, err := s.Membership(t.Context(), one, "https://issuer.example", "bob"); err != nil || len(a.Members) != 0 {
		t.Errorf("%+v, %v", a, err)
	}
	if empty := look(t, s, id.NewOrganizer(s.Cell)); len(empty.Members)+len(empty.Keys) != 0 {
		t.Errorf("%+v", empty)
	}
}

// accountLastOwner: two owners remove each other at the same time, in two processes.
func accountLastOwner(t *testing.T, s *store.Store) {
	stores := []*store.Store{s, twin(t, s)}
	for round := range 10 {
		org, members := settle(t, s, "ana", "bob")
		errs := make([]error, 2)
		start := make(chan struct{})
		var group errgroup.Group
		for i := range 2 {
			group.Go(func() error {
				<-start
				errs[i] = stores[i].ChangeAccount(t.Context(), txn.None, org, func(a *account.Account, now time.Time) error {
					if round%2 == 0 {
						_, err := a.Remove(account.By{Person: members[i].Identity}, members[1-i].ID, now)
						return err
					}
					_, err := a.SetRole(account.By{Person: members[i].Identity}, members[1-i].ID, access.Reader, now)
					return err
				})
				return nil
			})
		}
		close(start)
		_ = group.Wait()
		owners := 0
		for _, m := range look(t, s, org).Members {
			if m.Role == access.Owner {
				owners++
			}
		}
		if owners != 1 || (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%d owners, %v", owners, errs)
		}
		for _, err := range errs {
			if err != nil && !errors.Is(err, account.ErrNotMember) && !errors.Is(err, account.ErrForbidden) {
				t.Errorf("%v", err)
			}
		}
	}
}

func accountAcceptedOnce(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana")
	var inv account.Invitation
	mustChange(t, s, org, func(a *account.Account, now time.Time) error {
		made, err := a.Invite(account.By{Person: members[0].Identity}, account.Asked{Email: "new@example.org", Role: access.Door}, now)
		if err != nil {
			return err
		}
		made.TokenHash = account.HashText("token")
		inv = *made
		a.Changes.Invitations = append(a.Changes.Invitations, inv)
		return nil
	})
	stores := []*store.Store{s, twin(t, s)}
	fresh := make([]bool, 20)
	var group errgroup.Group
	for i := range fresh {
		group.Go(func() error {
			who := ownerOf("new")
			who.Subject = fmt.Sprint("new", i%2) // two accounts at the issuer with one address
			err := stores[i%2].ChangeAccount(t.Context(), txn.None, org, func(a *account.Account, now time.Time) (err error) {
				_, fresh[i], err = a.Accept(who, inv.ID, account.HashText("token"), now)
				return err
			})
			if errors.Is(err, account.ErrInvitationNotFound) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, f := range fresh {
		if f {
			made++
		}
	}
	if a := look(t, s, org); made != 1 || len(a.Members) != 2 || a.Invitations[0].Member.IsZero() {
		t.Errorf("%d made, %+v", made, a)
	}
}

func accountRefusal(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana")
	err := s.ChangeAccount(t.Context(), txn.None, org, func(a *account.Account, now time.Time) error {
		a.Changes.Members = append(a.Changes.Members, account.Member{ID: id.NewMembership(org), Identity: ownerOf("bob"), Role: access.Owner, AddedAt: now})
		_, err := a.Remove(account.By{Person: members[0].Identity}, members[0].ID, now)
		return err
	})
	wantErr(t, err, account.ErrLastOwner)
	if a := look(t, s, org); len(a.Members) != 1 {
		t.Errorf("%+v", a)
	}
	// What the code above never would do, the database refuses.
	for _, sql := range []string{
		`INSERT INTO account.member (member_id, organizer_id, issuer, subject, email, name, role, added_at, added_by) SELECT 'x', organizer_id, issuer, subject, '', '', 'owner', now(), '' FROM account.member`,
		`UPDATE account.member SET role = 'root'`, `UPDATE account.member SET removed_at = now()`, `UPDATE account.api_key SET ends_at = expires_at + INTERVAL '1 second'`,
		`INSERT INTO account.revocation (subject, kind, from_at, until_at) VALUES ('x', 'other', now(), now())`,
	} {
		if sql[7:22] == "account.api_key" { // there must be one to refuse about
			mustChange(t, s, org, func(a *account.Account, now time.Time) error {
				k, err := a.MakeKey(account.By{Person: members[0].Identity}, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, now)
				a.Changes.Keys = append(a.Changes.Keys, *k)
				return err
			})
		}
		if _, err := s.DB.Pool.Exec(t.Context(), sql); err == nil {
			t.Errorf("the database takes %s", sql)
		}
	}
}

func accountRollsBack(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana")
	boom := errors.New("boom")
	err := s.InTx(t.Context(), func(ctx context.Context, tx txn.Tx) error {
		err := s.ChangeAccount(ctx, tx, org, func(a *account.Account, now time.Time) error {
			k, err := a.MakeKey(account.By{Person: members[0].Identity}, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, now)
			a.Changes.Keys = append(a.Changes.Keys, *k)
			return err
		})
		if err != nil {
			return err
		}
		return boom
	})
	wantErr(t, err, boom)
	if a := look(t, s, org); len(a.Keys) != 0 {
		t.Errorf("%+v", a.Keys)
	}
}

func revoked(t *testing.T, s *store.Store, limit int) ([]string, bool) {
	t.Helper()
	list, all, err := s.Revoked(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return list, all
}

func accountRevoked(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana")
	by := account.By{Person: members[0].Identity}
	var keys [2]id.APIKey
	mustChange(t, s, org, func(a *account.Account, now time.Time) error {
		for i := range keys {
			k, err := a.MakeKey(by, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, now)
			if err != nil {
				return err
			}
			keys[i] = k.ID
			a.Changes.Keys = append(a.Changes.Keys, *k)
		}
		return nil
	})
	if list, all := revoked(t, s, 10); len(list) != 0 || !all {
		t.Errorf("%v", list)
	}
	mustChange(t, s, org, func(a *account.Account, now time.Time) error {
		if _, err := a.RevokeKey(by, keys[0], now); err != nil {
			return err
		}
		fresh, _, err := a.RotateKey(by, keys[1], time.Hour, now)
		a.Changes.Keys = append(a.Changes.Keys, *fresh)
		return err
	})
	if list, _ := revoked(t, s, 10); !slices.Equal(list, []string{"key:" + keys[0].String()}) {
		t.Errorf("%v: the one that was rotated has its grace", list)
	}
	if err := s.RevokeSession(t.Context(), "sid:abc", birthday.AddDate(500, 0, 0), time.Hour); err != nil {
		t.Fatal(err)
	}
	if list, _ := revoked(t, s, 10); !slices.Equal(list, []string{"key:" + keys[0].String(), "sid:abc"}) {
		t.Errorf("%v", list)
	}
	for subject, want := range map[string]bool{"sid:abc": true, "sid:abd": false, "key:" + keys[0].String(): true, "key:" + keys[1].String(): false} {
		if is, err := s.IsRevoked(t.Context(), subject); err != nil || is != want {
			t.Errorf("%s: %t, %v", subject, is, err)
		}
	}
	// The grace is over, a leaked key is revoked within its grace, and the session has expired.
	for _, sql := range []string{
		`UPDATE account.revocation SET from_at = clock_timestamp() - INTERVAL '1 second' WHERE from_at > clock_timestamp()`,
		`UPDATE account.revocation SET until_at = clock_timestamp() WHERE subject = 'sid:abc'`,
	} {
		if tag, err := s.DB.Pool.Exec(t.Context(), sql); err != nil || tag.RowsAffected() != 1 {
			t.Fatal(tag, err)
		}
	}
	if list, _ := revoked(t, s, 10); len(list) != 2 || slices.Contains(list, "sid:abc") {
		t.Errorf("%v", list)
	}
}

func accountRevokedBound(t *testing.T, s *store.Store) {
	const fill = `INSERT INTO account.revocation (subject, kind, from_at, until_at)
		SELECT $1 || n, $2, clock_timestamp() - n * INTERVAL '1 second', clock_timestamp() + INTERVAL '1 hour' FROM unnest($3::bigint[]) AS n`
	var numbers []int64
	for n := range int64(30) {
		numbers = append(numbers, 10+n)
	}
	for prefix, k := range map[string]string{"sid:": "session", "key:": "key"} {
		if _, err := s.DB.Pool.Exec(t.Context(), fill, prefix, k, numbers); err != nil {
			t.Fatal(err)
		}
	}
	list, all := revoked(t, s, 40)
	if all || len(list) != 40 || list[0] != "key:10" || list[29] != "key:39" || list[30] != "sid:10" {
		t.Errorf("%t %v", all, list)
	}
	if list, all := revoked(t, s, 60); !all || len(list) != 60 {
		t.Errorf("%t %d", all, len(list))
	}
}

func accountForgets(t *testing.T, s *store.Store) {
	org, members := settle(t, s, "ana", "bob")
	by := account.By{Person: members[0].Identity}
	mustChange(t, s, org, func(a *account.Account, now time.Time) error {
		if _, err := a.Remove(by, members[1].ID, now); err != nil {
			return err
		}
		inv, err := a.Invite(by, account.Asked{Email: "new@example.org", Role: access.Door}, now)
		if err != nil {
			return err
		}
		a.Changes.Invitations = append(a.Changes.Invitations, *inv)
		k, err := a.MakeKey(by, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, now)
		if err != nil {
			return err
		}
		a.Changes.Keys = append(a.Changes.Keys, *k)
		_, err = a.RevokeKey(by, k.ID, now)
		return err
	})
	forget := func(want int64) {
		t.Helper()
		if n, err := s.ForgetAccounts(t.Context(), account.Kept, 10); err != nil || n != want {
			t.Errorf("forgot %d, want %d (%v)", n, want, err)
		}
	}
	forget(0)
	for _, sql := range []string{
		`UPDATE account.member SET removed_at = removed_at - $1::float8 * INTERVAL '1 second'`,
		`UPDATE account.invitation SET expires_at = clock_timestamp() - $1::float8 * INTERVAL '1 second'`,
		`UPDATE account.api_key SET ends_at = now() - $1::float8 * INTERVAL '1 second', expires_at = now() - $1::float8 * INTERVAL '1 second'`,
		`UPDATE account.revocation SET until_at = clock_timestamp() - $1::float8 * INTERVAL '1 second'`,
	} {
		if _, err := s.DB.Pool.Exec(t.Context(), sql, account.Kept.Seconds()+1); err != nil {
			t.Fatal(err)
		}
	}
	forget(4)
	forget(0)
	if a := look(t, s, org); len(a.Members) != 1 || len(a.Invitations)+len(a.Keys) != 0 {
		t.Errorf("%+v", a)
	}
}
