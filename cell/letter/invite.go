package letter

import (
	"context"
	"errors"
	"fmt"

	"guichet/cell/account"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/internal/txn"
)

// InvitationPage is where an invitation's link leads. Its token stands behind the #, which
// no browser sends to anybody; the page asks who opens it to sign in, and then posts it.
const InvitationPage = "/account/invitation"

// PostInvitation queues an invitation's mail; see account.Postman. The mail's words are
// written when it leaves, from the row.
type PostInvitation struct{ Mails *notify.Service }

// PostInvitation implements account.Postman.
func (p PostInvitation) PostInvitation(ctx context.Context, tx txn.Tx, inv account.Invitation) error {
	return p.Mails.Enqueue(ctx, tx, notify.Message{Kind: notify.Invitation, Part: inv.ID.String(), To: inv.Email, Locale: inv.Locale})
}

// invite tells what an invitation is to. One that was withdrawn since has nothing to tell.
func (c *Composer) invite(ctx context.Context, m notify.Message) (notify.Facts, error) {
	of, err := id.ParseInvitation(m.Part)
	if err != nil {
		return notify.Facts{}, notify.ErrObsolete.With("the mail names no invitation")
	}
	inv, err := c.Records.Invitation(ctx, of)
	if errors.Is(err, account.ErrInvitationNotFound) {
		return notify.Facts{}, notify.ErrObsolete.With("the invitation is gone")
	}
	if err != nil {
		return notify.Facts{}, fmt.Errorf("read invitation: %w", err)
	}
	now, err := c.Records.Clock(ctx, txn.None)
	if err != nil {
		return notify.Facts{}, err
	}
	if state := inv.State(now); state != account.Open {
		return notify.Facts{}, notify.ErrObsolete.With("the invitation is %s", state)
	}
	org, err := c.Records.Organizer(ctx, id.OrganizerOf(of))
	if err != nil {
		return notify.Facts{}, fmt.Errorf("read organizer: %w", err)
	}
	return notify.Facts{
		Organizer: org.Name, Role: string(inv.Role), Other: inv.Inviter, Until: inv.ExpiresAt, TimeZone: "UTC",
		Link: c.Site + InvitationPage + "?cell=" + of.Key().Birth.String() + "#" + inv.Token(c.Access.Key()),
	}, nil
}
