// Command control-plane is the town hall and the middle of the bus: register of
// cells, directory of homes, the map, and the hub. Nobody on a booking's path
// waits for it. It is configured by the environment; config.go lists the variables.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"guichet/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "control-plane:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log io.Writer) error {
	cfg, err := configure(getenv)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	reg, flush, err := telemetry.Setup(ctx, "control-plane", log)
	if err != nil {
		return err
	}
	defer flush()
	t, err := open(ctx, cfg, reg)
	if err != nil {
		return err
	}
	defer t.close()
	return t.serve(ctx)
}
