// Package testdb gives every test a database of its own on a real PostgreSQL,
// migrated once per run and copied per test. The server is the one that
// GUICHET_TEST_DATABASE_URL names (`make test` starts one around the whole run,
// see cmd/with-postgres), else one per test process, started when first needed
// on a free port in a data directory that later runs use again.
package testdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/jackc/pgx/v5"

	"guichet/internal/child"
)

// EnvURL names the variable with the URL of a server where databases may be made.
const EnvURL = "GUICHET_TEST_DATABASE_URL"

const (
	setupPatience = 2 * time.Minute // start a server, migrate a template
	namePrefix    = "guichet_test_"
)

// Migrate brings the database behind dsn to the schema under test.
type Migrate func(ctx context.Context, dsn string) error

// Option changes what New gives.
type Option func(*options)

type options struct{ durable bool }

// Durable asks for a server that writes to the disk before it acknowledges.
// Others run with fsync off: they survive a killed process, not a power cut.
func Durable(o *options) { o.durable = true }

// New makes a database, migrated by migrate (nil for an empty one), and returns
// its URL. It is dropped when the test ends, connections or not. migrate runs
// once per test process for each function value; databases of the same function
// are copies of one template.
func New(t testing.TB, migrate Migrate, opts ...Option) (dsn string) {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), setupPatience)
	defer cancel()
	h, err := hostFor(ctx, o.durable)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	name := newName()
	if err := h.create(ctx, name, migrate); err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), setupPatience)
		defer cancel()
		if err := h.drop(ctx, name); err != nil {
			t.Errorf("test database: %v", err)
		}
	})
	return h.dsn(name)
}

// host is a server on which this process makes databases.
type host struct {
	base      *url.URL
	cockroach bool // no templates there

	mu        sync.Mutex
	templates map[uintptr]*template
}

// template is a migrated database that is only copied.
type template struct {
	once    sync.Once
	name    string
	err     error
	migrate Migrate // kept, so that its address is not used again
}

func (h *host) dsn(database string) string {
	u := *h.base
	u.Path = "/" + database
	return u.String()
}

func (h *host) create(ctx context.Context, name string, migrate Migrate) error {
	if migrate == nil {
		return h.exec(ctx, "CREATE DATABASE "+quote(name))
	}
	if h.cockroach {
		return h.createMigrated(ctx, name, migrate)
	}
	tpl := h.template(migrate)
	tpl.once.Do(func() { tpl.err = h.createMigrated(ctx, tpl.name, migrate) })
	if tpl.err != nil {
		return tpl.err
	}
	return h.exec(ctx, "CREATE DATABASE "+quote(name)+" TEMPLATE "+quote(tpl.name))
}

func (h *host) createMigrated(ctx context.Context, name string, migrate Migrate) error {
	if err := h.exec(ctx, "CREATE DATABASE "+quote(name)); err != nil {
		return err
	}
	if err := migrate(ctx, h.dsn(name)); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// template finds the template of a function value. Two closures over different
// values have the same code and different addresses: the address counts.
func (h *host) template(migrate Migrate) *template {
	key := *(*uintptr)(unsafe.Pointer(&migrate)) //nolint:gosec // reads a function value's address; nothing is written
	h.mu.Lock()
	defer h.mu.Unlock()
	tpl, ok := h.templates[key]
	if !ok {
		tpl = &template{name: newName(), migrate: migrate}
		h.templates[key] = tpl
	}
	return tpl
}

func (h *host) drop(ctx context.Context, name string) error {
	if h.cockroach {
		return h.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" CASCADE")
	}
	return h.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)")
}

func (h *host) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, h.base.String())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	_, err = conn.Exec(ctx, sql)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// sweep drops what test processes that are gone have left.
func (h *host) sweep(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, h.base.String())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // nothing is lost
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return fmt.Errorf("ask the version: %w", err)
	}
	h.cockroach = strings.Contains(version, "CockroachDB")
	rows, err := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE $1", machine()+"%")
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list databases: %w", err)
	}
	for _, name := range names {
		var pid int
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, machine()), "%d_", &pid); err != nil || child.Alive(pid) {
			continue
		}
		if err := h.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// machine begins the names of all databases made on this machine.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	var sum uint32 = 2166136261 // FNV-1a
	for _, b := range []byte(name) {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return fmt.Sprintf("%s%08x_", namePrefix, sum)
}

func newName() string {
	return fmt.Sprintf("%s%d_%s", machine(), os.Getpid(), strings.ToLower(rand.Text()[:10]))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
