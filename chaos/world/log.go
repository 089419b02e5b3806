package world

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// crashes are what no log of ours may ever say, whatever a drill did.
var crashes = []string{"handler panicked", "the check panicked", "panic: ", "fatal error: ", "WARNING: DATA RACE"}

const (
	maxLine       = 1 << 20
	maxComplaints = 20
	linesAfter    = 12 // shown with a complaint
)

// Complaints is an error that tells of every crash in the logs read so far.
func (w *World) Complaints() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.complaints) == 0 {
		return nil
	}
	return errors.New(strings.Join(w.complaints, "\n"))
}

// readLogs reads the present log of every process.
func (w *World) readLogs() error {
	files, err := filepath.Glob(filepath.Join(w.State, "log", "*.log"))
	if err != nil {
		return err
	}
	var faults []error
	for _, file := range files {
		faults = append(faults, w.readLog(strings.TrimSuffix(filepath.Base(file), ".log")))
	}
	return errors.Join(faults...)
}

func (w *World) readLog(name string) error {
	file, err := os.Open(filepath.Join(w.State, "log", name+".log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var found []string
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	show := 0
	for lines.Scan() {
		line := lines.Text()
		if show == 0 && crashed(line) {
			show = linesAfter
			found = append(found, name+".log tells of a crash:")
		}
		if show > 0 {
			found = append(found, "    "+line)
			show--
		}
		if len(found) > maxComplaints*linesAfter {
			break
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.complaints) < maxComplaints*linesAfter {
		w.complaints = append(w.complaints, found...)
	}
	return lines.Err()
}

func crashed(line string) bool {
	for _, words := range crashes {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
