package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/internal/kind"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

// house is an account with one member of each role, and a key of each role.
type house struct {
	*account.Account
	keys map[access.Role]id.APIKey
}

func who(name string) account.Identity {
	return account.Identity{Issuer: "https://issuer.example", Subject: name, Email: name + "@example.org", Name: name}
}

func person(role access.Role) account.By { return account.By{Person: who(string(role))} }

func open(t testing.TB) *house {
	t.Helper()
	org := id.NewOrganizer("euw3")
	h := &house{&account.Account{Organizer: org}, map[access.Role]id.APIKey{}}
	for _, r := range access.Roles {
		h.Members = append(h.Members, account.Member{ID: id.NewMembership(org), Identity: who(string(r)), Role: r, AddedAt: noon})
		k := account.Key{ID: id.NewAPIKey(org), Name: string(r), Scope: account.Scope{Role: r}, CreatedAt: noon, ExpiresAt: noon.Add(account.MaxKeyLife), EndsAt: noon.Add(account.MaxKeyLife)}
		h.Keys = append(h.Keys, k)
		h.keys[r] = k.ID
	}
	return h
}

func (h *house) key(role access.Role) account.By { return account.By{Key: h.keys[role]} }

func (h *house) member(t testing.TB, role access.Role) id.Membership {
	t.Helper()
	i := slices.IndexFunc(h.Members, func(m account.Member) bool { return m.Identity.Subject == string(role) })
	if i < 0 {
		t.Fatalf("there is no %s", role)
	}
	return h.Members[i].ID
}

// second adds another owner, so that the first is not the last.
func (h *house) second() {
	h.Members = append(h.Members, account.Member{ID: id.NewMembership(h.Organizer), Identity: who("second"), Role: access.Owner})
}

// mayGive says which roles a role may give, take and change: this is the whole rule.
var mayGive = map[access.Role][]access.Role{
	access.Owner: access.Roles,
	access.Admin: {access.Admin, access.Events, access.Orders, access.Finance, access.Door, access.Reader},
}

func TestMatrix_whoMayGiveAndTakeWhichRole(t *testing.T) {
	t.Parallel()
	for _, actor := range access.Roles {
		for _, target := range access.Roles {
			allowed := slices.Contains(mayGive[actor], target)
			for way, by := range map[string]func(h *house) account.By{
				"person": func(*house) account.By { return person(actor) }, "key": func(h *house) account.By { return h.key(actor) },
			} {
				check := func(what string, err error, changes int) {
					t.Helper()
					if allowed != (err == nil) || err != nil && (!errors.Is(err, account.ErrForbidden) || changes != 0) {
						t.Errorf("a %s (%s) %s %s: %v, %d changes", actor, way, what, target, err, changes)
					}
				}
				h := open(t)
				_, err := h.Invite(by(h), account.Asked{Email: "new@example.org", Role: target}, noon)
				check("invites", err, len(h.Changes.Invitations))

				h = open(t)
				h.second()
				_, err = h.Remove(by(h), h.member(t, target), noon)
				check("removes", err, len(h.Changes.Members))

				h = open(t)
				h.second()
				_, err = h.SetRole(by(h), h.member(t, access.Reader), target, noon)
				check("makes a reader", err, len(h.Changes.Members))

				h = open(t)
				h.second()
				_, err = h.SetRole(by(h), h.member(t, target), access.Door, noon)
				check("lowers", err, len(h.Changes.Members))

				h = open(t)
				_, err = h.MakeKey(by(h), account.AskedKey{Name: "k", Scope: account.Scope{Role: target}}, noon)
				check("makes a key", err, len(h.Changes.Keys))

				h = open(t)
				_, _, err = h.RotateKey(by(h), h.keys[target], time.Hour, noon)
				check("rotates a key", err, len(h.Changes.Keys))

				h = open(t)
				_, err = h.RevokeKey(by(h), h.keys[target], noon)
				check("revokes a key", err, len(h.Changes.Keys))
			}
		}
	}
}

func TestSetRole_nobodyRaisesItself(t *testing.T) {
	t.Parallel()
	for i, now := range access.Roles {
		for _, wider := range access.Roles[:i] {
			h := open(t)
			m, err := h.SetRole(person(now), h.member(t, now), wider, noon)
			if err == nil || m.Role == wider {
				t.Errorf("a %s made itself %s", now, wider)
			}
		}
	}
}

func TestMakeKey_givesNoPermissionThatItsMakerLacks(t *testing.T) {
	t.Parallel()
	h := open(t)
	narrow, err := h.MakeKey(person(access.Owner), account.AskedKey{Name: "keys only", Scope: account.Scope{Permissions: []access.Permission{access.WriteKeys, access.ReadEvents}}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	by := account.By{Key: narrow.ID}
	for _, p := range access.Permissions {
		_, err := h.MakeKey(by, account.AskedKey{Name: "child", Scope: account.Scope{Permissions: []access.Permission{p}}}, noon)
		if has := p == access.WriteKeys || p == access.ReadEvents; has != (err == nil) || err != nil && !errors.Is(err, account.ErrForbidden) {
			t.Errorf("a key with %s: %v", p, err)
		}
	}
	for _, r := range access.Roles {
		if _, err := h.MakeKey(by, account.AskedKey{Name: "child", Scope: account.Scope{Role: r}}, noon); err == nil {
			t.Errorf("it made a key of the role %s", r)
		}
	}
	if _, err := h.Invite(by, account.Asked{Email: "new@example.org", Role: access.Reader}, noon); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("it invites: %v", err)
	}
	// All permissions together are an admin's, not an owner's.
	all, err := h.MakeKey(person(access.Owner), account.AskedKey{Name: "all", Scope: account.Scope{Permissions: access.Permissions}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Invite(account.By{Key: all.ID}, account.Asked{Email: "boss@example.org", Role: access.Owner}, noon); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("a list of permissions makes owners: %v", err)
	}
	if (account.Scope{}).Within(account.Scope{Role: access.Owner}) {
		t.Error("a scope of nothing is within another")
	}
}

func TestAuthority_isTheAccountsOwnAndNoToken(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.second()
	gone := h.member(t, access.Owner)
	if _, err := h.Remove(account.By{Person: who("second")}, gone, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RevokeKey(account.By{Person: who("second")}, h.keys[access.Owner], noon); err != nil {
		t.Fatal(err)
	}
	expired := open(t)
	for name, try := range map[string]struct {
		h    *house
		by   account.By
		now  time.Time
		want error
	}{
		"a removed owner":  {h, person(access.Owner), noon, account.ErrNotMember},
		"a revoked key":    {h, h.key(access.Owner), noon, account.ErrForbidden},
		"a stranger":       {h, account.By{Person: who("stranger")}, noon, account.ErrNotMember},
		"nobody":           {h, account.By{}, noon, account.ErrNotMember},
		"another issuer's": {h, account.By{Person: account.Identity{Issuer: "https://evil.example", Subject: "second", Email: "second@example.org"}}, noon, account.ErrNotMember},
		"an unknown key":   {h, account.By{Key: id.NewAPIKey(h.Organizer)}, noon, account.ErrForbidden},
		"an expired key":   {expired, expired.key(access.Owner), noon.Add(account.MaxKeyLife), account.ErrForbidden},
	} {
		if _, err := try.h.Invite(try.by, account.Asked{Email: "x@example.org", Role: access.Reader}, try.now); !errors.Is(err, try.want) {
			t.Errorf("%s invites: %v", name, err)
		}
		if _, err := try.h.MakeKey(try.by, account.AskedKey{Name: "x", Scope: account.Scope{Role: access.Reader}}, try.now); !errors.Is(err, try.want) {
			t.Errorf("%s makes a key: %v", name, err)
		}
		if _, err := try.h.Remove(try.by, h.member(t, access.Reader), try.now); err == nil {
			t.Errorf("%s removes a member", name)
		}
	}
}

func TestOwners_oneAlwaysRemains(t *testing.T) {
	t.Parallel()
	h := open(t)
	last := h.member(t, access.Owner)
	for _, by := range []account.By{person(access.Owner), h.key(access.Owner)} {
		if _, err := h.Remove(by, last, noon); !errors.Is(err, account.ErrLastOwner) {
			t.Errorf("removed: %v", err)
		}
		if _, err := h.SetRole(by, last, access.Admin, noon); !errors.Is(err, account.ErrLastOwner) {
			t.Errorf("lowered: %v", err)
		}
	}
	if m, err := h.SetRole(person(access.Owner), last, access.Owner, noon); err != nil || m.Role != access.Owner || len(h.Changes.Members) != 0 {
		t.Errorf("as it is: %+v, %v", m, err)
	}
	h.second()
	if _, err := h.Remove(person(access.Owner), last, noon); err != nil {
		t.Errorf("with another: %v", err)
	}
	if _, err := h.Remove(person(access.Owner), last, noon); !errors.Is(err, account.ErrNotMember) {
		t.Errorf("the removed one acts: %v", err)
	}
	if _, err := h.SetRole(account.By{Person: who("second")}, last, access.Reader, noon); !errors.Is(err, account.ErrMemberNotFound) {
		t.Errorf("the removed one is changed: %v", err)
	}
}

func invited(t *testing.T, h *house, by account.By, email string, role access.Role) *account.Invitation {
	t.Helper()
	inv, err := h.Invite(by, account.Asked{Email: email, Role: role}, noon)
	if err != nil {
		t.Fatal(err)
	}
	inv.TokenHash = account.HashText("token of " + inv.ID.String())
	return inv
}

func TestAccept_needsTokenAndAddressAndIsDoneOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	inv := *invited(t, h, person(access.Admin), "Ana@Example.org", access.Orders)
	ana := account.Identity{Issuer: "https://issuer.example", Subject: "ana", Email: "ana@example.ORG", Name: "  Ana\u202e\r\nBcc: x "}
	unverified, other := ana, ana
	unverified.Email, other.Email = "", "bob@example.org"
	for name, try := range map[string]struct {
		who  account.Identity
		hash string
		at   time.Time
		want error
	}{
		"no token":         {ana, "", noon, account.ErrInvitationNotFound},
		"another token":    {ana, account.HashText("x"), noon, account.ErrInvitationNotFound},
		"unverified":       {unverified, inv.TokenHash, noon, account.ErrOtherAddress},
		"another address":  {other, inv.TokenHash, noon, account.ErrOtherAddress},
		"without identity": {account.Identity{Email: ana.Email}, inv.TokenHash, noon, account.ErrInvalidMember},
		"too late":         {ana, inv.TokenHash, noon.Add(account.InvitationLife), account.ErrInvitationNotFound},
	} {
		if _, _, err := h.Accept(try.who, inv.ID, try.hash, try.at); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(h.Changes.Members) != 0 {
		t.Fatalf("refusals made %d members", len(h.Changes.Members))
	}
	m, fresh, err := h.Accept(ana, inv.ID, inv.TokenHash, noon)
	if err != nil || !fresh || m.Role != access.Orders || m.Identity.Email != "Ana@Example.org" || m.Identity.Name != "Ana Bcc: x" || m.AddedBy == "" {
		t.Errorf("%+v, %t, %v", m, fresh, err)
	}
	again, fresh, err := h.Accept(ana, inv.ID, inv.TokenHash, noon.Add(time.Minute))
	if err != nil || fresh || again.ID != m.ID {
		t.Errorf("again: %+v, %t, %v", again, fresh, err)
	}
	twin := ana
	twin.Subject = "another ana"
	if _, _, err := h.Accept(twin, inv.ID, inv.TokenHash, noon); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("by another: %v", err)
	}
	// Who was removed does not come back by the invitation that he accepted.
	if _, err := h.Remove(person(access.Owner), m.ID, noon); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Accept(ana, inv.ID, inv.TokenHash, noon); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("after removal: %v", err)
	}
}

func TestAccept_neverRaisesAMember(t *testing.T) {
	t.Parallel()
	h := open(t)
	inv := *invited(t, h, person(access.Owner), "other@example.org", access.Owner)
	reader := who(string(access.Reader))
	reader.Email = "other@example.org"
	m, _, err := h.Accept(reader, inv.ID, inv.TokenHash, noon)
	if err != nil || m.Role != access.Reader || len(h.Changes.Members) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestInvitations_endWithWhoMadeThem(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(h *house) error{
		"removed": func(h *house) error {
			_, err := h.Remove(person(access.Owner), h.member(t, access.Admin), noon)
			return err
		},
		"lowered": func(h *house) error {
			_, err := h.SetRole(person(access.Owner), h.member(t, access.Admin), access.Orders, noon)
			return err
		},
		"revoked": func(h *house) error {
			_, err := h.RevokeKey(person(access.Owner), h.keys[access.Admin], noon)
			return err
		},
	} {
		h := open(t)
		by := person(access.Admin)
		if what == "revoked" {
			by = h.key(access.Admin)
		}
		inv := *invited(t, h, by, "friend@example.org", access.Admin)
		kept := *invited(t, h, person(access.Owner), "kept@example.org", access.Admin)
		if err := end(h); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Accept(who("friend"), inv.ID, inv.TokenHash, noon); !errors.Is(err, account.ErrInvitationNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if _, _, err := h.Accept(who("kept"), kept.ID, kept.TokenHash, noon); err != nil {
			t.Errorf("another's, %s: %v", what, err)
		}
	}
}

func TestInvitations_areWithdrawn(t *testing.T) {
	t.Parallel()
	h := open(t)
	inv := *invited(t, h, person(access.Owner), "x@example.org", access.Owner)
	if _, err := h.Withdraw(person(access.Admin), inv.ID, noon); !errors.Is(err, account.ErrForbidden) {
		t.Errorf("an admin withdraws an owner's: %v", err)
	}
	for range 2 {
		if got, err := h.Withdraw(person(access.Owner), inv.ID, noon); err != nil || got.State(noon) != account.Withdrawn {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, _, err := h.Accept(who("x"), inv.ID, inv.TokenHash, noon); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("accepted: %v", err)
	}
	if _, err := h.Withdraw(person(access.Owner), id.NewInvitation(h.Organizer), noon); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("an unknown one: %v", err)
	}
	done := *invited(t, h, person(access.Owner), "y@example.org", access.Reader)
	if _, _, err := h.Accept(who("y"), done.ID, done.TokenHash, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Withdraw(person(access.Owner), done.ID, noon); !errors.Is(err, account.ErrInvitationNotFound) {
		t.Errorf("an accepted one: %v", err)
	}
}

func TestInvite_refusesWhatIsNoAddressOrThereAlready(t *testing.T) {
	t.Parallel()
	h := open(t)
	invited(t, h, person(access.Owner), "waits@example.org", access.Reader)
	for email, want := range map[string]error{
		"": account.ErrInvalidInvitation, "x": account.ErrInvalidInvitation, "x@": account.ErrInvalidInvitation, "@example.org": account.ErrInvalidInvitation,
		"Ana <ana@example.org>": account.ErrInvalidInvitation, "a@b@c.org": account.ErrInvalidInvitation, "a b@example.org": account.ErrInvalidInvitation,
		"a@example.org\r\nBcc: b@example.org": account.ErrInvalidInvitation, "a\x00@example.org": account.ErrInvalidInvitation, "a\u202e@example.org": account.ErrInvalidInvitation,
		"a@example.org, b@example.org": account.ErrInvalidInvitation, "\"a\"@example.org": account.ErrInvalidInvitation, "a@[127.0.0.1]": account.ErrInvalidInvitation,
		strings.Repeat("a", account.MaxEmail) + "@example.org": account.ErrInvalidInvitation, "a@localhost\xff": account.ErrInvalidInvitation, "http://a@b": account.ErrInvalidInvitation,
		"OWNER@example.org": account.ErrAlreadyMember, "Waits@Example.org": account.ErrAlreadyInvited,
	} {
		if inv, err := h.Invite(person(access.Owner), account.Asked{Email: email, Role: access.Reader}, noon); !errors.Is(err, want) {
			t.Errorf("%q: %+v, %v", email, inv, err)
		}
	}
	for _, locale := range []string{strings.Repeat("a", 36), "fr\n", "\x00"} {
		if _, err := h.Invite(person(access.Owner), account.Asked{Email: "n@example.org", Role: access.Reader, Locale: locale}, noon); !errors.Is(err, account.ErrInvalidInvitation) {
			t.Errorf("locale %q: %v", locale, err)
		}
	}
	for _, role := range []access.Role{"", "root", "Owner"} {
		if _, err := h.Invite(person(access.Owner), account.Asked{Email: "n@example.org", Role: role}, noon); err == nil {
			t.Errorf("as %q", role)
		}
	}
	// The letter K has a twin outside of ASCII that folds to it: it is another mailbox.
	if account.SameAddress("k@example.org", "\u212a@example.org") {
		t.Error("a Kelvin sign passes for a K")
	}
}

func TestLimits_ofAnAccount(t *testing.T) {
	t.Parallel()
	owner := person(access.Owner)
	h := open(t)
	for i := range account.MaxOpenInvitations {
		invited(t, h, owner, fmt.Sprintf("n%d@example.org", i), access.Reader)
	}
	ask := account.Asked{Email: "last@example.org", Role: access.Reader}
	if _, err := h.Invite(owner, ask, noon); !errors.Is(err, account.ErrTooManyInvitations) {
		t.Errorf("open: %v", err)
	}
	h = open(t)
	for i := range account.MaxInvitations {
		inv := invited(t, h, owner, fmt.Sprintf("n%d@example.org", i), access.Reader)
		if _, err := h.Withdraw(owner, inv.ID, noon); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Invite(owner, ask, noon.Add(time.Hour))
	if e := kind.As(err); !errors.Is(err, account.ErrInvitationsTooOften) || e.Retry != account.InvitationWindow-time.Hour {
		t.Errorf("a day's: %v", err)
	}
	if _, err := h.Invite(owner, ask, noon.Add(account.InvitationWindow)); err != nil {
		t.Errorf("the day after: %v", err)
	}
	h = open(t)
	waits := *invited(t, h, owner, "waits@example.org", access.Reader)
	for i := len(h.Members); i < account.MaxMembers; i++ {
		h.Members = append(h.Members, account.Member{ID: id.NewMembership(h.Organizer), Identity: who(fmt.Sprint("m", i)), Role: access.Reader})
	}
	if _, err := h.Invite(owner, ask, noon); !errors.Is(err, account.ErrTooManyMembers) {
		t.Errorf("members: %v", err)
	}
	if _, _, err := h.Accept(who("waits"), waits.ID, waits.TokenHash, noon); !errors.Is(err, account.ErrTooManyMembers) {
		t.Errorf("the one too many accepts: %v", err)
	}
	h = open(t)
	for i := len(h.Keys); i < account.MaxKeys; i++ {
		k, err := h.MakeKey(owner, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, noon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.RevokeKey(owner, k.ID, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.MakeKey(owner, account.AskedKey{Name: "k", Scope: account.Scope{Role: access.Door}}, noon); !errors.Is(err, account.ErrTooManyKeys) {
		t.Errorf("keys: %v", err)
	}
	if _, _, err := h.RotateKey(owner, h.keys[access.Door], 0, noon); !errors.Is(err, account.ErrTooManyKeys) {
		t.Errorf("rotations: %v", err)
	}
	if _, err := h.RevokeKey(owner, h.keys[access.Door], noon); err != nil {
		t.Errorf("a revocation is never refused: %v", err)
	}
}
