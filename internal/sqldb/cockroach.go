package sqldb

import (
	"context"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	"github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
)

// executeCockroach leaves CockroachDB's retries to cockroach-go, bounded like ours.
func executeCockroach(ctx context.Context, conn *pgx.Conn, opts pgx.TxOptions, fn func(tx pgx.Tx) error) error {
	return crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, maxAttempts), conn, opts, fn)
}
