package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
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

// selfScopingKey is the length from which a key is taken to be its client's alone. A
// shorter one ("1") is scoped to the network that it came from when nothing else says
// whose it is, so that two strangers' keys do not meet: a replay answers a token.
const selfScopingKey = 20

// claim reads the request's idempotency key and marks it as in use until leave is
// called; the key is nil when there is none and none is required. whose keeps one
// caller's keys apart from another's.
func (s *Server) claim(c *gin.Context, required bool, whose string, body []byte) (key *booking.Key, leave func(), err error) {
	text, err := idempotencyKey(c, required)
	if err != nil || text == "" {
		return nil, func() {}, err
	}
	if whose == "" && len(text) < selfScopingKey {
		whose = s.guards.network(c)
	}
	key = &booking.Key{
		Scope: c.Request.Method + " " + c.Request.URL.Path + " " + whose, Key: text,
		Fingerprint: fingerprint(c.Request.URL.RawQuery, c.GetHeader("If-Match"), body),
	}
	leave, err = s.Answers.Enter(key.Scope, key.Key)
	return key, leave, err
}

// fingerprint is a digest of what was asked.
func fingerprint(query, match string, body []byte) string {
	asked := make([]byte, 0, 512) // most requests: they leave no garbage
	asked = append(append(append(asked, query...), '\n'), match...)
	asked = append(append(asked, '\n'), body...)
	sum := sha256.Sum256(asked)
	return hex.EncodeToString(sum[:])
}

// once runs do with its answer kept under the request's idempotency key; without
// a key, where it is optional, just so. It answers the body for handlers that add
// to it. at is the event at whose desk do takes its turn; zero for none.
func (s *Server) once(c *gin.Context, at id.Event, required bool, whose string, body []byte, status int, do func(ctx context.Context, tx txn.Tx) (any, error)) ([]byte, error) {
	place := func(turn func(ctx context.Context, tx txn.Tx) error) error {
		return turn(c.Request.Context(), txn.None)
	}
	if !at.IsZero() {
		place = func(turn func(ctx context.Context, tx txn.Tx) error) error {
			return s.Booking.Desks.Turn(c.Request.Context(), at, turn)
		}
	}
	return s.onceAt(c, place, required, whose, body, status, do)
}

// onceAt is once at a place that is not a turn of its own.
func (s *Server) onceAt(c *gin.Context, place func(turn func(ctx context.Context, tx txn.Tx) error) error, required bool, whose string, body []byte, status int, do func(ctx context.Context, tx txn.Tx) (any, error)) ([]byte, error) {
	key, leave, err := s.claim(c, required, whose, body)
	if err != nil {
		return nil, err
	}
	defer leave()
	run := func(ctx context.Context, tx txn.Tx) (int, []byte, error) {
		out, err := do(ctx, tx)
		if err != nil {
			return 0, nil, err
		}
		answer, err := json.Marshal(out)
		if err != nil {
			return 0, nil, fmt.Errorf("write answer: %w", err)
		}
		if err := s.Log.AppendNote(ctx, tx); err != nil {
			return 0, nil, fmt.Errorf("write audit log: %w", err)
		}
		return status, answer, nil
	}
	var answer []byte
	var replayed bool
	err = place(func(ctx context.Context, tx txn.Tx) (err error) {
		if key == nil && audit.Of(ctx) != nil { // the entry is there when the change is
			return txn.In(ctx, s.Answers, tx, func(ctx context.Context, tx txn.Tx) (err error) {
				_, answer, err = run(ctx, tx)
				return err
			})
		}
		if key == nil {
			_, answer, err = run(ctx, tx)
			return err
		}
		_, answer, replayed, err = s.Answers.AnswerOnce(ctx, tx, key.Scope, key.Key, key.Fingerprint, run)
		return err
	})
	if err != nil {
		return nil, err
	}
	if replayed {
		c.Header(httpd.HeaderReplayed, "true")
	}
	return answer, nil
}

// sendOp writes what was said at the desk.
func sendOp(c *gin.Context, op *booking.Op) {
	if op.Replayed {
		c.Header(httpd.HeaderReplayed, "true")
	}
	send(c, op.Status, op.Body)
}

// What many answers have in common, to be set and not to be changed.
var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
	newline  = []byte{'\n'}
)

// send writes a body that once answered, which may be another answer too.
func send(c *gin.Context, status int, body []byte) {
	c.Writer.Header()["Content-Type"] = typeJSON
	c.Status(status)
	for _, part := range [][]byte{body, newline} {
		if _, err := c.Writer.Write(part); err != nil {
			_ = c.Error(err)
			c.Abort()
			return
		}
	}
}
