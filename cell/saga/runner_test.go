package saga_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/saga"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// P5: a process dies at every single moment of a run, before and after every
// store call, commit and call to the outside. A peer takes over, and everything
// has happened exactly once.
func TestRunner_killedAtEveryCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	healthy := w.runner(t, "peer", w.store())
	moments := map[string]int{}
	for k := 0; ; k++ {
		run := name(k)
		d := &dying{Store: w.store(), left: k}
		r := w.runner(t, "dying-"+run, d)
		r.Handle("charge", saga.Handler{Outside: d.doomed(w.outside), Note: w.note})
		r.Handle("ship", saga.Handler{Outside: d.doomed(w.outside), Note: w.note})
		started := w.start(t.Context(), txn.None, r, run) // what a caller does, who comes again when he has no answer
		if started == nil {
			_ = r.Drive(t.Context(), run)
			_ = w.sign(t.Context(), r, run)
			_ = r.Drive(t.Context(), run)
		}
		if started != nil {
			if err := w.start(t.Context(), txn.None, healthy, run); err != nil && !errors.Is(err, saga.ErrRunExists) {
				t.Fatal(err)
			}
		}
		if _, err := w.db.Pool.Exec(t.Context(), expire); err != nil { // the lease of the dead runs out
			t.Fatal(err)
		}
		if err := w.sign(t.Context(), healthy, run); err != nil && !errors.Is(err, saga.ErrOver) { // the sender repeats himself
			t.Fatal(err)
		}
		w.finish(t, healthy, run)
		if got := w.status(t, run); got.Status != saga.Succeeded || !strings.Contains(string(got.Output), "Ship") {
			t.Fatalf("killed %q: %s %s: %s, %s", d.died(), got.Status, got.Error, got.Cause, got.Output)
		}
		w.wantOnce(t, run)
		if t.Failed() {
			t.Fatalf("killed %q", d.died())
		}
		if d.died() == "" {
			t.Logf("%d moments of death: %v", k, moments)
			break
		}
		moments[d.died()]++
	}
	if len(moments) < 12 {
		t.Errorf("died only at %v", moments)
	}
}

// Two processes and leases that are over before any call is: nobody's effect is
// stored twice, and the outside, which is called again, does its part once.
func TestRunner_twoProcessesAtOneRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.runner(t, "a", w.store()), w.runner(t, "b", w.store())
	a.Lease, b.Lease = time.Microsecond, time.Microsecond
	const runs = 25
	for i := range runs {
		if err := w.start(t.Context(), txn.None, a, name(i)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range runs {
		for _, r := range []*saga.Runner{a, b, a, b} {
			all.Go(func() {
				for range 200 {
					if w.status(t, name(i)).Status != saga.Running {
						return
					}
					if err := r.Drive(t.Context(), name(i)); err != nil && !errors.Is(err, saga.ErrElsewhere) && kind.Of(err) != kind.Busy {
						t.Error(err)
						return
					}
					if err := w.sign(t.Context(), r, name(i)); err != nil && !errors.Is(err, saga.ErrOver) && kind.Of(err) != kind.Busy {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	for i := range runs {
		w.finish(t, a, name(i))
		w.wantOnce(t, name(i))
	}
}

// A signal that comes before anybody waits is kept; the same one is heard once.
func TestSignal_beforeTheWaitIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	w.answer = func(string) error { return errAway }
	if err := w.start(t.Context(), txn.None, r, "p"); err != nil {
		t.Fatal(err)
	}
	if err := r.Drive(t.Context(), "p"); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.sign(t.Context(), r, "p"); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.status(t, "p"); got.Where() != "Charge" || got.Error != "away" || got.WakeAt.IsZero() {
		t.Errorf("it is at %s: %s", got.Where(), got.Error)
	}
	w.answer = nil
	if err := r.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "p"); got.Status != saga.Succeeded {
		t.Errorf("it is %s at %s", got.Status, got.Where())
	}
	w.wantOnce(t, "p")
	if err := w.sign(t.Context(), r, "p"); !errors.Is(err, saga.ErrOver) {
		t.Errorf("a signal to nobody: %v", err)
	}
	if err := w.sign(t.Context(), r, "q"); !errors.Is(err, saga.ErrRunNotFound) {
		t.Errorf("a signal to what was never begun: %v", err)
	}
}

func TestSignal_tooManyAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	if err := w.start(t.Context(), txn.None, r, "p"); err != nil {
		t.Fatal(err)
	}
	for i := range saga.MaxSignals + 1 {
		err := r.Signal(t.Context(), txn.None, saga.Signal{Run: "p", Handler: "signed", ID: name(i), Payload: 1})
		if want := i == saga.MaxSignals; errors.Is(err, saga.ErrTooManySignals) != want || err != nil != want {
			t.Fatalf("signal %d: %v", i, err)
		}
	}
	if _, there, err := w.store().TakeSignal(t.Context(), txn.None, "p", "signed"); err != nil || !there {
		t.Fatal(there, err)
	}
	if err := r.Signal(t.Context(), txn.None, saga.Signal{Run: "p", Handler: "signed", ID: "one more", Payload: 1}); err != nil {
		t.Errorf("one was heard, and the next is refused: %v", err)
	}
}

// What a caller begins is his: when a handler fails in his transaction, or he
// gives up, nothing of it is there.
func TestStart_isTheCallersTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	sold := kind.Conflict.New("sold_out")
	r.Handle("reserve", saga.Handler{Within: func(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
		_, _ = w.within(ctx, tx, c)
		return nil, sold
	}})
	if err := w.start(t.Context(), txn.None, r, "p"); !errors.Is(err, sold) {
		t.Fatal(err)
	}
	var n int
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM effect) + (SELECT count(*) FROM saga.run)`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows are left, %v", n, err)
	}
	good := w.runner(t, "a", w.store())
	for i, want := range []error{nil, saga.ErrRunExists} {
		if err := w.start(t.Context(), txn.None, good, "p"); !errors.Is(err, want) {
			t.Errorf("start %d: %v", i, err)
		}
	}
}

// A handler that fails later in the same transaction does not take back what was
// done before it, and what it did itself is undone.
func TestRunner_faultWithinLeavesNothingOfItselfBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	broken := true
	r.Handle("mail", saga.Handler{Within: func(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
		out, err := w.within(ctx, tx, c)
		if broken {
			return nil, errors.Join(err, kind.Internal.New("template_broken"))
		}
		return out, err
	}})
	if err := w.start(t.Context(), txn.None, r, "p"); err != nil {
		t.Fatal(err)
	}
	if err := r.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := w.sign(t.Context(), r, "p"); err != nil {
		t.Fatal(err)
	}
	if err := r.Drive(t.Context(), "p"); kind.As(err) == nil || kind.As(err).Code != "template_broken" {
		t.Fatal(err)
	}
	got := w.status(t, "p")
	if got.Status != saga.Failed || got.Error != "template_broken" {
		t.Fatalf("it is %s: %s", got.Status, got.Error)
	}
	broken = false
	if err := r.Retry(t.Context(), txn.None, "p"); err != nil { // the operator's
		t.Fatal(err)
	}
	w.finish(t, r, "p")
	if got := w.status(t, "p"); got.Status != saga.Succeeded {
		t.Errorf("it is %s: %s", got.Status, got.Error)
	}
	if err := r.Retry(t.Context(), txn.None, "p"); !errors.Is(err, saga.ErrNotFailed) {
		t.Error(err)
	}
	if err := r.Retry(t.Context(), txn.None, "nobody"); !errors.Is(err, saga.ErrRunNotFound) {
		t.Error(err)
	}
}

// A definition changes while a run waits: it finishes with the one it began with,
// at a process that knows the old one only from the database.
func TestRunner_versionsSideBySide(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.runner(t, "old", w.store())
	if err := w.start(t.Context(), txn.None, old, "p"); err != nil {
		t.Fatal(err)
	}
	if err := old.Drive(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	fresh := w.runner(t, "new", w.store())
	changed := strings.Replace(parcel, `"Signed":{`, `"Signed":{"Comment":"signs nothing any more",`, 1)
	changed = strings.Replace(changed, act+`signed"`, act+`unreserve"`, 1)
	if err := fresh.Define("parcel", []byte(changed)); err != nil {
		t.Fatal(err)
	}
	if err := w.start(t.Context(), txn.None, fresh, "q"); err != nil {
		t.Fatal(err)
	}
	w.finish(t, fresh, "q")
	forgetful := &saga.Runner{Store: w.store(), Owner: "bare"}
	if err := forgetful.Drive(t.Context(), "p"); !errors.Is(err, saga.ErrNoDefinition) {
		t.Errorf("a process without handlers: %v", err)
	}
	if got := w.status(t, "p"); got.Status != saga.Running || got.Where() != "Signed" {
		t.Fatalf("p is %s at %s", got.Status, got.Where())
	}
	bare := w.runner(t, "third", w.store())
	if err := bare.Define("parcel", []byte(changed)); err != nil {
		t.Fatal(err)
	}
	only := &saga.Runner{Store: w.store(), Owner: "only the new"}
	for name, h := range handlersOf(w) {
		only.Handle(name, h)
	}
	if err := only.Define("parcel", []byte(changed)); err != nil {
		t.Fatal(err)
	}
	if err := w.sign(t.Context(), only, "p"); err != nil {
		t.Fatal(err)
	}
	w.finish(t, only, "p")
	w.wantOnce(t, "p")
	if a, b := w.status(t, "p"), w.status(t, "q"); a.Version == b.Version || b.Status != saga.Succeeded {
		t.Errorf("%s and %s, %s", a.Version, b.Version, b.Status)
	}
}

func handlersOf(w *world) map[string]saga.Handler {
	return map[string]saga.Handler{
		"begin": {Caller: true}, "reserve": {Within: w.within}, "unreserve": {Within: w.within}, "charge": {Outside: w.outside, Note: w.note},
		"ship": {Outside: w.outside, Note: w.note}, "signed": {Await: true}, "mail": {Within: w.within}, "finish": {Within: w.within},
	}
}

// The whole machine by itself: kicked when something was committed, polled when
// its owner is gone, many runs at two processes.
func TestWork_finishesEverythingByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	failures := map[string]int{}
	w.answer = func(key string) error { // every outside call fails once
		if failures[key]++; failures[key] == 1 {
			return errAway
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	runners := []*saga.Runner{w.runner(t, "a", w.store()), w.runner(t, "b", w.store())}
	for _, r := range runners {
		working.Go(func() {
			r.Work(ctx, func(err error) {
				if !errors.Is(err, errAway) {
					t.Error(err)
				}
			})
		})
	}
	const runs = 30
	for i := range runs {
		if err := w.start(t.Context(), txn.None, runners[i%2], name(i)); err != nil {
			t.Fatal(err)
		}
		if err := w.sign(t.Context(), runners[(i+1)%2], name(i)); err != nil { // before it waits, mostly
			t.Fatal(err)
		}
	}
	for i := range runs {
		eventually(t, "the end of "+name(i), func() bool { return w.status(t, name(i)).Status != saga.Running })
		w.wantOnce(t, name(i))
	}
	stop()
	working.Wait()
	_, steps, err := runners[0].Run(t.Context(), txn.None, name(3))
	if err != nil || len(steps) != 2 || steps[0].State != "Charge" || steps[0].Tries != 2 || steps[0].FinishedAt == nil || !strings.Contains(string(steps[0].Result), "Charge") {
		t.Errorf("%v: %+v", err, steps)
	}
	list, err := runners[0].Runs(t.Context(), saga.Query{Status: saga.Succeeded, Name: "parcel", Event: event, Limit: 10})
	if err != nil || len(list) != 10 {
		t.Fatalf("%v: %d", err, len(list))
	}
	more, err := runners[0].Runs(t.Context(), saga.Query{Before: list[9].ID, Limit: 100})
	if err != nil || len(more) != runs-10 {
		t.Errorf("%v: %d behind the first ten", err, len(more))
	}
}

func TestForget_deletesOnlyWhatEndedLongAgo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	for _, run := range []string{"old", "young", "waiting"} {
		if err := w.start(t.Context(), txn.None, r, run); err != nil {
			t.Fatal(err)
		}
		if err := r.Drive(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if run != "waiting" {
			if err := w.sign(t.Context(), r, run); err != nil {
				t.Fatal(err)
			}
			w.finish(t, r, run)
		}
	}
	if _, err := w.db.Pool.Exec(t.Context(), `UPDATE saga.run SET ended_at = clock_timestamp() - INTERVAL '31 days' WHERE run_id = 'old'`); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Forget(t.Context()); n != 1 || err != nil {
		t.Errorf("%d forgotten, %v", n, err)
	}
	if _, _, err := r.Run(t.Context(), txn.None, "old"); !errors.Is(err, saga.ErrRunNotFound) {
		t.Error(err)
	}
	var left int
	if err := w.db.Pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM saga.step WHERE run_id = 'old') + (SELECT count(*) FROM saga.signal WHERE run_id = 'old')`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left, %v", left, err)
	}
	for _, run := range []string{"young", "waiting"} {
		w.status(t, run)
	}
}

func TestDefine_refusesWhatNobodyCanDo(t *testing.T) {
	t.Parallel()
	r := &saga.Runner{}
	r.Handle("begin", saga.Handler{Caller: true})
	for _, text := range []string{
		`{`, parcel, `{"StartAt":"S","States":{"S":{"Type":"Succeed"}}}`,
		`{"StartAt":"B","States":{"B":{` + act + `begin","Next":"P"},"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"X","States":{"X":{` + act + `none","End":true}}}]}}}`,
	} {
		if err := r.Define("x", []byte(text)); !errors.Is(err, saga.ErrDefinition) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// A process stalls in a call until its lease is over and a peer has begun the same
// call. What the stalled one then says is not believed: its lease is another's.
func TestRunner_whoWasStalledIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stalled, peer := w.runner(t, "stalled", w.store()), w.runner(t, "peer", w.store())
	entered, goOn := make(chan string, 2), map[string]chan error{"stalled": make(chan error), "peer": make(chan error)}
	for who, r := range map[string]*saga.Runner{"stalled": stalled, "peer": peer} {
		r.Handle("charge", saga.Handler{Note: w.note, Outside: func(ctx context.Context, c saga.Call) (any, error) {
			entered <- who
			if err := <-goOn[who]; err != nil {
				return nil, err
			}
			return w.outside(ctx, c)
		}})
	}
	if err := w.start(t.Context(), txn.None, stalled, "p"); err != nil {
		t.Fatal(err)
	}
	said := map[string]chan error{"stalled": make(chan error, 1), "peer": make(chan error, 1)}
	go func() { said["stalled"] <- stalled.Drive(t.Context(), "p") }()
	<-entered
	if err := peer.Drive(t.Context(), "p"); !errors.Is(err, saga.ErrElsewhere) {
		t.Errorf("a run whose lease is held was worked on: %v", err)
	}
	if _, err := w.db.Pool.Exec(t.Context(), expire); err != nil {
		t.Fatal(err)
	}
	go func() { said["peer"] <- peer.Drive(t.Context(), "p") }()
	<-entered
	goOn["stalled"] <- kind.Unprocessable.New("declined")
	if err := <-said["stalled"]; !errors.Is(err, saga.ErrElsewhere) {
		t.Errorf("the stalled one was believed: %v", err)
	}
	goOn["peer"] <- nil
	if err := <-said["peer"]; err != nil {
		t.Error(err)
	}
	if err := w.sign(t.Context(), peer, "p"); err != nil {
		t.Fatal(err)
	}
	w.finish(t, peer, "p")
	w.wantOnce(t, "p")
}

// A signal wakes one wait, however often it is sent and whatever waits next.
func TestSignal_isHeardOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.runner(t, "a", w.store())
	if err := r.Define("twice", []byte(`{"StartAt":"B","States":{"B":{`+act+`begin","Next":"One"},"One":{`+act+`signed","Next":"Two"},"Two":{`+act+`signed","End":true}}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(t.Context(), txn.None, saga.New{ID: "t", Name: "twice", Event: event}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := w.sign(t.Context(), r, "t"); err != nil {
			t.Fatal(err)
		}
		if err := r.Drive(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		if got := w.status(t, "t"); got.Where() != "Two" {
			t.Fatalf("it is %s at %s", got.Status, got.Where())
		}
	}
	if err := r.Signal(t.Context(), txn.None, saga.Signal{Run: "t", Handler: "signed", ID: "s2", Payload: 7}); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "t"); got.Status != saga.Succeeded || string(got.Output) != "7" {
		t.Errorf("it is %s with %s", got.Status, got.Output)
	}
}
