package town

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
)

// printer writes whole lines; several goroutines may speak.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *printer) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.w, line)
}

func (p *printer) sayf(format string, args ...any) { p.say(fmt.Sprintf(format, args...)) }

// Write lets an import report through the printer.
func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.w.Write(b)
}

// Status is a part of an open town as `guichet town status` shows it.
type Status struct {
	Name  string `json:"name"`
	Cell  string `json:"cell,omitempty"`
	URL   string `json:"url,omitempty"`
	Pid   int    `json:"pid"` // 0 when it does not run
	Where string `json:"where"`
	What  string `json:"what"`
	// Paused is set by pause: it runs and does nothing.
	Paused bool `json:"paused,omitempty"`
}

func (t *Town) status() []Status {
	all := make([]Status, 0, len(t.parts))
	for _, p := range t.parts {
		all = append(all, Status{Name: p.name, Cell: string(p.cell), URL: p.url, Pid: p.pid(), Where: p.where, What: p.what, Paused: p.isPaused()})
	}
	return all
}

// table lists who runs where.
func table(all []Status) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  NAME\tURL\tPID\tSTATE")
	for _, s := range all {
		url, pid := s.URL, strconv.Itoa(s.Pid)
		if url == "" {
			url = s.What
		}
		if s.Pid == 0 {
			pid = "dead"
		}
		if s.Paused {
			pid += " (paused)"
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", s.Name, url, pid, s.Where)
	}
	_ = tw.Flush() // a strings.Builder takes everything
	return strings.TrimRight(b.String(), "\n")
}
