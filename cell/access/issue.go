package access

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

// OrderToken admits to an order that was created then.
func (s *Signer) OrderToken(order id.Order, generation int64, created time.Time) string {
	return s.Issue(Capability{Scope: Order, Object: order.String(), Generation: generation, Expires: created.Add(OrderLife)})
}

// TicketToken admits to a ticket of an order that was created then.
func (s *Signer) TicketToken(ticket id.Ticket, generation int64, created time.Time) string {
	return s.Issue(Capability{Scope: Ticket, Object: ticket.String(), Generation: generation, Expires: created.Add(OrderLife)})
}

// Answers of VerifyFind.
var (
	ErrLink        = kind.Forbidden.New("link_invalid")
	ErrLinkExpired = kind.Forbidden.New("link_expired")
)

const (
	purposeFind = "find1"
	addressHash = 32 // bytes of an address's hash
)

// FindToken says until when its holder may see the tickets of the address with this
// hash (hex, 32 bytes) at this cell. It is mailed to that very address and nowhere else.
func (s *Signer) FindToken(hash string, until time.Time) string {
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != addressHash {
		panic("access: a link for an address that is no hash")
	}
	return s.key.Sign(purposeFind, []byte(hash+" "+strconv.FormatInt(until.Unix(), 10)))
}

// VerifyFind says whose tickets a link opens. keys must be the cell's own: another
// cell's link opens nothing here (P7).
func VerifyFind(token string, keys signed.Keys, now time.Time) (hash string, until time.Time, err error) {
	payload, _, err := signed.Open(purposeFind, token, keys)
	if err != nil {
		return "", time.Time{}, ErrLink.With("the link is damaged or was not made by this cell; ask for a new one")
	}
	hash, text, _ := strings.Cut(string(payload), " ")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || len(hash) != 2*addressHash {
		return "", time.Time{}, ErrLink.With("the link is damaged; ask for a new one")
	}
	until = time.Unix(seconds, 0).UTC()
	if !now.Before(until) {
		return "", time.Time{}, ErrLinkExpired.With("the link ended at %s; ask for a new one", until.Format(time.RFC3339))
	}
	return hash, until, nil
}

// Opens says what a token from a mailed link is about, without believing it: to choose
// the page that it leads to. Nobody may be admitted on what it says.
func Opens(token string) (scope Scope, object string, finds bool) {
	parts := strings.Split(token, ".")
	if len(token) > signed.MaxLength || len(parts) != 4 {
		return "", "", false
	}
	if parts[0] == purposeFind {
		cell, err := topology.ParseCell(string(cellOf(parts[2])))
		return "", cell.String(), err == nil
	}
	payload, ok := signed.Peek(purposeCapability, token)
	if !ok {
		return "", "", false
	}
	words := strings.Split(string(payload), " ")
	if len(words) != 4 {
		return "", "", false
	}
	return Scope(words[0]), words[1], false
}
