package saga_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"guichet/cell/saga"
	"guichet/cell/store"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
	"guichet/internal/txn"
)

const (
	patience = 60 * time.Second
	act      = `"Type":"Task","Resource":"arn:aws:states:::activity:`
	event    = "evt_euw3_k3v9x2m4q7rt"
)

// parcel is a flow with every kind of step: something within, something at the
// desk, something outside, a wait for somebody, and two branches at once.
const parcel = `{"StartAt":"Begin","TimeoutSeconds":86400,"States":{
	"Begin":{` + act + `begin","Next":"Reserve"},
	"Reserve":{` + act + `reserve","ResultPath":"$.reserved","Catch":[{"ErrorEquals":["sold_out"],"Next":"Sorry"}],"Next":"Charge"},
	"Charge":{` + act + `charge","ResultPath":"$.charge","Retry":[{"ErrorEquals":["away"],"MaxAttempts":99999,"MaxDelaySeconds":20}],
		"Catch":[{"ErrorEquals":["declined"],"ResultPath":null,"Next":"Unreserve"}],"Next":"Signed"},
	"Signed":{` + act + `signed","ResultPath":"$.signed","TimeoutSeconds":3600,"Next":"Both"},
	"Both":{"Type":"Parallel","ResultPath":"$.both","Next":"Finish","Branches":[
		{"StartAt":"Ship","States":{"Ship":{` + act + `ship","Retry":[{"ErrorEquals":["away"]}],"End":true}}},
		{"StartAt":"Mail","States":{"Mail":{` + act + `mail","End":true}}}]},
	"Finish":{` + act + `finish","ResultPath":null,"OutputPath":"$.both","End":true},
	"Unreserve":{` + act + `unreserve","Next":"Sorry"},
	"Sorry":{"Type":"Fail","Error":"Sorry"}}}`

var errAway = kind.Unavailable.New("away")

// world is what the flow acts on: counters in the database and a provider that
// remembers keys.
type world struct {
	db *sqldb.DB

	mu     sync.Mutex
	calls  map[string]int // how often the outside was called, by key
	once   map[string]int // what it did, by key: never more than 1
	answer func(key string) error
}

const (
	effects = `CREATE TABLE effect (run text, what text, n bigint NOT NULL, PRIMARY KEY (run, what))`
	effect  = `INSERT INTO effect (run, what, n) VALUES ($1, $2, 1) ON CONFLICT (run, what) DO UPDATE SET n = effect.n + 1`
	tally   = `SELECT what, n FROM effect WHERE run = $1`
	expire  = `UPDATE saga.run SET lease_until = clock_timestamp(), wake_at = CASE WHEN wake_at IS NULL THEN NULL ELSE clock_timestamp() END WHERE status = 'running'`
)

func migrate(ctx context.Context, dsn string) error {
	db, err := sqldb.Open(ctx, dsn, "test")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := store.New(db, "euw3").Migrate(ctx); err != nil {
		return err
	}
	_, err = db.Pool.Exec(ctx, effects)
	return err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := sqldb.Open(t.Context(), testdb.New(t, migrate), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return &world{db: db, calls: map[string]int{}, once: map[string]int{}}
}

// within is a handler that counts in the transaction.
func (w *world) within(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	_, err := w.on(tx).Exec(ctx, effect, c.Run, c.State)
	return map[string]any{"by": c.State}, err
}

// outside is a handler whose effect happens once for each key.
func (w *world) outside(_ context.Context, c saga.Call) (any, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[c.Key]++
	if w.once[c.Key] == 0 {
		if w.answer != nil {
			if err := w.answer(c.Key); err != nil {
				return nil, err
			}
		}
		w.once[c.Key] = 1
	}
	return map[string]any{"key": c.Key}, nil
}

// on is where a statement goes that is a part of tx.
func (w *world) on(tx txn.Tx) sqldb.Querier {
	if own, ok := tx.(*sqldb.Tx); ok {
		return own
	}
	return w.db.Pool
}

// note counts what came of a call, with the checkpoint.
func (w *world) note(ctx context.Context, tx txn.Tx, c saga.Call, _ any) error {
	_, err := w.on(tx).Exec(ctx, effect, c.Run, c.State+" noted")
	return err
}

// runner is one process.
func (w *world) runner(t *testing.T, owner string, s saga.Store) *saga.Runner {
	t.Helper()
	r := &saga.Runner{Store: s, Owner: owner, Desk: func(ctx context.Context, _, _ string, do func(context.Context, txn.Tx) error) error {
		return do(ctx, txn.None)
	}}
	r.Handle("begin", saga.Handler{Caller: true})
	r.Handle("reserve", saga.Handler{Within: w.within, Desk: true})
	r.Handle("unreserve", saga.Handler{Within: w.within, Desk: true})
	r.Handle("charge", saga.Handler{Outside: w.outside, Note: w.note})
	r.Handle("ship", saga.Handler{Outside: w.outside, Note: w.note})
	r.Handle("signed", saga.Handler{Await: true})
	r.Handle("mail", saga.Handler{Within: w.within})
	r.Handle("finish", saga.Handler{Within: w.within})
	if err := r.Define("parcel", []byte(parcel)); err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) store() *store.Store { return store.New(w.db, "euw3") }

// wantOnce: everything that belongs to a delivered parcel happened exactly once.
func (w *world) wantOnce(t *testing.T, run string) {
	t.Helper()
	rows, err := w.db.Pool.Query(t.Context(), tally, run)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int{}
	for rows.Next() {
		var what string
		var n int
		if err := rows.Scan(&what, &n); err != nil {
			t.Fatal(err)
		}
		got[what] = n
	}
	for _, what := range []string{"Begin", "Reserve", "Charge noted", "Ship noted", "Mail", "Finish"} {
		if got[what] != 1 {
			t.Errorf("%s: %s happened %d times", run, what, got[what])
		}
		delete(got, what)
	}
	if len(got) != 0 {
		t.Errorf("%s: %v happened too", run, got)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range []string{run + ":Charge:3", run + ":0.Ship:50001"} {
		if w.once[key] != 1 {
			t.Errorf("%s happened %d times outside", key, w.once[key])
		}
	}
}

// start is the caller's transaction: his own effect and the run.
func (w *world) start(ctx context.Context, tx txn.Tx, r *saga.Runner, run string) error {
	return txn.In(ctx, r.Store, tx, func(ctx context.Context, tx txn.Tx) error {
		if _, err := w.on(tx).Exec(ctx, effect, run, "Begin"); err != nil {
			return err
		}
		_, err := r.Start(ctx, tx, saga.New{ID: run, Name: "parcel", Event: event, Input: map[string]any{"n": 1}, Result: map[string]any{"n": 1}})
		return err
	})
}

func (w *world) sign(ctx context.Context, r *saga.Runner, run string) error {
	return r.Signal(ctx, txn.None, saga.Signal{Run: run, Handler: "signed", ID: "s1", Payload: map[string]any{"name": "Zoë"}})
}

func (w *world) status(t *testing.T, run string) saga.Run {
	t.Helper()
	got, _, err := w.store().Run(t.Context(), txn.None, run)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// finish lets a healthy process work until the run is over.
func (w *world) finish(t *testing.T, r *saga.Runner, run string) {
	t.Helper()
	for range 50 {
		if w.status(t, run).Status != saga.Running {
			return
		}
		if _, err := w.db.Pool.Exec(t.Context(), expire); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Pass(t.Context()); err != nil {
			t.Logf("%s: %v", run, err)
		}
	}
	t.Errorf("%s does not come to an end: %+v", run, w.status(t, run))
}

var errDead = errors.New("this process is dead")

// dying is a process whose store stops for ever at its k-th call: before the
// call, or, for a commit, also after it, when its answer is lost.
type dying struct {
	saga.Store
	mu   sync.Mutex
	left int // calls until death; negative is never
	at   string
}

// life says whether the process lives on; every call is a chance to die.
func (d *dying) life(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		if d.at == "" {
			d.at = what
		}
		return errDead
	}
	d.left--
	return nil
}

func (d *dying) died() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func (d *dying) InTx(ctx context.Context, do func(context.Context, txn.Tx) error) error {
	if err := d.life("begin"); err != nil {
		return err
	}
	err := d.Store.InTx(ctx, func(ctx context.Context, tx txn.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return d.life("before a commit")
	})
	return errors.Join(err, d.life("after a commit"))
}

func (d *dying) InsertRun(ctx context.Context, tx txn.Tx, r *saga.Run, lease time.Duration) error {
	return errors.Join(d.life("insert run"), d.Store.InsertRun(ctx, tx, r, lease))
}

func (d *dying) LockRun(ctx context.Context, tx txn.Tx, id string, about saga.Signal) (saga.Locked, error) {
	if err := d.life("lock run"); err != nil {
		return saga.Locked{}, err
	}
	return d.Store.LockRun(ctx, tx, id, about)
}

func (d *dying) SaveRun(ctx context.Context, tx txn.Tx, r *saga.Run, lease time.Duration) error {
	if err := d.life("save run"); err != nil {
		return err
	}
	return d.Store.SaveRun(ctx, tx, r, lease)
}

func (d *dying) ClaimRuns(ctx context.Context, owner string, lease time.Duration, limit int) ([]saga.Claim, error) {
	if err := d.life("claim"); err != nil {
		return nil, err
	}
	claims, err := d.Store.ClaimRuns(ctx, owner, lease, limit)
	if dead := d.life("after a claim"); dead != nil {
		return nil, dead
	}
	return claims, err
}

func (d *dying) ReleaseRun(ctx context.Context, c saga.Claim, owner string, pause time.Duration) error {
	if err := d.life("release"); err != nil {
		return err
	}
	return d.Store.ReleaseRun(ctx, c, owner, pause)
}

func (d *dying) InsertStep(ctx context.Context, tx txn.Tx, s saga.Step) error {
	if err := d.life("insert step"); err != nil {
		return err
	}
	return d.Store.InsertStep(ctx, tx, s)
}

func (d *dying) FinishStep(ctx context.Context, tx txn.Tx, s saga.Step) error {
	if err := d.life("finish step"); err != nil {
		return err
	}
	return d.Store.FinishStep(ctx, tx, s)
}

// doomed is an outside call in a process that may die before it and after it.
func (d *dying) doomed(call func(context.Context, saga.Call) (any, error)) func(context.Context, saga.Call) (any, error) {
	return func(ctx context.Context, c saga.Call) (any, error) {
		if err := d.life("before the call of " + c.State); err != nil {
			return nil, err
		}
		out, err := call(ctx, c)
		if dead := d.life("after the call of " + c.State); dead != nil {
			return nil, dead
		}
		return out, err
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func name(i int) string { return fmt.Sprintf("parcel-%03d", i) }
