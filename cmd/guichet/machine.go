package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"guichet/cell/money"
)

// benchPrice is what the bench's ticket costs.
var benchPrice = money.Money{Amount: 1000, Currency: "EUR"}

// machine says when and where a measurement was made.
func machine() string {
	cpu, memory := "unknown processor", "unknown memory"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
		}
	}
	return fmt.Sprintf("%s · %d × %s · %s · %s/%s · %s", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), cpu, memory, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
