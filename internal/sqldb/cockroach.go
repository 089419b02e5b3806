package sqldb

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// What a session that changes a schema asks of CockroachDB.
const (
	// keepTogether: else each CREATE would end the transaction before it.
	keepTogether = `SET autocommit_before_ddl = off`
	// A transaction of a whole schema is alone with the lease; only the migration's own limit ends it.
	neverIdle    = `SET idle_in_transaction_session_timeout = 0`
	waitForLocks = `SET lock_timeout = 0`
)

// onCockroach asks the connection, which was told at its start.
func onCockroach(conn *pgx.Conn) bool { return conn.PgConn().ParameterStatus("crdb_version") != "" }

// changeAtOnce runs statements that change a schema in one transaction of CockroachDB. Each by
// itself is a job that waits for every node; together they took 2 s where they had
// taken a minute. It is SERIALIZABLE, since a schema is changed under no other isolation there. Only what is
// true of new tables may be in it: a column that is added to an old one is not there
// before COMMIT.
func changeAtOnce(ctx context.Context, conn *pgx.Conn, run func(q Querier) error) error {
	// Versions before the setting behave as it asks.
	if _, err := conn.Exec(ctx, keepTogether); err != nil && SQLState(err) != "42704" {
		return err
	}
	for _, sql := range []string{neverIdle, waitForLocks} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return repeat(ctx, func() error {
		return once(ctx, conn, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error { return run(tx) })
	}, nil)
}
