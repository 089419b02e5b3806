package request_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"guichet/internal/signed"
	"guichet/internal/signed/request"
)

func TestOpen_believesTheSignedCallAndNoOther(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)
	key, err := signed.NewKey("euw3-a1", bytes.Repeat([]byte{1}, signed.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	keys := func(kid string) (ed25519.PublicKey, bool) { return key.Public(), kid == "euw3-a1" }
	body := []byte(`{"urls":[]}`)
	s := request.Sign(key, "POST", "/v1/cells", body, now)
	if kid, at, err := request.Open(s, "POST", "/v1/cells", body, keys, now.Add(time.Minute)); err != nil || kid != "euw3-a1" || !at.Equal(now) {
		t.Errorf("%s %s %v", kid, at, err)
	}
	for name, c := range map[string]struct {
		statement, method, path, body string
		now                           time.Time
		want                          error
	}{
		"another method": {s, "PUT", "/v1/cells", string(body), now, request.ErrOther},
		"another path":   {s, "POST", "/v1/cells/use1/beat", string(body), now, request.ErrOther},
		"another body":   {s, "POST", "/v1/cells", "{}", now, request.ErrOther},
		"too late":       {s, "POST", "/v1/cells", string(body), now.Add(request.MaxSkew + time.Second), request.ErrStale},
		"too early":      {s, "POST", "/v1/cells", string(body), now.Add(-request.MaxSkew - time.Second), request.ErrStale},
		"nothing":        {"", "POST", "/v1/cells", string(body), now, signed.ErrMalformed},
		"another token":  {key.Sign("op1", []byte("{}")), "POST", "/v1/cells", string(body), now, signed.ErrMalformed},
	} {
		if _, _, err := request.Open(c.statement, c.method, c.path, []byte(c.body), keys, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
