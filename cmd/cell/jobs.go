package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"guichet/cell/store"
	"guichet/internal/kind"
)

// Periods of the background jobs.
const (
	migrateRetry = time.Second
	sweepPeriod  = time.Second
	adoptPeriod  = time.Minute
	lookPeriod   = time.Second // for notices that wait
	feesPeriod   = time.Second
	forgetPeriod = time.Minute
	holdsPeriod  = time.Second // a step through the holds
	holdsRest    = time.Hour   // between two walks
	seriesPeriod = 2 * time.Second
	postPeriod   = time.Second
	// recallPeriod is when it is seen whether a look at what the provider told is due.
	recallPeriod = 15 * time.Second
	passLimit    = 30 * time.Second
	sayAgain     = 10 * time.Second
)

// reporter logs a job's failures: each one when it is new, the same one at most
// every sayAgain, because an outage repeats itself every second.
func reporter(ctx context.Context, job string) func(error) {
	var mu sync.Mutex
	var last string
	var at time.Time
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if text := err.Error(); text != last || time.Since(at) > sayAgain {
			last, at = text, time.Now()
			slog.WarnContext(ctx, "job failed, will try again", slog.String("job", job), slog.Any("error", err))
		}
	}
}

// migrate brings the schema up to date as soon as the database is there, and
// gives up the owner's rights where that is possible.
func (h *house) migrate(ctx context.Context) bool {
	report := reporter(ctx, "migrate")
	for {
		err := h.residency.settle(ctx)
		if err == nil {
			err = h.store.Migrate(ctx)
		}
		if err == nil {
			err = h.confine(ctx)
		}
		if err == nil {
			err = h.residency.expire(ctx)
		}
		if err == nil {
			close(h.migrated)
			return true
		}
		report(err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(migrateRetry):
		}
	}
}

// confine lets the sessions work as the role to which the ledgers are INSERT-only.
// A database whose user may not make roles is said once, loudly, and used as it is.
func (h *house) confine(ctx context.Context) error {
	err := h.store.Confine(ctx)
	if k := kind.Of(err); err != nil && k != kind.Unavailable && k != kind.Busy {
		slog.ErrorContext(ctx, "THE LEDGERS ARE NOT INSERT-ONLY: the database's user may not make or use the role; see docs/database-role.md",
			slog.String("role", store.AppRole), slog.Any("error", err))
		return nil
	}
	return err
}

// every runs a bounded pass of a job on a period until ctx ends; a pass that
// found work runs again at once.
func every(ctx context.Context, period time.Duration, job string, pass func(ctx context.Context) (did int, err error)) {
	report := reporter(ctx, job)
	for {
		bounded, cancel := context.WithTimeout(ctx, passLimit)
		did, err := pass(bounded)
		cancel()
		if err != nil && ctx.Err() == nil {
			report(err)
		}
		pause := period
		if did > 0 && err == nil {
			pause = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (h *house) sweep(ctx context.Context) { every(ctx, sweepPeriod, "sweep", h.server.Booking.Sweep) }

// adopt gives payments that no saga looks after one.
func (h *house) adopt(ctx context.Context) {
	every(ctx, adoptPeriod, "adopt", h.server.Checkout.Adopt)
}

// series goes on with series that nobody waits for any more.
func (h *house) series(ctx context.Context) {
	every(ctx, seriesPeriod, "series", h.server.Booking.ContinueSeries)
}

// relook lets notices that came too early have their effect.
func (h *house) relook(ctx context.Context) {
	every(ctx, lookPeriod, "notices", h.server.Checkout.Relook)
}

// bookFees asks for at most one pass's fees in each period, however many are due.
func (h *house) bookFees(ctx context.Context) {
	every(ctx, feesPeriod, "fees", func(ctx context.Context) (int, error) { return 0, h.server.Checkout.BookFees(ctx) })
}

// recollect finds at the provider what no webhook told of refunds and disputes.
func (h *house) recollect(ctx context.Context) {
	every(ctx, recallPeriod, "recollect", h.server.Checkout.Recollect)
}

// forget drops what is past its time: first answers, mails, sagas, notices, accounts, the audit log, used links, what
// was copied of other cells, and the bus's own rows.
func (h *house) forget(ctx context.Context) {
	every(ctx, forgetPeriod, "forget", func(ctx context.Context) (int, error) {
		answers, err := h.store.ForgetAnswers(ctx)
		if err != nil {
			return 0, err
		}
		mails, err := h.sender.Forget(ctx)
		if err != nil {
			return 0, err
		}
		sagas, err := h.server.Checkout.Runs.Forget(ctx)
		if err != nil {
			return 0, err
		}
		notices, err := h.store.ForgetNotices(ctx)
		if err != nil {
			return 0, err
		}
		accounts, err := h.server.Accounts.Forget(ctx)
		if err != nil {
			return 0, err
		}
		entries, err := h.store.ForgetEntries(ctx)
		if err != nil {
			return 0, err
		}
		links, err := h.store.ForgetLinks(ctx)
		if err != nil {
			return 0, err
		}
		copies, err := h.store.SweepCatalogue(ctx)
		if err != nil {
			return 0, err
		}
		rows, err := h.store.SweepBus(ctx)
		return int(answers + mails + sagas + notices + accounts + entries + links + copies + rows), err
	})
}

// forgetHolds walks over the holds, a step a second, and rests between two walks.
func (h *house) forgetHolds(ctx context.Context) {
	after := ""
	var next time.Time
	every(ctx, holdsPeriod, "forget holds", func(ctx context.Context) (_ int, err error) {
		if time.Now().Before(next) {
			return 0, nil
		}
		if after, _, err = h.store.ForgetHolds(ctx, after); after == "" {
			next = time.Now().Add(holdsRest)
		}
		return 0, err
	})
}

// post sends mails.
func (h *house) post(ctx context.Context) { every(ctx, postPeriod, "post", h.sender.Pass) }
