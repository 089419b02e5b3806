// Package bleve is search.Index over bleve: an index on disk, one directory per
// process. It holds nothing that the catalogue does not have; an index that is
// damaged or of another format is put away and filled again. Queries are built
// as values, never as query-string syntax, so no text of a stranger can break one.
package bleve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"guichet/cell/search"
	"guichet/internal/kind"
)

// Errors of the index.
var (
	ErrInUse  = kind.Unavailable.New("index_in_use")
	ErrClosed = kind.Unavailable.New("index_closed")
)

const (
	lockWait    = 2 * time.Second // for a predecessor that is just closing
	lockPoll    = 20 * time.Millisecond
	currentFile = "CURRENT" // names the generation in use
	lockFile    = "LOCK"
	brokenDir   = "broken" // the last damaged generation, for people to look at
)

// Index is a search.Index on disk.
type Index struct {
	dir       string
	lock      *os.File
	searching chan struct{} // bounds searches at work, and so their memory
	recovered string

	rebuilding sync.Mutex

	mu  sync.RWMutex
	cur *generation // nil when closed
	seq int         // number of the newest generation
}

var _ search.Index = (*Index)(nil)

// Open opens the index in dir, or starts an empty one where there is none, or
// where it is damaged or of another format; Recovered says so. A directory that
// another process uses is ErrInUse.
func Open(dir string) (*Index, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make index directory: %w", err)
	}
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	x := &Index{dir: dir, lock: lock, searching: make(chan struct{}, 4*runtime.GOMAXPROCS(0))}
	if err := x.open(); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return x, nil
}

// Recovered says why the index was started empty though there was one, or "".
func (x *Index) Recovered() string { return x.recovered }

func (x *Index) open() error {
	name, err := os.ReadFile(filepath.Join(x.dir, currentFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", currentFile, err)
	}
	if err == nil {
		format, seq, ok := parseGeneration(strings.TrimSpace(string(name)))
		x.seq = seq
		switch {
		case !ok:
			x.recovered = "CURRENT is not readable"
		case format != formatVersion:
			x.recovered = fmt.Sprintf("its format is %d, this program's is %d", format, formatVersion)
		default:
			g, err := openGeneration(x.path(seq))
			if err == nil {
				x.cur = g
				x.sweep()
				return nil
			}
			x.recovered = err.Error()
			x.putAway(x.path(seq))
		}
	}
	x.sweepAll()
	g, err := x.next()
	if err != nil {
		return err
	}
	x.cur = g
	return x.point()
}

func generationName(seq int) string { return fmt.Sprintf("v%d-%d", formatVersion, seq) }

func parseGeneration(name string) (format, seq int, ok bool) {
	a, b, ok := strings.Cut(strings.TrimPrefix(name, "v"), "-")
	format, err1 := strconv.Atoi(a)
	seq, err2 := strconv.Atoi(b)
	ok = ok && strings.HasPrefix(name, "v") && err1 == nil && err2 == nil && format > 0 && seq > 0
	return format, seq, ok
}

func (x *Index) path(seq int) string { return filepath.Join(x.dir, generationName(seq)) }

// next makes a new, empty generation that nobody uses yet.
func (x *Index) next() (*generation, error) {
	x.seq++
	if err := os.RemoveAll(x.path(x.seq)); err != nil { // of a rebuild that did not end
		return nil, fmt.Errorf("clear generation: %w", err)
	}
	return newGeneration(x.path(x.seq))
}

// point makes the newest generation the one that Open takes, atomically.
func (x *Index) point() error {
	tmp := filepath.Join(x.dir, currentFile+".new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", currentFile, err)
	}
	_, err = f.WriteString(generationName(x.seq) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(x.dir, currentFile))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", currentFile, err)
	}
	return nil
}

// putAway keeps the damaged generation, only the last one.
func (x *Index) putAway(path string) {
	broken := filepath.Join(x.dir, brokenDir)
	_ = os.RemoveAll(broken)
	if os.Rename(path, broken) != nil {
		_ = os.RemoveAll(path) // what cannot be kept must not stand in the way
	}
}

// sweep removes generations that are not in use; sweepAll all of them.
func (x *Index) sweep()    { x.remove(generationName(x.seq)) }
func (x *Index) sweepAll() { x.remove("") }

func (x *Index) remove(except string) {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return // they cost disk only; the next Open tries again
	}
	for _, e := range entries {
		if _, _, ok := parseGeneration(e.Name()); ok && e.Name() != except {
			_ = os.RemoveAll(filepath.Join(x.dir, e.Name()))
		}
	}
}

// hold takes the generation in use; release must follow.
func (x *Index) hold() (*generation, func(), error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.cur == nil {
		return nil, nil, ErrClosed
	}
	g := x.cur
	g.holders.Add(1)
	return g, g.holders.Done, nil
}

// Apply implements search.Index.
func (x *Index) Apply(ctx context.Context, docs []search.Document, mark search.Mark) error {
	g, release, err := x.hold()
	if err != nil {
		return err
	}
	defer release()
	return g.apply(ctx, docs, mark)
}

// Mark implements search.Index.
func (x *Index) Mark() (search.Mark, error) {
	g, release, err := x.hold()
	if err != nil {
		return search.Mark{}, err
	}
	defer release()
	return g.mark()
}

// Count is the number of documents that can be found.
func (x *Index) Count() (uint64, error) {
	g, release, err := x.hold()
	if err != nil {
		return 0, err
	}
	defer release()
	return g.DocCount()
}

// Rebuild implements search.Index.
func (x *Index) Rebuild(_ context.Context, fill func(apply func(context.Context, []search.Document, search.Mark) error) error) error {
	x.rebuilding.Lock()
	defer x.rebuilding.Unlock()
	fresh, err := x.next()
	if err != nil {
		return err
	}
	err = fill(fresh.apply)
	if err == nil {
		err = x.swap(fresh)
	}
	if err != nil {
		fresh.holders.Wait()
		_ = fresh.Close()
		_ = os.RemoveAll(fresh.dir)
	}
	return err
}

func (x *Index) swap(fresh *generation) error {
	x.mu.Lock()
	old := x.cur
	if old == nil {
		x.mu.Unlock()
		return ErrClosed
	}
	if err := x.point(); err != nil {
		x.mu.Unlock()
		return err
	}
	x.cur = fresh
	x.mu.Unlock()
	old.holders.Wait() // searches are bounded in time
	_ = old.Close()    // its files go next
	x.sweep()
	return nil
}

// Close waits for searches and batches at work and closes the index.
func (x *Index) Close() error {
	x.mu.Lock()
	g := x.cur
	x.cur = nil
	x.mu.Unlock()
	if g == nil {
		return nil
	}
	g.holders.Wait()
	err := g.Close()
	return errors.Join(err, x.lock.Close()) // which frees the directory
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for waited := time.Duration(0); ; waited += lockPoll {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if waited >= lockWait {
			_ = f.Close()
			return nil, ErrInUse.With("another process uses %s", path)
		}
		time.Sleep(lockPoll)
	}
}
