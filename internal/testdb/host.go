package testdb

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"guichet/internal/pgserver"
)

// maxSlots bounds the data directories of parallel test processes on a machine.
const maxSlots = 64

var hosts = struct {
	mu            sync.Mutex
	usual, strict *host
}{}

// hostFor returns the server of this process, started when first asked for. It
// is never stopped by hand: it dies with the process (see internal/child).
func hostFor(ctx context.Context, durable bool) (*host, error) {
	hosts.mu.Lock()
	defer hosts.mu.Unlock()
	at := &hosts.usual
	if durable {
		at = &hosts.strict
	}
	if *at != nil {
		return *at, nil
	}
	raw := os.Getenv(EnvURL)
	if raw == "" || durable {
		server, err := Start(ctx, durable)
		if err != nil {
			return nil, err
		}
		raw = server.DSN("postgres")
	}
	base, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s is no URL", EnvURL) // the error would quote a password
	}
	h := &host{base: base, templates: map[uintptr]*template{}}
	if err := h.sweep(ctx); err != nil {
		return nil, err
	}
	*at = h
	return h, nil
}

// Start runs a server for tests in the first data directory ("slot") that no
// other test process uses; fsync is off unless durable. Most tests want New.
func Start(ctx context.Context, durable bool) (*pgserver.Server, error) {
	bin, err := pgserver.Find()
	if err != nil {
		return nil, err
	}
	// Another version of PostgreSQL could not read these directories.
	sum := sha256.Sum256([]byte(bin.Dir))
	root := filepath.Join(os.TempDir(), fmt.Sprintf("guichet-test-%d-%x", os.Getuid(), sum[:4]))
	if err := ownDir(root); err != nil {
		return nil, err
	}
	settings := map[string]string{"shared_buffers": "128MB", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
	kind := "slot"
	if durable { // a modest server would begin a checkpoint every half minute of a bench
		settings, kind = map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB"}, "durable"
	}
	template, err := pgserver.Template(ctx, pgserver.Config{Dir: filepath.Join(root, "template"), Settings: settings, Bin: bin})
	if err != nil {
		return nil, err
	}
	for i := range maxSlots {
		dir := filepath.Join(root, kind+"-"+strconv.Itoa(i))
		if !pgserver.Free(dir) {
			continue
		}
		cfg := pgserver.Config{Dir: dir, TemplateDir: template, MaxConnections: 400, Settings: settings, Bin: bin}
		server, err := pgserver.Start(ctx, cfg)
		if errors.Is(err, pgserver.ErrInUse) {
			continue
		}
		if err != nil && ctx.Err() == nil {
			// A machine that went down with fsync off leaves a broken directory.
			if err := pgserver.Remove(dir); err != nil { //nolint:contextcheck // bounds its own waits; what is begun is finished
				return nil, err
			}
			server, err = pgserver.Start(ctx, cfg)
		}
		return server, err
	}
	return nil, fmt.Errorf("all %d test servers under %s are in use", maxSlots, root)
}

// ownDir makes the directory, and refuses one that a stranger made before us.
func ownDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // the server's account passes through // fails on a directory that is not ours
		return fmt.Errorf("%s is not ours: %w", dir, err)
	}
	return nil
}
