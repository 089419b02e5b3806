package deskbench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu is time on the cores: of this process, and of a database's sessions.
type cpu struct{ here, there time.Duration }

func (c cpu) plus(d cpu) cpu  { return cpu{c.here + d.here, c.there + d.there} }
func (c cpu) minus(d cpu) cpu { return cpu{c.here - d.here, c.there - d.there} }

// tick is the kernel's unit in /proc/<pid>/stat.
const tick = 10 * time.Millisecond

// usage reads the clocks of the kernel; where there is no /proc, PostgreSQL's is zero.
func usage(database string) (c cpu) {
	var self syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &self) == nil {
		c.here = time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	titles, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, title := range titles {
		text, _ := os.ReadFile(title)
		if database == "" || !strings.HasPrefix(string(text), "postgres:") || !strings.Contains(string(text), database) {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(title), "stat"))
		_, behind, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(behind); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			c.there += time.Duration(user+system) * tick
		}
	}
	return c
}
