package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gin-gonic/gin"

	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// Errors about idempotency keys.
var (
	errKeyRequired = kind.Invalid.New("idempotency_key_required")
	errKeyInvalid  = kind.Invalid.New("idempotency_key_invalid")
)

const maxKey = 255

// idempotencyKey reads the header: 1 to 255 visible ASCII characters.
func idempotencyKey(c *gin.Context, required bool) (string, error) {
	values := c.Request.Header.Values(httpd.HeaderIdemKey)
	if len(values) == 0 {
		if required {
			return "", errKeyRequired.With("send an Idempotency-Key of 1 to %d visible ASCII characters", maxKey)
		}
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxKey {
		return "", errKeyInvalid.With("send one Idempotency-Key of 1 to %d visible ASCII characters", maxKey)
	}
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return "", errKeyInvalid.With("an Idempotency-Key is visible ASCII")
		}
	}
	return key, nil
}

// once runs do with its answer kept under the request's idempotency key; without
// a key, where it is optional, just so. whose keeps one caller's keys apart from
// another's. It answers the body for handlers that add to it.
func (s *Server) once(c *gin.Context, required bool, whose string, body []byte, status int, do func(ctx context.Context) (any, error)) ([]byte, error) {
	key, err := idempotencyKey(c, required)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context) (int, []byte, error) {
		out, err := do(ctx)
		if err != nil {
			return 0, nil, err
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return 0, nil, fmt.Errorf("write answer: %w", err)
		}
		return status, answer, nil
	}
	if key == "" {
		_, answer, err := run(c)
		return answer, err
	}
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\n%s\n", c.Request.URL.RawQuery, c.GetHeader("If-Match"))
	_, _ = sum.Write(body)
	scope := c.Request.Method + " " + c.Request.URL.Path + " " + whose
	_, answer, replayed, err := s.Answers.AnswerOnce(c, scope, key, hex.EncodeToString(sum.Sum(nil)), run)
	if err != nil {
		return nil, err
	}
	if replayed {
		c.Header(httpd.HeaderReplayed, "true")
	}
	return answer, nil
}

// send writes a body that once answered.
func send(c *gin.Context, status int, body []byte) {
	c.Data(status, "application/json", append(body, '\n'))
}
