package sqldb

import (
	"context"
	"errors"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
)

// onCockroach asks the connection, which was told at its start.
func onCockroach(conn *pgx.Conn) bool { return conn.PgConn().ParameterStatus("crdb_version") != "" }

// executeCockroach leaves CockroachDB's retries to cockroach-go, bounded like ours.
func executeCockroach(ctx context.Context, conn *pgx.Conn, opts pgx.TxOptions, fn func(tx pgx.Tx) error) error {
	err := crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, maxAttempts), conn, opts, fn)
	if _, ambiguous := errors.AsType[*crdb.AmbiguousCommitError](err); ambiguous { // any failure of its commit, known or not
		return outcome(err)
	}
	return err
}
