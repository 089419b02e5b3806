package booking

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"guichet/cell/id"
	"guichet/cell/mailaddr"
	"guichet/internal/kind"
)

// What can be wrong about a buyer. The codes are part of the API.
var (
	ErrBuyerKey      = kind.Invalid.New("invalid_buyer_key")
	ErrBuyerRequired = kind.Unprocessable.New("buyer_required")
	ErrBuyerLimit    = kind.Conflict.New("buyer_limit")
	ErrBuyerMismatch = kind.Unprocessable.New("buyer_mismatch")
)

// maxBuyerKey bounds a buyer's key, in bytes: an e-mail address fits.
const maxBuyerKey = 254

// Buyer is a person across the holds and orders of one event: a hash of his e-mail
// address or of an opaque key, made with the event's id, so that it says nothing
// about what he buys elsewhere. "" is nobody in particular.
type Buyer string

// byMail begins a Buyer that was made from an e-mail address, byKey one from an opaque key.
const (
	byMail = "e"
	byKey  = "k"
)

// BuyerOf makes a Buyer. A key with an @ is an e-mail address: its spelling and what
// follows a + in its local part do not count (mailaddr.Address.Limit). Any other key
// is opaque: visible ASCII, taken as it is.
func BuyerOf(event id.Event, key string) (Buyer, error) {
	key = strings.TrimSpace(key)
	if len(key) > maxBuyerKey || key == "" {
		return "", ErrBuyerKey.At("/buyer_key", "must be 1 to %d bytes", maxBuyerKey)
	}
	made := byKey
	if strings.Contains(key, "@") {
		a, err := mailaddr.Parse(key)
		if err != nil {
			return "", ErrBuyerKey.At("/buyer_key", "has an @ and is not an e-mail address")
		}
		made, key = byMail, a.Limit()
	} else if strings.ContainsFunc(key, func(r rune) bool { return r < '!' || r > '~' }) {
		return "", ErrBuyerKey.At("/buyer_key", "must be an e-mail address or visible ASCII")
	}
	sum := sha256.Sum256([]byte("guichet-buyer-v1\n" + event.String() + "\n" + made + "\n" + key))
	return Buyer(made + hex.EncodeToString(sum[:16])), nil
}

// Buyer is who the hold was made for, "" when that was not said.
func (h *Hold) Buyer() Buyer {
	if len(h.Items) == 0 {
		return ""
	}
	return h.Items[0].Buyer
}

// MayOrder says whether who has this e-mail address may order from the hold: one
// that was made for an address is for nobody else.
func (h *Hold) MayOrder(event id.Event, email string) error {
	b := h.Buyer()
	if !strings.HasPrefix(string(b), byMail) {
		return nil
	}
	if who, err := BuyerOf(event, email); err != nil || who != b {
		return ErrBuyerMismatch.At("/buyer/email", "is not the address that the tickets are held for")
	}
	return nil
}

// keyed says that tickets with a limit per buyer are held for an opaque key, of which
// one person can have any number.
func (h *Hold) keyed() bool {
	return slices.ContainsFunc(h.Items, func(i HoldItem) bool { return i.Tallied && !strings.HasPrefix(string(i.Buyer), byMail) })
}

// PayerOf is the buyer whose limit an order from the hold counts for beside that of
// the hold's own: its address. "" when there is no such limit.
func (h *Hold) PayerOf(event id.Event, email string) (Buyer, error) {
	if !h.keyed() {
		return "", nil
	}
	return BuyerOf(event, email)
}

// Pay counts a hold's limited tickets for who orders them too, or refuses: a key of
// his own making limits nobody. The counters of the payer must be known.
func (s *Stock) Pay(h *Hold, payer Buyer) error {
	if payer == "" {
		return nil
	}
	items := slices.Clone(h.Items) // the store compares with what it read
	for i := range items {
		if items[i].Tallied && !strings.HasPrefix(string(items[i].Buyer), byMail) {
			items[i].Payer = payer
		}
	}
	s.countPayers(items, 1)
	for i := range items {
		if err := s.overBuyer(&items[i], items[i].Payer); err != nil {
			s.countPayers(items, -1)
			return err
		}
	}
	h.Items = items
	return nil
}

// OwnHold is a live hold of the buyer who is refused, in the refusal. Anybody may say
// that he is this buyer, so what is written of it names neither the hold nor its order.
type OwnHold struct {
	ID        string    `json:"-"`
	ExpiresAt time.Time `json:"expires_at"`
	Order     string    `json:"-"` // that is being paid from it
}

// maxOwnHolds bounds how many of his own holds a refusal names.
const maxOwnHolds = 20

// withOwn adds to a refusal the buyer's own live holds of what he asks for: to
// him that is not sold out, it is his (regression 3).
func (s *Stock) withOwn(refusal *kind.Error, want Request) error {
	if want.Buyer == "" {
		return refusal
	}
	var own []OwnHold
	for _, known := range s.Counters.Own[want.Buyer] {
		h := known
		if now := s.Holds[h.ID]; now != nil {
			h = now // it may have changed in this very transaction
		}
		live := h.State == HoldActive && (!h.Order.IsZero() || s.Now.Before(h.ExpiresAt))
		if live && s.rivals(h, want.Lines) && len(own) < maxOwnHolds {
			o := OwnHold{ID: h.ID.String(), ExpiresAt: h.ExpiresAt.UTC()}
			if !h.Order.IsZero() {
				o.Order = h.Order.String()
			}
			own = append(own, o)
		}
	}
	if len(own) == 0 {
		return refusal
	}
	return refusal.With("%s; the buyer holds %d times what he asks for already", refusal.Detail, len(own)).Field("own_holds", own)
}

// rivals says whether the hold draws on a quota that the lines want too.
func (s *Stock) rivals(h *Hold, lines []Line) bool {
	for _, item := range h.Items {
		t := s.Type(item.Type)
		for _, line := range lines {
			if u := s.Type(line.Type); t != nil && u != nil && shareQuota(t, u) {
				return true
			}
		}
	}
	return false
}

func shareQuota(a, b *TicketType) bool {
	for _, q := range a.Quotas {
		if slices.Contains(b.Quotas, q) {
			return true
		}
	}
	return false
}
