package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"guichet/cell/id"
)

// clockSlack is how far this process's clock may be ahead of the database's, by
// which the occurrences are checked again when they are made.
const clockSlack = time.Hour

// CreateSeries makes a series under the organizer's key and as many of its
// occurrences as ctx gives time for. The same call goes on with what is left, as
// does ContinueSeries; replayed says that there was nothing left to do.
func (s *Service) CreateSeries(ctx context.Context, org id.Organizer, d DraftSeries, key Key) (made Series, replayed bool, err error) {
	draft, plan, err := d.Series(s.Cell, org, s.Now().Add(-clockSlack))
	if err != nil {
		return Series{}, false, err
	}
	made, fresh, err := s.Store.OpenSeries(ctx, draft, key)
	if err != nil {
		return Series{}, false, fmt.Errorf("open series: %w", err)
	}
	if !fresh && made.State != SeriesMaking {
		return made, true, nil
	}
	if !fresh {
		plan = nil // its own, reckoned again
	}
	made, err = s.makeSome(ctx, made, plan)
	return made, false, err
}

// makeSome makes occurrences, batch by batch, until all are there or ctx ends:
// then what was made stays, and the rest is made by whoever goes on.
func (s *Service) makeSome(ctx context.Context, series Series, plan []Occurrence) (Series, error) {
	if plan == nil {
		var err error
		if plan, err = series.Draft.Plan(series.CreatedAt); err != nil {
			return series, fmt.Errorf("plan series %s: %w", series.ID, err)
		}
	}
	if int64(len(plan)) != series.Total {
		return series, fmt.Errorf("series %s was planned with %d occurrences, now it has %d", series.ID, series.Total, len(plan))
	}
	for series.State == SeriesMaking {
		next, err := s.Store.MakeOccurrences(ctx, series.ID, func(now *Series) ([]Event, error) {
			var events []Event
			for _, o := range plan[now.Made:min(int64(len(plan)), now.Made+int64(now.BatchSize()))] {
				e, err := now.Occurrence(s.Cell, o, now.CreatedAt)
				if err != nil {
					return nil, err
				}
				events = append(events, e)
			}
			return events, nil
		})
		if err != nil {
			if ctx.Err() != nil {
				return series, nil //nolint:nilerr // the caller's time is over, not the work: what was made stays
			}
			return series, fmt.Errorf("make occurrences of %s: %w", series.ID, err)
		}
		series = next
	}
	return series, nil
}

// PublishSeries publishes the occurrences of the organizer's series, as many as
// ctx gives time for; ContinueSeries goes on. Occurrences that are over stay drafts.
func (s *Service) PublishSeries(ctx context.Context, org id.Organizer, series id.Series) (Series, error) {
	started, err := s.Store.StartPublishing(ctx, series, func(now *Series) error {
		switch {
		case now.Organizer != org:
			return ErrSeriesNotFound
		case now.State == SeriesMaking:
			return ErrSeriesUnfinished.With("%d of %d occurrences are made", now.Made, now.Total).After(time.Second)
		}
		return nil
	})
	if err != nil {
		return Series{}, fmt.Errorf("publish series %s: %w", series, err)
	}
	return s.publishSome(ctx, started)
}

func (s *Service) publishSome(ctx context.Context, series Series) (Series, error) {
	for series.State == SeriesPublishing {
		next, err := s.Store.PublishOccurrences(ctx, series.ID, func(e *Event, now time.Time) {
			if e.Fence() == nil && e.Publish(now) == nil {
				e.Version++
			}
		})
		if err != nil {
			if ctx.Err() != nil {
				return series, nil //nolint:nilerr // the caller's time is over, not the work: what was made stays
			}
			return series, fmt.Errorf("publish occurrences of %s: %w", series.ID, err)
		}
		series = next
	}
	return series, nil
}

// unfinishedSeries bounds one pass of ContinueSeries.
const unfinishedSeries = 10

// ContinueSeries goes on with series that somebody left unfinished, and says how
// many there were.
func (s *Service) ContinueSeries(ctx context.Context) (int, error) {
	all, err := s.Store.UnfinishedSeries(ctx, unfinishedSeries)
	if err != nil {
		return 0, fmt.Errorf("list unfinished series: %w", err)
	}
	var errs []error
	for _, sid := range all {
		series, err := s.Store.Series(ctx, sid)
		if err == nil {
			series, err = s.makeSome(ctx, series, nil)
		}
		if err == nil {
			_, err = s.publishSome(ctx, series)
		}
		errs = append(errs, err)
	}
	return len(all), errors.Join(errs...)
}
