package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// Errors about idempotency keys; the codes are part of the API.
var (
	ErrKeyReused = booking.ErrKeyReused
	ErrInFlight  = kind.Conflict.New("in_flight")
)

// AnswerLife is how long first answers are remembered.
const AnswerLife = 24 * time.Hour

// answersPerSweep bounds one deletion of old answers.
const answersPerSweep = 1000

const claimAnswer = `INSERT INTO booking.answer (scope, key, fingerprint, status, body) VALUES ($1, $2, $3, 0, '')
	ON CONFLICT (scope, key) DO NOTHING`

const selectFirstAnswers = `SELECT n.key, f.fingerprint, f.status, f.body FROM unnest($1::text[], $2::text[]) AS n (key, scope)
	CROSS JOIN LATERAL (SELECT a.fingerprint, a.status, a.body FROM booking.answer AS a WHERE a.scope = n.scope AND a.key = n.key LIMIT 1) AS f`

const updateAnswer = `UPDATE booking.answer SET status = $3, body = $4 WHERE scope = $1 AND key = $2`

// AnswerOnce runs do in a transaction together with its idempotency key: the effect and
// the first answer are stored or lost together (P5). The same key with the same
// fingerprint gets the first answer again; do is not run. An error of do rolls
// everything back and is not remembered.
func (s *Store) AnswerOnce(ctx context.Context, tx txn.Tx, scope, key, fingerprint string, do func(ctx context.Context, tx txn.Tx) (int, []byte, error)) (status int, body []byte, replayed bool, err error) {
	if sharedOf(tx) != nil {
		return s.answerBehindLock(ctx, tx, scope, key, fingerprint, do)
	}
	err = s.within(ctx, tx, func(ctx context.Context, tx *sqldb.Tx) error {
		replayed = false
		// A twin in another process makes this wait until it ends, or lock_timeout.
		tag, err := tx.Exec(ctx, claimAnswer, scope, key, fingerprint)
		if sqldb.SQLState(err) == "55P03" {
			return ErrInFlight.With("a request with this Idempotency-Key is still running").After(time.Second)
		}
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			status, body, err = replay(ctx, tx, scope, key, fingerprint)
			if errors.Is(err, pgx.ErrNoRows) { // its age made it go between two statements
				err = ErrInFlight.With("repeat the request").After(time.Second)
			}
			replayed = err == nil
			return err
		}
		if status, body, err = do(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, updateAnswer, scope, key, int64(status), body)
		return err
	})
	return status, body, replayed, err
}

// answerBehindLock is AnswerOnce for a turn that shares its transaction: behind the
// event's lock a look at the key is final, as in Batch.
func (s *Store) answerBehindLock(ctx context.Context, tx txn.Tx, scope, key, fingerprint string, do func(ctx context.Context, tx txn.Tx) (int, []byte, error)) (status int, body []byte, replayed bool, err error) {
	status, body, err = replay(ctx, s.on(tx), scope, key, fingerprint)
	if err == nil || !errors.Is(err, pgx.ErrNoRows) {
		return status, body, err == nil, err
	}
	if status, body, err = do(ctx, tx); err != nil {
		return status, body, false, err
	}
	return status, body, false, s.put(ctx, tx, insertAnswers, sqldb.Row(scope, key, fingerprint, int64(status), body)...)
}

// replay reads a key's first answer.
func replay(ctx context.Context, q sqldb.Querier, scope, key, fingerprint string) (status int, body []byte, err error) {
	var first string
	b := &pgx.Batch{}
	sqldb.FindOne(b, selectFirstAnswers, func(row pgx.Row) error { return row.Scan(&first, &status, &body) }, key, scope)
	err = q.SendBatch(ctx, b).Close()
	if err == nil && first != fingerprint {
		return 0, nil, ErrKeyReused.With("this Idempotency-Key was used with another body")
	}
	return status, body, err
}

const deleteAnswers = `DELETE FROM booking.answer WHERE (scope, key) IN
	(SELECT scope, key FROM booking.answer WHERE created_at < statement_timestamp() - $1::float8 * INTERVAL '1 second' ORDER BY created_at LIMIT $2)`

// ForgetAnswers deletes answers older than AnswerLife, in bounded batches.
func (s *Store) ForgetAnswers(ctx context.Context) (int64, error) {
	if s.expires.Load() {
		return 0, nil
	}
	tag, err := s.DB.Pool.Exec(ctx, deleteAnswers, AnswerLife.Seconds(), answersPerSweep)
	return tag.RowsAffected(), sqldb.Classify(err)
}

// Enter marks a key as in use by a request of this process, so that its twin can
// be told at once; leave ends that.
func (s *Store) Enter(scope, key string) (leave func(), err error) {
	if !s.inFlight.enter(scope, key) {
		return nil, ErrInFlight.With("a request with this Idempotency-Key is still running").After(time.Second)
	}
	return func() { s.inFlight.leave(scope, key) }, nil
}

// keysInFlight lets a twin request in this process be told at once.
type keysInFlight struct {
	mu   sync.Mutex
	keys map[[2]string]struct{}
}

func (k *keysInFlight) enter(scope, key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[[2]string]struct{}{}
	}
	at := [2]string{scope, key}
	if _, there := k.keys[at]; there {
		return false
	}
	k.keys[at] = struct{}{}
	return true
}

func (k *keysInFlight) leave(scope, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, [2]string{scope, key})
}
