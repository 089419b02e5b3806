package overlay

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"guichet/internal/sqldb"
)

// Expiry says that a table's rows end by their age alone. Rows of which Unless holds do not.
type Expiry struct {
	Table  string        // "schema.table"
	Column string        // a timestamptz, from which the age counts
	After  time.Duration // whole seconds
	Unless string        // a condition on the row, or ""
}

const (
	// What is said of a table is remembered with the migrations: each change is a job.
	selectExpiry = `SELECT statement::STRING FROM public.guichet_migration WHERE file = $1`
	// the_expression is put in by expression; it is text to this statement.
	expireRows = `ALTER TABLE the_table SET (ttl_expiration_expression = 'the_expression', ttl_job_cron = '*/10 * * * *')`

	forgetExpiry   = `DELETE FROM public.guichet_migration WHERE file = $1`
	rememberExpiry = `INSERT INTO public.guichet_migration (file, statement) VALUES ($1, $2) ON CONFLICT (file, statement) DO NOTHING`

	expiryMark = "ttl 1 " // and the table: a new number when the expressions change
)

// Expire lets rows end by themselves (row TTL). It answers whether the database does that: PostgreSQL does not,
// and whoever calls keeps sweeping there. The tables must be there already.
func Expire(ctx context.Context, db *sqldb.DB, all ...Expiry) (does bool, err error) {
	err = db.Alone(ctx, func(ctx context.Context, engine sqldb.Engine, q sqldb.Querier) error {
		if does = engine == sqldb.CockroachDB; !does {
			return nil
		}
		return expire(ctx, over{q}, all)
	})
	return does && err == nil, err
}

func expire(ctx context.Context, s session, all []Expiry) error {
	for _, e := range all {
		mark, seconds := expiryMark+e.Table, int64(e.After/time.Second)
		has, err := text(ctx, s, selectExpiry, mark)
		if err != nil {
			return err
		}
		if has == strconv.FormatInt(seconds, 10) {
			continue
		}
		if err := s.exec(ctx, strings.ReplaceAll(named(expireRows, "", "", e.Table), "the_expression", quoted(e.expression()))); err != nil {
			return err
		}
		if err := s.exec(ctx, forgetExpiry, mark); err != nil {
			return err
		}
		if err := s.exec(ctx, rememberExpiry, mark, seconds); err != nil {
			return err
		}
	}
	return nil
}

// expression is when a row ends. Reckoned in UTC it depends on no session, as it must.
func (e Expiry) expression() string {
	ends := fmt.Sprintf("((%s AT TIME ZONE 'UTC') + INTERVAL '%d seconds') AT TIME ZONE 'UTC'", e.Column, int64(e.After/time.Second))
	if e.Unless != "" {
		return "CASE WHEN " + e.Unless + " THEN NULL ELSE " + ends + " END"
	}
	return ends
}

// quoted is what stands between quotes in SQL.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }
