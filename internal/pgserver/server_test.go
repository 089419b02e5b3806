package pgserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/child"
)

// tempDir is a directory that the account of the server can reach too.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guichet-pgserver-") //nolint:usetesting // t.TempDir lies in one that only we may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if _, err := Find(); errors.Is(err, ErrNotInstalled) {
		t.Skip("SKIPPED, nothing tested: ", err)
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil { // again after the test's own Stop: no error
		t.Errorf("stop: %v", err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func ask(t *testing.T, conn *pgx.Conn, sql string) (answer string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func TestStart_isDurableAndListensOnTheLoopbackOnly(t *testing.T) {
	s := start(t, Config{Dir: filepath.Join(tempDir(t), "data"), MaxConnections: 42})
	conn := connect(t, s.DSN("postgres"))
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": "127.0.0.1",
		"unix_socket_directories": "", "max_connections": "42", "TimeZone": "UTC", "server_encoding": "UTF8",
	} {
		if got := ask(t, conn, "SHOW "+setting); got != want {
			t.Errorf("%s = %q, want %q", setting, got, want)
		}
	}
	if got := ask(t, conn, "SELECT datcollate FROM pg_database WHERE datname = current_database()"); got != "C" {
		t.Errorf("text is sorted by %q, want by bytes, as on CockroachDB", got)
	}
}

func TestStart_asksForThePassword(t *testing.T) {
	s := start(t, Config{Dir: filepath.Join(tempDir(t), "data")})
	wrong := strings.Replace(s.DSN("postgres"), s.password, "guess", 1)
	conn, err := pgx.Connect(t.Context(), wrong)
	if err == nil {
		conn.Close(t.Context())
		t.Fatal("a wrong password was let in")
	}
	if !strings.Contains(err.Error(), "28P01") {
		t.Errorf("refused for another reason: %v", err)
	}
	info, err := os.Stat(filepath.Join(s.Dir, passwordFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password file has mode %v (%v), want 0600", info.Mode(), err)
	}
}

func TestStart_keepsWhatWasCommittedBeforeKillNine(t *testing.T) {
	cfg := Config{Dir: filepath.Join(tempDir(t), "data")}
	s := start(t, cfg)
	if err := s.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Errorf("making it twice: %v", err)
	}
	conn := connect(t, s.DSN("shop"))
	if _, err := conn.Exec(t.Context(), "CREATE TABLE hold (id text); INSERT INTO hold VALUES ('kept')"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.Exited()
	if _, err := os.Stat(filepath.Join(s.Dir, "postmaster.pid")); err != nil {
		t.Fatalf("kill -9 should leave a stale pid file: %v", err)
	}
	stop(t, s)

	again := start(t, cfg)
	if got := ask(t, connect(t, again.DSN("shop")), "SELECT id FROM hold"); got != "kept" {
		t.Errorf("got %q", got)
	}
}

func TestStart_removesAPidFileWhoseNumberBelongsToSomebodyElse(t *testing.T) {
	cfg := Config{Dir: filepath.Join(tempDir(t), "data")}
	s := start(t, cfg)
	stop(t, s)
	// A live process of the same user that is no server: a child of ours that sleeps.
	stranger := sleeper(t)
	pidFile := filepath.Join(s.Dir, "postmaster.pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(stranger)+"\n"+s.Dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, cfg)
	if !child.Alive(stranger) {
		t.Error("the stranger was killed")
	}
}

func TestStart_refusesADataDirectoryThatIsInUse(t *testing.T) {
	cfg := Config{Dir: filepath.Join(tempDir(t), "data")}
	start(t, cfg)
	if Free(cfg.Dir) {
		t.Error("Free says nobody has it")
	}
	if s, err := Start(t.Context(), cfg); !errors.Is(err, ErrInUse) {
		t.Errorf("got %v, %v, want ErrInUse", s, err)
	}
}

func TestStart_namesABusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Find(); err != nil {
		t.Skip("SKIPPED, nothing tested: ", err)
	}
	cfg := Config{Dir: filepath.Join(tempDir(t), "data"), Port: l.Addr().(*net.TCPAddr).Port, Settings: map[string]string{"fsync": "off"}}
	if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrPortBusy) {
		t.Errorf("got %v, want ErrPortBusy", err)
	}
	if !Free(cfg.Dir) {
		t.Error("a failed start keeps the lock")
	}
}

func TestStart_redoesAnInitThatWasInterrupted(t *testing.T) {
	dir := filepath.Join(tempDir(t), "data")
	half := dir + ".init-1234"
	if err := os.MkdirAll(filepath.Join(half, "data", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Dir: dir, Settings: map[string]string{"fsync": "off"}})
	if left, _ := filepath.Glob(dir + ".init-*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTemplate_servesManyServersAndIsNeverStarted(t *testing.T) {
	if _, err := Find(); err != nil {
		t.Skip("SKIPPED, nothing tested: ", err)
	}
	root := tempDir(t)
	fast := map[string]string{"fsync": "off"}
	template, err := Template(t.Context(), Config{Dir: filepath.Join(root, "template"), Settings: fast})
	if err != nil {
		t.Fatal(err)
	}
	one := start(t, Config{Dir: filepath.Join(root, "one"), TemplateDir: template, Settings: fast})
	two := start(t, Config{Dir: filepath.Join(root, "two"), TemplateDir: template, Settings: fast})
	if err := one.CreateDatabase(t.Context(), "only_here"); err != nil {
		t.Fatal(err)
	}
	if n := ask(t, connect(t, two.DSN("postgres")), "SELECT count(*)::text FROM pg_database WHERE datname = 'only_here'"); n != "0" {
		t.Error("the copies are not apart")
	}
	if _, err := Start(t.Context(), Config{Dir: filepath.Join(root, "three"), TemplateDir: one.Dir, Settings: fast}); err == nil {
		t.Error("a running data directory was copied as a template")
	}
}

func TestStop_endsAServerWithClientsAndTheirTransactions(t *testing.T) {
	s := start(t, Config{Dir: filepath.Join(tempDir(t), "data"), Settings: map[string]string{"fsync": "off"}})
	conn := connect(t, s.DSN("postgres"))
	if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if child.Alive(s.Pid()) {
		t.Error("still there")
	}
}

func TestRemove_leavesNothingAndRefusesWhatIsInUse(t *testing.T) {
	dir := filepath.Join(tempDir(t), "data")
	s := start(t, Config{Dir: dir, Settings: map[string]string{"fsync": "off"}})
	if err := Remove(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a running server: got %v", err)
	}
	stop(t, s)
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(dir + "*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := Remove(dir); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
}
