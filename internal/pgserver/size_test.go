package pgserver

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestSized_givesAllServersTogetherAnEighthOfTheMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		memory  int64
		servers int
		buffers int // MB
	}{
		{0, 1, 256}, {24 << 30, 4, 768}, {8 << 30, 4, 256}, {2 << 30, 4, 64}, {512 << 20, 9, 64}, {256 << 30, 1, 1024}, {8 << 30, 0, 1024},
	} {
		got := Sized(c.memory, c.servers)
		if got["shared_buffers"] != strconv.Itoa(c.buffers)+"MB" || got["max_wal_size"] != strconv.Itoa(8*c.buffers)+"MB" {
			t.Errorf("%d servers in %d bytes: %v", c.servers, c.memory, got)
		}
	}
}

func TestMemory_isWhatTheMachineSays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(file, []byte("MemFree: 1 kB\nMemTotal:       24681012 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := memTotal(file); got != 24681012<<10 {
		t.Errorf("%d", got)
	}
	if got := memTotal(file + ".gone"); got != 0 {
		t.Errorf("%d of a machine that does not tell", got)
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil && strings.Contains(string(text), "MemTotal") && Memory() <= 0 {
		t.Error("this machine tells, and was not understood")
	}
}
