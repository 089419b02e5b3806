package store

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/internal/sqldb"
	"guichet/internal/txn"
)

// ownWindow is how many events or series are looked at for one page when a filter leaves
// some out: a request reads so many rows, however many there are.
const ownWindow = 1000

const (
	selectOwnEvents = `SELECT event_id, starts_at, described_at, state, name, starts_at FROM booking.event
	WHERE organizer_id = $1 AND (starts_at, event_id) > ($2, $3) AND starts_at < $4 ORDER BY starts_at, event_id LIMIT $5`

	selectChangedEvents = `SELECT event_id, described_at, described_at, state, name, starts_at FROM booking.event
	WHERE organizer_id = $1 AND (described_at, event_id) > ($2, $3) AND described_at < $4 ORDER BY described_at, event_id LIMIT $5`

	selectOwnSeries = `SELECT series_id, created_at, changed_at, state, name, created_at FROM booking.series
	WHERE organizer_id = $1 AND (created_at, series_id) > ($2, $3) AND created_at < $4 ORDER BY created_at, series_id LIMIT $5`

	selectChangedSeries = `SELECT series_id, changed_at, changed_at, state, name, created_at FROM booking.series
	WHERE organizer_id = $1 AND (changed_at, series_id) > ($2, $3) AND changed_at < $4 ORDER BY changed_at, series_id LIMIT $5`
)

// ownRow is a line of a list of what an organizer has.
type ownRow struct {
	place           booking.Stamp
	changed, starts time.Time
	state, name     string
}

// takes says whether a row fits the filters that the statement does not know.
func (r *ownRow) takes(q *booking.OwnQuery) bool {
	switch {
	case q.State == string(booking.Rescheduled) && r.state != string(booking.Published): // the rest the event itself says, once it is read
		return false
	case q.State != "" && q.State != string(booking.Rescheduled) && r.state != q.State:
		return false
	case q.Name != "" && !strings.Contains(search.Fold(r.name), search.Fold(q.Name)):
		return false
	}
	return !r.starts.Before(q.From) && (q.To.IsZero() || r.starts.Before(q.To))
}

// ownPage reads a page of a list, and where the next one begins, nil after the last.
func (s *Store) ownPage(ctx context.Context, org id.Organizer, q booking.OwnQuery, inOrder, byChange string) (page []ownRow, next *booking.Stamp, err error) {
	after, end, window, sql := q.Begin(), afterAll, q.Limit+1, inOrder
	switch {
	case q.ByChange():
		sql = byChange
	case !q.To.IsZero():
		end = q.To
	}
	if q.Narrow() {
		window = ownWindow
	}
	rows, err := s.DB.Pool.Query(ctx, sql, org.String(), after.At, after.ID, end, window) //nolint:rowserrcheck // ForEachRow checks
	if err != nil {
		return nil, nil, sqldb.Classify(err)
	}
	var r ownRow
	last, read := after, 0
	_, err = pgx.ForEachRow(rows, []any{&r.place.ID, &r.place.At, &r.changed, &r.state, &r.name, &r.starts}, func() error {
		read++
		switch {
		case next != nil:
		case len(page) == q.Limit:
			next = &booking.Stamp{At: last.At, ID: last.ID}
		case r.takes(&q):
			page = append(page, r)
		}
		last = r.place
		return nil
	})
	if err != nil {
		return nil, nil, sqldb.Classify(err)
	}
	if next == nil && read == window { // the window ended, not the list
		next = &last
	}
	return page, next, nil
}

// OwnEvents lists an organizer's events of this cell in the order of their starts, or of
// their last changes, and where the next page begins, nil after the last. A page may have
// fewer events than the limit and not be the last.
func (s *Store) OwnEvents(ctx context.Context, org id.Organizer, q booking.OwnQuery) ([]booking.Own[booking.Event], *booking.Stamp, error) {
	page, next, err := s.ownPage(ctx, org, q, selectOwnEvents, selectChangedEvents)
	if err != nil || len(page) == 0 {
		return nil, next, err
	}
	ids, changed := make([]id.Event, len(page)), map[id.Event]time.Time{}
	for i := range page {
		if ids[i], err = id.ParseEvent(page[i].place.ID); err != nil {
			return nil, nil, corrupt(err)
		}
		changed[ids[i]] = page[i].changed
	}
	events, err := s.Events(ctx, txn.None, ids)
	if err != nil {
		return nil, nil, sqldb.Classify(err)
	}
	all := make([]booking.Own[booking.Event], 0, len(events))
	for i := range events {
		if q.State == string(booking.Rescheduled) && events[i].ShownState() != booking.Rescheduled {
			continue
		}
		all = append(all, booking.Own[booking.Event]{It: events[i], Changed: changed[events[i].ID]})
	}
	return all, next, nil
}

// OwnSeries lists an organizer's series of this cell in the order in which they were
// made, or of their last changes; see OwnEvents.
func (s *Store) OwnSeries(ctx context.Context, org id.Organizer, q booking.OwnQuery) ([]booking.Own[booking.Series], *booking.Stamp, error) {
	page, next, err := s.ownPage(ctx, org, q, selectOwnSeries, selectChangedSeries)
	if err != nil {
		return nil, next, err
	}
	all := make([]booking.Own[booking.Series], 0, len(page))
	for i := range page {
		sid, err := id.ParseSeries(page[i].place.ID)
		if err != nil {
			return nil, nil, corrupt(err)
		}
		series, err := s.Series(ctx, sid)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, booking.Own[booking.Series]{It: series, Changed: page[i].changed})
	}
	return all, next, nil
}
