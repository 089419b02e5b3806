package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// keyVersion changes when an old import should be done again.
const keyVersion = "1"

// idempotencyKey names a source event for ever, so that importing it again
// creates nothing. The content is no part of it: a listing that was corrected at
// the source must not become a second event. The start is, if it was chosen by
// the clock (an occurrence, a shifted date): when that date has passed, the next
// one is another event.
func idempotencyKey(source, id string, chosen time.Time) string {
	parts := []string{"import", keyVersion, source, id}
	if !chosen.IsZero() {
		parts = append(parts, chosen.UTC().Format(time.RFC3339))
	}
	return "import-" + digest(parts...)
}

// digest is a short stable name of some texts: 80 bits, in hex.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:10])
}
