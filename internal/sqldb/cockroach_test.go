package sqldb_test

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sync/errgroup"

	"guichet/internal/pgproxy"
	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// pretence is a PostgreSQL that says it is a CockroachDB, and a record of what was asked of it.
type pretence struct {
	mu    sync.Mutex
	asked []string
	state map[*pgproxy.Conn]byte // of each session's transaction: I, T or E
	wrong []string
}

var changesSchema = regexp.MustCompile(`(?i)^\s*(CREATE|ALTER|DROP|GRANT|REVOKE)\s`)

// pretend answers a URL that leads to the pretence.
func pretend(t *testing.T, dsn string, change func(text string, m []byte) []byte) (string, *pretence) {
	t.Helper()
	p := &pretence{state: map[*pgproxy.Conn]byte{}}
	version := parameter(t, "crdb_version", "CockroachDB CCL v25.2.0")
	request := func(c *pgproxy.Conn, m []byte) []byte {
		text := c.Runs(m)
		if text == "" {
			return m
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked = append(p.asked, text)
		// The lease's table is asked for where it was missing a moment ago; it makes nothing once it is there.
		if changesSchema.MatchString(text) && !strings.Contains(text, "guichet_lease") {
			for other, state := range p.state {
				if other != c && state != 'I' {
					p.wrong = append(p.wrong, "a session is in a transaction while this is sent, which waits for it: "+text)
				}
			}
		}
		if change != nil {
			return change(text, m)
		}
		return m
	}
	reply := func(c *pgproxy.Conn, m []byte) []byte {
		switch m[0] {
		case 'K':
			return bytes.Join([][]byte{version, m}, nil)
		case 'Z':
			p.mu.Lock()
			defer p.mu.Unlock()
			p.state[c] = m[5]
		}
		return m
	}
	proxy, err := pgproxy.Start(t.Context(), dsn, request, reply)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	through, err := proxy.URL(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return through, p
}

// saw are the texts that contain part, in order.
func (p *pretence) saw(part string) (texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.asked {
		if strings.Contains(text, part) {
			texts = append(texts, text)
		}
	}
	return texts
}

func (p *pretence) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		t.Error(w)
	}
	if !slices.ContainsFunc(p.asked, changesSchema.MatchString) {
		t.Error("no statement that changes the schema was seen")
	}
}

func threeFiles() fstest.MapFS {
	return files("0001.sql", "CREATE SCHEMA IF NOT EXISTS s;\nCREATE TABLE IF NOT EXISTS s.log (line text PRIMARY KEY);\n",
		"0002.sql", "INSERT INTO s.log VALUES ('one') ON CONFLICT (line) DO NOTHING;\n")
}

// CREATE SCHEMA waits there for every open transaction of the database: a lock row would make the
// migration wait for itself, for ever.
func TestMigrate_onCockroachTakesALeaseAndMakesTheWholeSchemaInOneTransaction(t *testing.T) {
	t.Parallel()
	dsn, p := pretend(t, testdb.New(t, nil), nil)
	db, ctx := openAsPrograms(t, dsn), bounded(t)
	if err := db.Migrate(ctx, threeFiles()); err != nil {
		t.Fatal(err)
	}
	p.check(t)
	p.mu.Lock()
	asked := slices.Clone(p.asked)
	p.mu.Unlock()
	begin := slices.IndexFunc(asked, func(s string) bool { return strings.EqualFold(s, "begin isolation level serializable") })
	end := slices.Index(asked, "commit")
	if begin < 0 || end < begin || len(p.saw("begin")) != 1 || len(p.saw("SAVEPOINT")) != 0 {
		t.Fatalf("not one transaction: %q", asked)
	}
	for _, text := range []string{"CREATE SCHEMA", "s.log (line", "INSERT INTO s.log", "INSERT INTO public.guichet_migration"} {
		if at := slices.IndexFunc(asked, func(s string) bool { return strings.Contains(s, text) }); at < begin || at > end {
			t.Errorf("%s stands at %d, the transaction from %d to %d", text, at, begin, end)
		}
	}
	for _, text := range []string{"SET autocommit_before_ddl = off", "SET idle_in_transaction_session_timeout = 0"} {
		if at := slices.Index(asked, text); at < 0 || at > begin {
			t.Errorf("%s was not said before BEGIN", text)
		}
	}
	if len(p.saw("FOR UPDATE")) != 0 || len(p.saw("guichet_lease AS l")) == 0 || len(p.saw("DELETE FROM public.guichet_lease")) == 0 {
		t.Error("the lease was not used, or a row was locked")
	}

	// What is added later finds tables that others use: statement by statement.
	more := threeFiles()
	more["0003.sql"] = &fstest.MapFile{Data: []byte("ALTER TABLE s.log ADD COLUMN IF NOT EXISTS at timestamptz;\nUPDATE s.log SET at = now();\n")}
	if err := db.Migrate(ctx, more); err != nil {
		t.Fatal(err)
	}
	p.check(t)
	if len(p.saw("begin")) != 1 {
		t.Error("a later file was put into a transaction")
	}
	if n := number(t, db, `SELECT count(*) FROM public.guichet_migration WHERE file <> 'lock'`); n != 5 {
		t.Errorf("%d statements are remembered, want 5", n)
	}
}

func TestMigrate_onCockroachByFourProcessesAtOnceAppliesEachStatementOnce(t *testing.T) {
	t.Parallel()
	dsn, p := pretend(t, testdb.New(t, nil), nil)
	dir := files("0001.sql", "CREATE TABLE log (line text);\nSELECT pg_sleep(0.2);\nINSERT INTO log VALUES ('one');\n")
	group, ctx := errgroup.WithContext(bounded(t))
	for range 4 {
		db := open(t, dsn, sqldb.MaxConns(1))
		group.Go(func() error { return db.Migrate(ctx, dir) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := len(p.saw("INSERT INTO log")); n != 1 {
		t.Errorf("the work was done %d times", n)
	}
	p.check(t)
}

func TestMigrate_onCockroachBeginsAgainWhenItsTransactionDied(t *testing.T) {
	t.Parallel()
	once := true
	dsn, p := pretend(t, testdb.New(t, nil), func(text string, m []byte) []byte {
		if once && strings.Contains(text, "INSERT INTO s.log") {
			once = false
			return nil
		}
		return m
	})
	db := open(t, dsn)
	if err := db.Migrate(bounded(t), threeFiles()); !errors.Is(err, sqldb.ErrUnavailable) {
		t.Fatalf("got %v, want unavailable: its session was cut", err)
	}
	if err := db.Migrate(bounded(t), threeFiles()); err != nil { // it does not wait for the lease to end
		t.Fatal(err)
	}
	if n := number(t, db, `SELECT count(*) FROM s.log`); n != 1 {
		t.Errorf("%d lines, want 1", n)
	}
	if len(p.saw("begin")) != 2 {
		t.Error("the schema was not made in one transaction after that either")
	}
}

// Roles are the cluster's: right after another database's cell made one, a node may not know it.
func TestConfine_asksAgainForARoleThatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	unknown := 0
	dsn, p := pretend(t, testdb.New(t, nil), func(text string, m []byte) []byte {
		if unknown < 3 && (strings.HasPrefix(text, "SET ROLE") || strings.HasPrefix(text, "GRANT USAGE")) {
			unknown++
			said, err := (&pgproto3.Query{String: "SET not_known = 1"}).Encode(nil) // 42704 is the answer
			if err != nil {
				t.Error(err)
			}
			return said
		}
		return m
	})
	db := confined(t, dsn, role)
	if unknown != 3 {
		t.Errorf("the role was unknown %d times, want 3", unknown)
	}
	if code := says(t, db, `UPDATE shop.book SET till = 'b'`); code != "42501" {
		t.Errorf("the ledger's rows can be changed: %q", code)
	}
	p.check(t)
	if grants := p.saw("GRANT SELECT"); len(grants) == 0 {
		t.Error("no rights were given")
	}
}
