package letter

import (
	"context"
	"net/url"
	"strings"

	"guichet/cell/access"
	"guichet/cell/notify"
	"guichet/internal/txn"
)

// signIn is a link that signs in whoever reads the address's mail. It is made when the
// mail is sent, so that a mail that waited is still worth something; the mark follows
// from the mail, so that two copies of it are one link.
func (c *Composer) signIn(ctx context.Context, m notify.Message) (notify.Facts, error) {
	now, err := c.Records.Clock(ctx, txn.None)
	if err != nil {
		return notify.Facts{}, err
	}
	cell, _, _ := strings.Cut(c.Access.Key().ID(), "-")
	until := now.Add(access.MailedLife)
	token := c.Access.MailedToken(access.Mailed{Email: m.To, Mark: m.ID(), Expires: until})
	link := c.Site + "/account/link?" + url.Values{"cell": {cell}, "token": {token}}.Encode()
	return notify.Facts{Link: link, Until: until, TimeZone: "UTC"}, nil
}
