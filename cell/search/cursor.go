package search

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	cursorVersion  = 1
	maxCursorBytes = 1024
	maxCursorKeys  = 3
	maxCursorKey   = 200
)

// cursor is a Position bound to its query. It is not signed: everything in it is
// validated, and a forged one shows nothing that a search would not show.
type cursor struct {
	Version int      `json:"v"`
	Query   string   `json:"q"` // fingerprint
	Stage   int      `json:"s,omitempty"`
	Keys    []string `json:"k"`
	NotEnd  int64    `json:"t,omitempty"` // Unix seconds
}

// fingerprint is equal for queries that list the same events in the same order;
// facets and page size may change on the way.
func (q *Query) fingerprint() string {
	near, price := "", ""
	if q.Near != nil {
		near = q.Near.String()
	}
	if q.PriceMax != nil {
		price = strconv.FormatInt(*q.PriceMax, 10)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %g %d %d %d %d %q %q %q %q %q %q %t", q.Text, near, q.RadiusKM,
		q.From.Unix(), q.To.Unix(), q.FromDay.Unix(), q.ToDay.Unix(), Fold(q.Category), q.Country, Fold(q.City), price, q.Sort, q.Currency, q.Occurrences))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func encodeCursor(pos *Position, q Query) string {
	c := cursor{Version: cursorVersion, Query: q.fingerprint(), Stage: pos.Stage, Keys: pos.Keys}
	if !pos.NotEndedAt.IsZero() {
		c.NotEnd = pos.NotEndedAt.Unix()
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a cursor of texts and numbers is JSON: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func decodeCursor(s string, q Query) (*Position, error) {
	if len(s) > maxCursorBytes {
		return nil, ErrCursor.With("it is not one of ours")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrCursor.With("it is not one of ours")
	}
	var c cursor
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil || dec.More() || c.Version != cursorVersion || len(c.Keys) == 0 || len(c.Keys) > maxCursorKeys {
		return nil, ErrCursor.With("it is not one of ours")
	}
	for _, k := range c.Keys {
		if len(k) > maxCursorKey {
			return nil, ErrCursor.With("it is not one of ours")
		}
	}
	if c.Query != q.fingerprint() {
		return nil, ErrCursor.With("it belongs to another query; start again without a cursor")
	}
	pos := &Position{Stage: c.Stage, Keys: c.Keys}
	if c.NotEnd != 0 {
		pos.NotEndedAt = time.Unix(c.NotEnd, 0).UTC()
		if !writable(pos.NotEndedAt) {
			return nil, ErrCursor.With("it is not one of ours")
		}
	}
	return pos, nil
}
