package sqldb_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"guichet/internal/sqldb"
	"guichet/internal/testdb"
)

// rooms are two schemas, one with a table of which rows are only ever added.
const rooms = `CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.till (id text PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE IF NOT EXISTS shop.book (id text PRIMARY KEY, till text NOT NULL REFERENCES shop.till (id));
`

// ownRole is a role's name that no other test uses; it ends with the test, after its database.
func ownRole(t *testing.T) sqldb.Role {
	t.Helper()
	name := "guichet_test_role_" + strings.ToLower(rand.Text()[:10])
	root := testdb.New(t, nil)
	t.Cleanup(func() {
		admin(t, root, `DROP ROLE IF EXISTS `+name)
	})
	return sqldb.Role{Name: name, AppendOnly: []string{"shop.book"}}
}

// admin runs a statement as the server's superuser.
func admin(t *testing.T, dsn, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Error(err)
		return
	}
	_, err = conn.Exec(ctx, sql)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func confined(t *testing.T, dsn string, role sqldb.Role) *sqldb.DB {
	t.Helper()
	db := open(t, dsn)
	if err := db.Migrate(bounded(t), files("0001.sql", rooms)); err != nil {
		t.Fatal(err)
	}
	if err := db.Confine(bounded(t), role); err != nil {
		t.Fatal(err)
	}
	return db
}

// says is the SQLSTATE of a statement, "" when it is done.
func says(t *testing.T, db *sqldb.DB, sql string) string {
	t.Helper()
	_, err := db.Pool.Exec(bounded(t), sql)
	if err != nil && sqldb.SQLState(err) == "" {
		t.Fatal(err)
	}
	return sqldb.SQLState(err)
}

func TestConfine_leavesTheLedgerInsertOnlyAndTheRestFree(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	db := confined(t, testdb.New(t, nil), role)
	for _, c := range [][2]string{
		{`INSERT INTO shop.till VALUES ('a', 1)`, ""},
		{`INSERT INTO shop.book VALUES ('1', 'a')`, ""},
		{`SELECT id FROM shop.book`, ""},
		{`UPDATE shop.till SET n = 2`, ""},
		{`SELECT n FROM shop.till FOR UPDATE`, ""},
		{`INSERT INTO shop.book VALUES ('2', 'nobody')`, "23503"},
		{`GRANT UPDATE, DELETE ON shop.book TO ` + role.Name, ""}, // PostgreSQL warns, and grants nothing
		{`UPDATE shop.book SET till = 'b'`, "42501"},
		{`DELETE FROM shop.book`, "42501"},
		{`TRUNCATE shop.book`, "42501"},
		{`SELECT id FROM shop.book FOR UPDATE`, "42501"},
		{`ALTER TABLE shop.book ADD COLUMN x text`, "42501"},
		{`DROP TABLE shop.book`, "42501"},
		{`TRUNCATE shop.till CASCADE`, "42501"},
		{`CREATE TABLE shop.other (id text)`, "42501"},
		{`DELETE FROM public.guichet_migration`, "42501"},
	} {
		if got := says(t, db, c[0]); got != c[1] {
			t.Errorf("%s: %q, want %q", c[0], got, c[1])
		}
	}
	if db.Confined() != role.Name {
		t.Errorf("works as %q", db.Confined())
	}
}

func TestConfine_reachesSessionsThatWereThereBefore(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	db := open(t, testdb.New(t, nil), sqldb.MaxConns(2))
	if err := db.Migrate(bounded(t), files("0001.sql", rooms)); err != nil {
		t.Fatal(err)
	}
	piped := func(sql string) error {
		return db.InPipe(bounded(t), func(b *pgx.Batch) { b.Queue(sql) }, func(*pgx.Batch) error { return nil })
	}
	if err := piped(`SELECT id FROM shop.book`); err != nil { // as the owner, who may do anything
		t.Fatal(err)
	}
	err := db.InTx(bounded(t), func(ctx context.Context, tx *sqldb.Tx) error {
		if err := db.Confine(ctx, role); err != nil { // while this session is at work as the owner
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO shop.till VALUES ('a', 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if got := says(t, db, `DELETE FROM shop.book`); got != "42501" {
			t.Errorf("an old session works on: %q", got)
		}
		if got := sqldb.SQLState(piped(`DELETE FROM shop.book`)); got != "42501" {
			t.Errorf("an old pipe works on: %q", got)
		}
	}
}

func TestConfine_givesLaterTablesTheirRights(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	dsn := testdb.New(t, nil)
	old := confined(t, dsn, role)
	later := files("0001.sql", rooms, "0002.sql", "CREATE TABLE shop.shelf (id text);\nCREATE SCHEMA attic;\nCREATE TABLE attic.box (id text);\nCREATE TABLE attic.book (id text);\n")
	db := open(t, dsn)
	if err := db.Migrate(bounded(t), later); err != nil {
		t.Fatal(err)
	}
	// In a schema that is known the old process may use a new table at once.
	if got := says(t, old, `DELETE FROM shop.shelf`); got != "" {
		t.Errorf("a new table of an old schema: %q", got)
	}
	role.AppendOnly = append(role.AppendOnly, "attic.book")
	if err := db.Confine(bounded(t), role); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]string{
		`DELETE FROM attic.box`: "", `INSERT INTO attic.book VALUES ('a')`: "", `DELETE FROM attic.book`: "42501", `DELETE FROM shop.book`: "42501",
	} {
		if got := says(t, db, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

func TestConfine_takesAwayWhatWasGivenTooMuch(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	dsn := testdb.New(t, nil)
	loose := role
	loose.AppendOnly = nil
	if got := says(t, confined(t, dsn, loose), `DELETE FROM shop.book`); got != "" {
		t.Fatalf("the role could not delete to begin with: %q", got)
	}
	if got := says(t, confined(t, dsn, role), `DELETE FROM shop.book`); got != "42501" {
		t.Errorf("still deletes: %q", got)
	}
}

func TestConfine_byFourProcessesAtOnce(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	dsn := testdb.New(t, nil)
	group, ctx := errgroup.WithContext(bounded(t))
	for range 4 {
		db := open(t, dsn, sqldb.MaxConns(1))
		group.Go(func() error {
			if err := db.Migrate(ctx, files("0001.sql", rooms)); err != nil {
				return err
			}
			return db.Confine(ctx, role)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestConfine_refusesATableThatIsNotThere(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	role.AppendOnly = []string{"shop.boook"}
	db := open(t, testdb.New(t, nil))
	if err := db.Migrate(bounded(t), files("0001.sql", rooms)); err != nil {
		t.Fatal(err)
	}
	if err := db.Confine(bounded(t), role); err == nil || db.Confined() != "" {
		t.Errorf("a misspelt ledger is protected: %v", err)
	}
}

// owner makes a user who owns a new database and nothing more; may is what else he may.
func owner(t *testing.T, may string) (dsn, user string) {
	t.Helper()
	root := testdb.New(t, nil)
	user = "guichet_test_owner_" + strings.ToLower(rand.Text()[:10])
	admin(t, root, `CREATE ROLE `+user+` LOGIN PASSWORD 'secret' `+may)
	u, err := url.Parse(root)
	if err != nil {
		t.Fatal(err)
	}
	admin(t, root, `ALTER DATABASE `+strings.TrimPrefix(u.Path, "/")+` OWNER TO `+user)
	admin(t, root, `ALTER SCHEMA public OWNER TO `+user)
	t.Cleanup(func() {
		admin(t, root, `REASSIGN OWNED BY `+user+` TO CURRENT_USER`)
		admin(t, root, `DROP OWNED BY `+user)
		admin(t, root, `DROP ROLE `+user)
	})
	u.User = url.UserPassword(user, "secret")
	return u.String(), user
}

func TestConfine_byAnOwnerWhoIsNoSuperuser(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	dsn, _ := owner(t, "CREATEROLE")
	db := confined(t, dsn, role)
	if got := says(t, db, `DELETE FROM shop.book`); got != "42501" {
		t.Errorf("deletes: %q", got)
	}
	if got := says(t, db, `INSERT INTO shop.till VALUES ('a', 1)`); got != "" {
		t.Errorf("cannot insert: %q", got)
	}
}

func TestConfine_byAnOwnerWhoMayMakeNoRoleChangesNothing(t *testing.T) {
	t.Parallel()
	role := ownRole(t)
	dsn, user := owner(t, "")
	db := open(t, dsn)
	if err := db.Migrate(bounded(t), files("0001.sql", rooms)); err != nil {
		t.Fatal(err)
	}
	if err := db.Confine(bounded(t), role); sqldb.SQLState(err) != "42501" || db.Confined() != "" {
		t.Fatalf("got %v", err)
	}
	if got := says(t, db, `INSERT INTO shop.till VALUES ('a', 1)`); got != "" {
		t.Errorf("the pool does not work any more: %q", got)
	}
	// Somebody who may has made the role meanwhile and let the owner in.
	admin(t, testdb.New(t, nil), `CREATE ROLE `+role.Name+` NOLOGIN; GRANT `+role.Name+` TO `+user)
	if err := db.Confine(bounded(t), role); err != nil {
		t.Fatal(err)
	}
	if got := says(t, db, `DELETE FROM shop.book`); got != "42501" {
		t.Errorf("deletes: %q", got)
	}
}
