package town

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

const (
	logLimit  = 64 << 20 // bytes per log file; there are two of each at most
	tailLimit = 16 << 10 // bytes kept in memory to explain a death
)

// logFile is a process's log: a file of bounded size with one predecessor, and
// the last words in memory.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
	tail []byte
}

// openLog starts a new file; the one of the last start becomes path.1.
func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	return l, l.rotate()
}

// rotate is called with mu held, or before anybody else knows l.
func (l *logFile) rotate() error {
	if l.file != nil {
		_ = l.file.Close() // a log is not worth an error
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("rotate log: %w", err)
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file, l.size = file, 0
	return nil
}

// Write never fails: a full disk must not take the process's output pipe, and
// with it the process, away.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tail = append(l.tail, p...)
	if over := len(l.tail) - tailLimit; over > 0 {
		l.tail = bytes.Clone(l.tail[over:])
	}
	if l.size+int64(len(p)) > logLimit && l.rotate() != nil {
		return len(p), nil
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

// LastWords are the last lines that say something.
func (l *logFile) LastWords(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for line := range bytes.Lines(l.tail) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
