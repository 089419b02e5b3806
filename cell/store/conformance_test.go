package store_test

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/cockroach-go/v2/testserver"

	"guichet/cell/store"
	"guichet/cell/store/storetest"
	"guichet/internal/sqldb"
)

func TestStore_onPostgreSQL(t *testing.T) {
	t.Parallel()
	storetest.Run(t, searchStore)
}

// cockroachBinary skips, and says so, where there is none.
func cockroachBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("COCKROACH_BINARY")
	if path, err := exec.LookPath("cockroach"); binary == "" && err == nil {
		binary = path
	}
	if binary == "" {
		t.Skip("CockroachDB was NOT tested: there is no cockroach on the PATH and COCKROACH_BINARY is not set")
	}
	return binary
}

func TestStore_onCockroachDB(t *testing.T) {
	t.Parallel()
	binary := cockroachBinary(t)
	server, err := testserver.NewTestServer(testserver.CockroachBinaryPathOpt(binary))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	admin, err := sqldb.Open(t.Context(), server.PGURL().String(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	storetest.Run(t, func(t *testing.T) *store.Store {
		t.Helper()
		name := "c" + strings.ToLower(rand.Text())
		if _, err := admin.Pool.Exec(t.Context(), `CREATE DATABASE `+name); err != nil {
			t.Fatal(err)
		}
		url := *server.PGURL()
		url.Path = "/" + name
		if err := migrateSearch(t.Context(), url.String()); err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(context.WithoutCancel(t.Context()), url.String(), "test", sqldb.As(store.AppRole))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return store.New(db, "euw3")
	})
}
