package world

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Proc is a process by its pid and the moment it began, so that a pid that is
// used again does not pass for its last owner.
type Proc struct {
	Pid   int
	Name  string
	began string // in ticks since the machine started

	parent int
	state  string
}

func (p Proc) String() string { return fmt.Sprintf("%d (%s)", p.Pid, p.Name) }

// Family is a process and all its descendants, found in /proc; where there is no
// /proc it is empty.
func Family(root int) []Proc {
	all := processes()
	var family []Proc
	wanted := []int{root}
	for len(wanted) > 0 {
		pid := wanted[0]
		wanted = wanted[1:]
		for _, p := range all {
			if p.Pid == pid {
				family = append(family, p)
			}
			if p.parent == pid {
				wanted = append(wanted, p.Pid)
			}
		}
	}
	return family
}

// Survivors waits at most patience for all of them to go and answers who stayed.
// A zombie is gone: it only waits for somebody to ask how it ended.
func Survivors(family []Proc, patience time.Duration) []Proc {
	deadline := time.Now().Add(patience)
	for {
		now := processes()
		left := slices.DeleteFunc(slices.Clone(family), func(p Proc) bool {
			return !slices.ContainsFunc(now, func(q Proc) bool { return q.Pid == p.Pid && q.began == p.began && q.state != "Z" })
		})
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(pollEvery) // polling with a deadline
	}
}

func processes() []Proc {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	all := make([]Proc, 0, len(files))
	for _, file := range files {
		raw, err := os.ReadFile(file) // the kernel's
		if err != nil {
			continue // it has ended meanwhile
		}
		if p, ok := parseStat(raw); ok {
			all = append(all, p)
		}
	}
	return all
}

// parseStat reads /proc/PID/stat (proc(5)): pid (name) state parent … 22nd: began.
// The name may hold anything, brackets too.
func parseStat(raw []byte) (Proc, bool) {
	const parent, began = 1, 19 // counted from the state
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 1 || end < open {
		return Proc{}, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw[:open])))
	rest := strings.Fields(string(raw[end+1:]))
	if err != nil || len(rest) <= began {
		return Proc{}, false
	}
	up, err := strconv.Atoi(rest[parent])
	return Proc{Pid: pid, Name: string(raw[open+1 : end]), began: rest[began], parent: up, state: rest[0]}, err == nil
}
