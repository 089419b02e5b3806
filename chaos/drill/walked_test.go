package drill

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
)

// walkedName names a file of the moments that were walked to a good end: they are
// written there, and left out by who comes again.
const walkedName = "GUICHET_WALKED"

// walked are moments that were walked to a good end, kept in a file.
type walked struct {
	mu   sync.Mutex // guards the field below
	file *os.File   // nil: nothing is kept
	done map[string]bool
}

func openWalked(t *testing.T) *walked {
	t.Helper()
	l := &walked{done: map[string]bool{}}
	name := os.Getenv(walkedName)
	if name == "" {
		return l
	}
	var err error
	l.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	must(t, err)
	t.Cleanup(func() { _ = l.file.Close() })
	text, err := io.ReadAll(l.file)
	must(t, err)
	for line := range strings.Lines(string(text)) {
		l.done[strings.TrimSuffix(line, "\n")] = true
	}
	return l
}

func (l *walked) has(w walk) bool { return l.done[w.String()] }

func (l *walked) add(t *testing.T, w walk) {
	t.Helper()
	if t.Failed() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_, err := fmt.Fprintln(l.file, w)
		must(t, err)
	}
}
