package pgserver

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// Bounds of what a server is given.
const (
	leastBuffers = 64 << 20
	mostBuffers  = 1 << 30
	unknown      = 2 << 30 // is taken for the memory of a machine that does not tell
)

// Sized are the settings of one of so many servers on a machine with so much memory
// in bytes, 0 for unknown. All servers' buffers together are an eighth of the memory:
// the rest is for the programs beside them, and for the kernel's cache, which holds
// what the buffers do not. Between checkpoints the log may grow to eight times the
// buffers: after a checkpoint each page is logged whole once, and a busy server that
// checkpoints every few seconds writes little else.
func Sized(memory int64, servers int) map[string]string {
	if memory <= 0 {
		memory = unknown
	}
	share := memory / int64(max(servers, 1))
	buffers := min(max(share/8, leastBuffers), mostBuffers)
	mib := func(bytes int64) string { return strconv.FormatInt(bytes>>20, 10) + "MB" }
	return map[string]string{
		"shared_buffers":       mib(buffers),
		"effective_cache_size": mib(max(share/2, 2*buffers)),
		"max_wal_size":         mib(8 * buffers),
		"min_wal_size":         mib(max(buffers/2, 80<<20)),
		"checkpoint_timeout":   "15min",
	}
}

// Memory is what this machine, or the control group this process is in, has in
// bytes; 0 when it does not tell.
func Memory() int64 {
	total := memTotal("/proc/meminfo")
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && (total == 0 || limit < total) {
			total = limit
		}
	}
	return total
}

func memTotal(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) > 1 && string(fields[0]) == "MemTotal:" {
			kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10
		}
	}
	return 0
}
