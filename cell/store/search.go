package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/search"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/sqldb"
)

// ErrNoDocument is returned for an event that is not in the catalogue's copy.
var ErrNoDocument = kind.NotFound.New("event_not_found")

var (
	_ search.Catalog = (*Store)(nil)
	_ search.Hints   = (*Store)(nil)
)

const (
	raiseCounter = `UPDATE search.counter SET seq = seq + $1 WHERE one = 1 RETURNING seq`

	upsertDocuments = `INSERT INTO search.document (event_id, version, seq, doc, home, published)
		SELECT event_id, version, seq, doc, home, published
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::boolean[]) AS d (event_id, version, seq, doc, home, published)
		ON CONFLICT (event_id) DO UPDATE SET version = excluded.version, seq = excluded.seq, doc = excluded.doc,
			home = excluded.home, published = excluded.published, changed_at = now()
		WHERE search.document.version < excluded.version`

	selectDocumentsAfter = `SELECT seq, doc FROM search.document WHERE seq > $1 ORDER BY seq LIMIT $2`

	selectDocument = `SELECT doc FROM search.document WHERE event_id = $1`

	selectCounter = `SELECT source, seq FROM search.counter WHERE one = 1`

	// addFreshness makes the row that lockFreshness locks: beats of one cell are taken
	// in one after the other.
	addFreshness = `INSERT INTO search.freshness (cell, as_of, heard_at) VALUES ($1, $2, $2) ON CONFLICT (cell) DO NOTHING`

	lockFreshness = `SELECT run, first_seq, last_seq, whole, as_of, heard_at FROM search.freshness WHERE cell = $1 FOR UPDATE`

	setFreshness = `UPDATE search.freshness SET run = $2, first_seq = $3, last_seq = $4, whole = $5, as_of = $6, heard_at = $7 WHERE cell = $1`

	// upsertAvailability leaves alone what says so already: most of a round does. Of two
	// cells the later word counts, by their clocks; of one, the order of its beats.
	upsertAvailability = `INSERT INTO search.availability (event_id, cell, class, as_of)
		SELECT a.event_id, $1::text, a.class, $2::timestamptz FROM unnest($3::text[], $4::text[]) AS a (event_id, class)
		LEFT JOIN search.availability AS o ON o.event_id = a.event_id
		WHERE o.event_id IS NULL OR o.cell <> $1 AND o.as_of < $2 OR o.cell = $1 AND (o.class <> a.class OR o.as_of < $2::timestamptz - INTERVAL '1 day')
		ON CONFLICT (event_id) DO UPDATE SET cell = excluded.cell, class = excluded.class, as_of = excluded.as_of`

	selectAvailability = `SELECT event_id, cell, class FROM search.availability WHERE event_id = ANY($1)`

	selectFreshness = `SELECT cell, heard_at FROM search.freshness WHERE whole`
)

// beatRows bounds the rows of one INSERT.
const beatRows = 1000

// PutDocuments implements search.Catalog. The counter's row is locked until the
// commit, so whoever sees a seq sees every smaller one, too. A version that is
// not newer leaves a gap in seq and nothing else.
func (s *Store) PutDocuments(ctx context.Context, consumer, messageID string, docs []search.Document) error {
	rows, err := newestOf(docs)
	if err != nil {
		return err
	}
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		first, err := s.Once(ctx, tx, consumer, messageID)
		if err != nil || !first || len(rows.ids) == 0 {
			return err
		}
		return rows.put(ctx, tx, upsertDocuments)
	})
}

// documentRows are documents by column.
type documentRows struct {
	ids, texts, homes []string
	versions          []int64
	published         []bool
}

// put writes the rows with a statement of upsertDocuments' kind, behind the counter.
func (r *documentRows) put(ctx context.Context, tx *sqldb.Tx, statement string) error {
	var last int64
	if err := tx.QueryRow(ctx, raiseCounter, len(r.ids)).Scan(&last); err != nil {
		return fmt.Errorf("raise catalogue's counter: %w", err)
	}
	seqs := make([]int64, len(r.ids))
	for i := range seqs {
		seqs[i] = last - int64(len(r.ids)-1-i)
	}
	if _, err := tx.Exec(ctx, statement, r.ids, r.versions, seqs, r.texts, r.homes, r.published); err != nil {
		return fmt.Errorf("put %d documents: %w", len(r.ids), err)
	}
	return nil
}

// add takes in a document.
func (r *documentRows) add(d *search.Document) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode document of %s: %w", d.ID(), err)
	}
	r.ids, r.versions, r.texts = append(r.ids, d.ID()), append(r.versions, d.Version), append(r.texts, string(text))
	r.homes, r.published = append(r.homes, d.Event.Home.Cell), append(r.published, d.Published)
	return nil
}

// newestOf keeps the newest version of each event: one INSERT must not meet the same
// row twice.
func newestOf(docs []search.Document) (rows documentRows, err error) {
	newest := make(map[string]int, len(docs))
	for i := range docs {
		if err := docs[i].Validate(); err != nil {
			return rows, err
		}
		if at, ok := newest[docs[i].ID()]; !ok || docs[at].Version < docs[i].Version {
			newest[docs[i].ID()] = i
		}
	}
	for _, i := range slices.Sorted(maps.Values(newest)) {
		if err := rows.add(&docs[i]); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// DocumentsAfter implements search.Catalog.
func (s *Store) DocumentsAfter(ctx context.Context, seq int64, limit int) ([]search.Document, int64, error) {
	rows, err := s.DB.Pool.Query(ctx, selectDocumentsAfter, seq, limit)
	if err != nil {
		return nil, 0, fmt.Errorf("read documents: %w", sqldb.Classify(err))
	}
	last := seq
	docs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d search.Document, err error) {
		var text string
		if err := row.Scan(&last, &text); err != nil {
			return d, err
		}
		return d, json.Unmarshal([]byte(text), &d)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read documents: %w", sqldb.Classify(err))
	}
	return docs, last, nil
}

// CatalogHead implements search.Catalog.
func (s *Store) CatalogHead(ctx context.Context) (search.Mark, error) {
	var m search.Mark
	if err := s.DB.Pool.QueryRow(ctx, selectCounter).Scan(&m.Source, &m.Seq); err != nil {
		return search.Mark{}, fmt.Errorf("read catalogue's counter: %w", sqldb.Classify(err))
	}
	return m, nil
}

// Document is this cell's copy of any cell's event; see search.Document. One that
// is no longer published is answered as well, with Published false.
func (s *Store) Document(ctx context.Context, event id.Event) (search.Document, error) {
	var d search.Document
	var text string
	err := s.DB.Pool.QueryRow(ctx, selectDocument, event.String()).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNoDocument.With("%s is not in the catalogue", event)
	}
	if err != nil {
		return d, fmt.Errorf("read document of %s: %w", event, sqldb.Classify(err))
	}
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, fmt.Errorf("decode document of %s: %w", event, err)
	}
	return d, nil
}

// PutBeat implements search.Hints.
func (s *Store) PutBeat(ctx context.Context, b search.Beat, received time.Time) error {
	return s.DB.InTx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		line, err := lineOf(ctx, tx, string(b.Cell))
		if err != nil {
			return err
		}
		next, news := line.Hear(b, received)
		if !news {
			return nil
		}
		// In order of their ids, so that two beats cannot wait for each other.
		for ids := range slices.Chunk(slices.Sorted(maps.Keys(b.Changed)), beatRows) {
			classes := make([]string, len(ids))
			for i, event := range ids {
				classes[i] = string(b.Changed[event])
			}
			if _, err := tx.Exec(ctx, upsertAvailability, string(b.Cell), b.AsOf.UTC(), ids, classes); err != nil {
				return fmt.Errorf("put availability: %w", err)
			}
		}
		if _, err := tx.Exec(ctx, setFreshness, string(b.Cell), next.Run, next.First, next.Last, next.Whole, next.AsOf.UTC(), next.Heard.UTC()); err != nil {
			return fmt.Errorf("put freshness: %w", err)
		}
		return nil
	})
}

// lineOf reads what is known of a cell's beats and locks it until the transaction's end.
func lineOf(ctx context.Context, tx *sqldb.Tx, cell string) (l search.Line, err error) {
	lock := func() error {
		return tx.QueryRow(ctx, lockFreshness, cell).Scan(&l.Run, &l.First, &l.Last, &l.Whole, &l.AsOf, &l.Heard)
	}
	err = lock()
	if errors.Is(err, pgx.ErrNoRows) { // the cell's first beat
		if _, err := tx.Exec(ctx, addFreshness, cell, time.Unix(0, 0).UTC()); err != nil {
			return l, fmt.Errorf("add freshness: %w", err)
		}
		err = lock()
	}
	if err != nil {
		return l, fmt.Errorf("lock freshness: %w", err)
	}
	return l, nil
}

// AvailabilityOf implements search.Hints.
func (s *Store) AvailabilityOf(ctx context.Context, events []string) (map[string]search.Hint, map[topology.CellID]time.Time, error) {
	hints := make(map[string]search.Hint, len(events))
	var event, cell, class string
	rows, err := s.DB.Pool.Query(ctx, selectAvailability, events) //nolint:rowserrcheck // ForEachRow checks
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&event, &cell, &class}, func() error {
			hints[event] = search.Hint{Cell: topology.CellID(cell), Class: client.Availability(class)}
			return nil
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read availability: %w", sqldb.Classify(err))
	}
	asOf := map[topology.CellID]time.Time{}
	var heard time.Time
	rows, err = s.DB.Pool.Query(ctx, selectFreshness) //nolint:rowserrcheck // ForEachRow checks
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&cell, &heard}, func() error {
			asOf[topology.CellID(cell)] = heard
			return nil
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read freshness: %w", sqldb.Classify(err))
	}
	return hints, asOf, nil
}
