package ticket

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"guichet/cell/client"
	"guichet/internal/kind"
)

// Domains of what is signed and hashed here.
const (
	markDomain       = "guichet revocation v1\x00"
	revocationDomain = "guichet revocations v1\n"
	markLen          = 16 // bytes of the hash: two barcodes of one mark are never seen
)

// Answers about revocations.
var (
	ErrRevocations = kind.Unprocessable.New("revocations_broken")
	ErrRevoked     = kind.Unprocessable.New("ticket_revoked")
)

// MaxRevocations is the most revocations that a gate keeps of one event.
const MaxRevocations = 1_000_000

// Mark is how a barcode is named on a list of revocations. The list is public, a
// barcode and a ticket's id are not.
func Mark(barcode string) string {
	sum := sha256.Sum256([]byte(markDomain + barcode))
	return base64.RawURLEncoding.EncodeToString(sum[:markLen])
}

// SignRevocations signs a page; its KeyID and Signature are set.
func (s *Signer) SignRevocations(page *client.Revocations) {
	page.KeyID = s.kid
	page.Signature = base64.RawURLEncoding.EncodeToString(s.sign(revocationDomain, []byte(page.Text())))
}

// Revoked is what a gate knows of an event's revocations.
type Revoked struct {
	Event string
	AsOf  time.Time // of the last page
	marks map[string]time.Time
	last  int64
	head  int64
}

// Add takes the next page in: signed by a key at hand, of the same event, behind
// what is known, without a gap.
func (r *Revoked) Add(page *client.Revocations, keys Keys) error {
	signature, err := base64.RawURLEncoding.DecodeString(page.Signature)
	public, known := keys(page.KeyID)
	switch {
	case !known:
		return ErrUnknownKey.With("%.40q is not among the keys", page.KeyID)
	case err != nil || !ed25519.Verify(public, []byte(revocationDomain+page.Text()), signature):
		return ErrRevocations.With("the page behind %d was not signed by %.40q", page.After, page.KeyID)
	case r.Event != "" && r.Event != page.EventID:
		return ErrRevocations.With("the page is about %.60q", page.EventID)
	case page.After != r.last:
		return ErrRevocations.With("the page begins behind %d, the one before ended at %d", page.After, r.last)
	case len(r.marks)+len(page.Items) > MaxRevocations:
		return ErrRevocations.With("there are more than %d", MaxRevocations)
	}
	if r.marks == nil {
		r.marks = make(map[string]time.Time, len(page.Items))
	}
	for i, item := range page.Items {
		if item.Seq != page.After+int64(i)+1 || item.Seq > page.Head {
			return ErrRevocations.With("number %d stands where %d belongs", item.Seq, page.After+int64(i)+1)
		}
		r.marks[item.Mark] = item.At
	}
	r.Event, r.AsOf, r.head, r.last = page.EventID, page.IssuedAt, page.Head, page.After+int64(len(page.Items))
	return nil
}

// Complete reports whether the last page ended at the head.
func (r *Revoked) Complete() bool { return r.Event != "" && r.last == r.head }

// Len is how many there are.
func (r *Revoked) Len() int { return len(r.marks) }

// Check refuses a barcode that was revoked. The barcode's signature is Verify's
// to check.
func (r *Revoked) Check(barcode string) error {
	if at, dead := r.marks[Mark(barcode)]; dead {
		return ErrRevoked.With("the ticket was revoked at %s", at.UTC().Format(time.RFC3339))
	}
	return nil
}
