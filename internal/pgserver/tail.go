package pgserver

import (
	"bytes"
	"strings"
	"sync"
)

const tailLimit = 16 << 10 // bytes of output kept to explain a failure

// tail keeps the end of a program's output.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailLimit; over > 0 {
		t.buf = bytes.Clone(t.buf[over:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

// lastLines joins the last n lines that say something into one.
func (t *tail) lastLines(n int) string { return strings.Join(t.last(n), " | ") }

func (t *tail) last(n int) []string {
	var lines []string
	for line := range strings.Lines(t.String()) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
