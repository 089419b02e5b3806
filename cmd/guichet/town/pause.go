package town

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// mostStopRounds bounds how often a pause looks for processes that were made meanwhile.
const mostStopRounds = 10

// pause stops the present life with SIGSTOP, with all processes that it started: its
// connections stay open and nothing answers on them, as when a machine hangs.
func (p *part) pause() error {
	p.op.Lock()
	defer p.op.Unlock()
	pid := p.pid()
	if pid == 0 {
		return fmt.Errorf("%s does not run", p.name)
	}
	stopped := map[int]bool{}
	for range mostStopRounds {
		fresh := slices.DeleteFunc(family(pid), func(pid int) bool { return stopped[pid] })
		if len(fresh) == 0 {
			break
		}
		for _, each := range fresh { // the parent first: it makes no more of them
			if err := syscall.Kill(each, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
				return errors.Join(fmt.Errorf("pause %s: %w", p.name, err), p.wake(pid))
			}
			stopped[each] = true
		}
	}
	p.mu.Lock()
	p.paused = true
	p.mu.Unlock()
	return nil
}

// resume lets a part go on. It is no error when it was not paused or does not run: what
// undoes a drill may be done twice.
func (p *part) resume() error {
	p.op.Lock()
	defer p.op.Unlock()
	if pid := p.pid(); pid != 0 {
		return p.wake(pid)
	}
	return nil
}

// wake sends SIGCONT to a life and to all that it started. A signal that ends a process
// politely reaches a stopped one only then.
func (p *part) wake(pid int) error {
	var faults []error
	for _, each := range family(pid) {
		if err := syscall.Kill(each, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			faults = append(faults, fmt.Errorf("resume %s: %w", p.name, err))
		}
	}
	p.mu.Lock()
	p.paused = false
	p.mu.Unlock()
	return errors.Join(faults...)
}

// isPaused says whether the present life was paused.
func (p *part) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused && p.life != nil
}

// family is a process and all that it started, by /proc; a session of their own, as
// PostgreSQL's have, changes nothing. Where there is no /proc it is the process alone.
func family(pid int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it is gone
		}
		// The name is in parentheses and may hold anything: "12 (a) b) S 1 …".
		_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		fields := strings.Fields(rest)
		own, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], own)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// Pause stops a part with SIGSTOP, as a machine that hangs; it stays so until Resume or
// Restart.
func (t *Town) Pause(name string) error {
	p, err := t.find(name)
	if err != nil {
		return err
	}
	if err := p.pause(); err != nil {
		return err
	}
	t.out.sayf("%s was paused; it goes on with: guichet town resume %s", p.name, p.name)
	return nil
}

// Resume lets a part that was paused go on.
func (t *Town) Resume(name string) error {
	p, err := t.find(name)
	if err != nil {
		return err
	}
	if err := p.resume(); err != nil {
		return err
	}
	t.out.sayf("%s goes on", p.name)
	return nil
}
