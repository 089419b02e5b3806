package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"guichet/cell/catalog"
	"guichet/cell/client"
)

const (
	progressEvery = 2 * time.Second
	sendLimit     = 2 * time.Minute // of one event, retries included
	reusedKey     = "idempotency_key_reused"
	eventExists   = "event_exists"
)

// sender brings rows in, several at a time, and counts.
type sender struct {
	flags  *importFlags
	door   *door // nil on a dry run
	out    io.Writer
	errOut io.Writer

	mu      sync.Mutex // guards what follows, and the writers
	created int
	there   int // the same key was answered before
	differs int // the same key with other content: the source changed since
	refused int
	printed int
	regions map[string]int // created, by region
}

// run reads, sends and sums up. Rows of the source that cannot be used are
// reported, not an error; events that were refused or could not be sent are, and so
// is a file whose rest nobody read.
func (s *sender) run(ctx context.Context) error {
	rows := make(chan catalog.Row, s.flags.parallel)
	group, groupCtx := errgroup.WithContext(ctx)
	for range s.flags.parallel {
		group.Go(func() error {
			for row := range rows {
				if err := s.send(groupCtx, row); err != nil {
					return err
				}
			}
			return nil
		})
	}
	stop := s.progress()
	start := time.Now()
	sum, readErr := s.flags.read(groupCtx, func(row catalog.Row) error {
		if row.Err != nil {
			s.complain(row, row.Err)
			return nil //nolint:nilerr // a bad row is told and passed over
		}
		select {
		case rows <- row:
			return nil
		case <-groupCtx.Done():
			return context.Cause(groupCtx)
		}
	})
	close(rows)
	sendErr := group.Wait()
	stop()
	s.summary(sum, time.Since(start))
	switch {
	case sendErr != nil:
		return sendErr
	case readErr != nil:
		return readErr
	case s.refused > 0:
		return fmt.Errorf("%d events were refused", s.refused)
	case sum.Torn > 0:
		return fmt.Errorf("the rest of %d files was not read; the lines are above", sum.Torn)
	case sum.Good == 0:
		return errors.New("no row could be used")
	}
	return nil
}

// send creates one event. Refusals of one event are counted; what would meet
// every event (no access, nobody there) ends the import.
func (s *sender) send(ctx context.Context, row catalog.Row) error {
	if s.door == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	region := s.door.home(row.Event)
	seller := s.door.seller(region)
	var meta client.Meta
	err := client.Retry(ctx, client.Patience{Attempts: 12}, func(ctx context.Context) (err error) {
		_, meta, err = s.door.client.As(seller.APIKey).CreateEvent(ctx, seller.ID, region, row.Event, row.Key)
		return err
	})
	var refusal *client.ProblemError
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && meta.Replayed:
		s.there++
	case err == nil:
		s.created++
		s.regions[region]++
	case client.CodeOf(err) == eventExists: // its idempotency key was forgotten since
		s.there++
	case client.CodeOf(err) == reusedKey:
		s.differs++
	case errors.As(err, &refusal) && !client.Retryable(err) && refusal.Status != http.StatusUnauthorized && refusal.Status != http.StatusForbidden:
		s.refused++
		s.complainLocked(row, err)
	default:
		return fmt.Errorf("%s: %w", placeOf(row), err)
	}
	return nil
}

func (s *sender) complain(row catalog.Row, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complainLocked(row, err)
}

func (s *sender) complainLocked(row catalog.Row, err error) {
	s.printed++
	if s.flags.errors > 0 && s.printed > s.flags.errors && !row.Torn {
		return
	}
	sayf(s.errOut, "  %s: %v\n", placeOf(row), err)
}

// placeOf names a row: file, line, number and, if it has one, its id.
func placeOf(r catalog.Row) string {
	text := fmt.Sprintf("%s:%d (row %d)", r.File, r.Line, r.Index)
	if r.SourceID != "" {
		text += " " + r.SourceID
	}
	return text
}

// progress prints how far it is until the returned function is called.
func (s *sender) progress() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.mu.Lock()
				sayf(s.out, "  … %d created, %d already there, %d refused\n", s.created, s.there+s.differs, s.refused)
				s.mu.Unlock()
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

func (s *sender) summary(sum catalog.Summary, took time.Duration) {
	if hidden := s.printed - s.flags.errors; s.flags.errors > 0 && hidden > 0 {
		sayf(s.errOut, "  … and %d more (--errors 0 prints all)\n", hidden)
	}
	sayf(s.out, "  %d rows: %d usable, %d not", sum.Rows, sum.Good, sum.Bad)
	if s.door == nil {
		sayf(s.out, "; dry run, nothing sent\n")
	} else {
		sayf(s.out, "; %d created, %d already there", s.created, s.there+s.differs)
		if s.differs > 0 {
			sayf(s.out, " (%d of them changed at the source since, left as they are)", s.differs)
		}
		sayf(s.out, ", %d refused, in %s\n", s.refused, took.Round(100*time.Millisecond))
	}
	if len(s.regions) > 0 {
		var homes []string
		for _, r := range slices.Sorted(maps.Keys(s.regions)) {
			homes = append(homes, fmt.Sprintf("%s %d", r, s.regions[r]))
		}
		sayf(s.out, "  homes: %s\n", strings.Join(homes, ", "))
	}
	for _, n := range slices.Sorted(maps.Keys(sum.Notes)) {
		sayf(s.out, "  %s: %d\n", n, sum.Notes[n])
	}
}
