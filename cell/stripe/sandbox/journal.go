package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const (
	journalName    = "journal.jsonl"
	journalFormat  = "guichet-payment-sandbox"
	journalVersion = 1
)

// heading is the first line of a journal.
type heading struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

var errJournalClosed = errors.New("the journal is closed")

// journal is an append-only file of changes, one JSON object a line. Whoever
// has appended waits for his position; the first to wait syncs for all who
// came meanwhile. After a failed write nothing more is accepted: what is on the
// disk is then not known.
type journal struct {
	path string
	lock *os.File
	torn int64 // bytes dropped from the end when it was opened

	enough int64 // bytes up to which it is never rewritten

	mu              sync.Mutex // guards the fields below
	turn            *sync.Cond
	file            *os.File
	written, synced int64 // lines
	syncing         bool
	size, floor     int64 // bytes now, and after the last rewriting
	rewriting       bool
	err             error
}

// openJournal replays what is there and drops a torn last line: a line that was
// not whole was not synced, so nobody was told of it.
func openJournal(dir string, replay func(change) error) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	j := &journal{path: filepath.Join(dir, journalName), lock: lock, enough: compactionSize}
	j.turn = sync.NewCond(&j.mu)
	if err := j.open(replay); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return j, nil
}

func (j *journal) open(replay func(change) error) error {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	good, err := readJournal(f, replay)
	if err == nil {
		var end int64
		if end, err = f.Seek(0, io.SeekEnd); err == nil && end > good {
			j.torn = end - good
			if err = f.Truncate(good); err == nil {
				_, err = f.Seek(good, io.SeekStart)
			}
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", j.path, err), f.Close())
	}
	j.file, j.size, j.floor = f, good, good
	return nil
}

// readJournal gives the offset behind the last whole line.
func readJournal(r io.Reader, replay func(change) error) (int64, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var good int64
	for n := 1; ; n++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return good, fmt.Errorf("line %d: %w", n, err)
		}
		if err != nil { // no newline: the end of the file, perhaps a torn line
			return good, nil //nolint:nilerr // only io.EOF is left here
		}
		var c change
		if bad := json.Unmarshal(line, &c); bad != nil {
			if _, more := in.Peek(1); errors.Is(more, io.EOF) {
				return good, nil
			}
			return good, fmt.Errorf("line %d of the journal is damaged, and others follow it: %w", n, bad)
		}
		if err := take(n, c, replay); err != nil {
			return good, fmt.Errorf("line %d: %w", n, err)
		}
		good += int64(len(line))
	}
}

func take(n int, c change, replay func(change) error) error {
	if n > 1 {
		return replay(c)
	}
	if c.Header == nil || c.Header.Format != journalFormat {
		return errors.New("this is not a journal of the payment sandbox")
	}
	if c.Header.Version > journalVersion {
		return fmt.Errorf("the journal has version %d, this program knows %d", c.Header.Version, journalVersion)
	}
	return nil
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxRecord {
			return nil, fmt.Errorf("longer than %d bytes", maxRecord)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// append writes a line and gives the position to wait for.
func (j *journal) append(c change) (int64, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	n, err := j.file.Write(append(line, '\n'))
	j.size += int64(n)
	if err != nil {
		j.err = fmt.Errorf("write the journal: %w", err)
		return 0, j.err
	}
	j.written++
	return j.written, nil
}

// position is what a reader waits for, so that nobody sees what may yet be lost.
func (j *journal) position() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.written
}

// wait returns when the line at pos is on the disk.
func (j *journal) wait(pos int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.synced < pos && j.err == nil {
		if j.syncing {
			j.turn.Wait()
			continue
		}
		j.sync()
	}
	if j.synced >= pos {
		return nil
	}
	return j.err
}

// sync is called with the lock held and lets go of it while the disk works.
func (j *journal) sync() {
	upto, file := j.written, j.file
	j.syncing = true
	j.mu.Unlock()
	err := file.Sync()
	j.mu.Lock()
	j.syncing = false
	if err != nil {
		j.err = fmt.Errorf("sync the journal: %w", err)
	} else {
		j.synced = max(j.synced, upto)
	}
	j.turn.Broadcast()
}

// healthy is nil while the journal takes lines.
func (j *journal) healthy() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// due says that the journal has grown too large, and from which byte on the lines lie
// that the state of this moment does not know. The caller must then call rewrite.
func (j *journal) due() (from int64, due bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rewriting || j.err != nil || j.size <= max(j.enough, 2*j.floor) {
		return 0, false
	}
	j.rewriting = true
	return j.size, true
}

// rewrite replaces the file by state and the lines that lie behind from, in one rename.
// Lines are taken all the while: only the last of them are copied, and synced, with the lock
// held. If it fails before the rename, the old journal goes on.
func (j *journal) rewrite(from int64, state []change) error {
	next, size, err := writeJournal(j.path+".new", state)
	for n := 0; err == nil && n < maxTails; n++ {
		end := j.end()
		if end-from <= lastTail {
			break
		}
		size += end - from
		from, err = end, j.copyTail(next, from, end)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.syncing {
		j.turn.Wait()
	}
	defer j.turn.Broadcast()
	j.rewriting = false
	if err = errors.Join(err, j.err); err == nil {
		size += j.size - from
		err = j.copyTail(next, from, j.size)
	}
	if err == nil {
		err = os.Rename(next.Name(), j.path)
	}
	if err != nil {
		j.floor = j.size // do not try again at every line
		if next != nil {
			err = errors.Join(err, next.Close())
		}
		return fmt.Errorf("rewrite the journal: %w", err)
	}
	old := j.file
	j.file, j.size, j.floor, j.synced = next, size, size, j.written
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		j.err = fmt.Errorf("sync the journal's directory: %w", err)
	}
	return errors.Join(j.err, old.Close())
}

// Bounds of what is copied while nothing can be appended.
const (
	lastTail = 256 << 10 // bytes of lines; what comes while the lock is taken is added
	maxTails = 100       // copies before; lines that come quicker than the disk takes them are waited for
)

func (j *journal) end() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size
}

// copyTail adds lines of the file to the next one and syncs it. Only rewrite changes file.
func (j *journal) copyTail(to *os.File, from, end int64) error {
	if _, err := io.Copy(to, io.NewSectionReader(j.file, from, end-from)); err != nil {
		return err
	}
	return to.Sync()
}

func writeJournal(path string, state []change) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, 0, err
	}
	out, size := bufio.NewWriterSize(f, 1<<16), int64(0)
	put := func(c change) error {
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		n, err := out.Write(append(line, '\n'))
		size += int64(n)
		return err
	}
	err = put(change{Header: &heading{Format: journalFormat, Version: journalVersion}})
	for i := 0; err == nil && i < len(state); i++ {
		err = put(state[i])
	}
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.syncing || j.rewriting {
		j.turn.Wait()
	}
	if errors.Is(j.err, errJournalClosed) {
		return nil
	}
	err := j.err
	if err == nil {
		err = j.file.Sync()
		j.synced = j.written
	}
	j.err = errJournalClosed
	j.turn.Broadcast()
	return errors.Join(err, j.file.Close(), j.lock.Close())
}
