// Command cell is one process of one region's booking house. It is configured by
// the environment; config.go lists the variables. wire.go is the floor plan.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // events name IANA zones, whatever the machine has installed

	"guichet/internal/httpd"
	"guichet/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cell:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log io.Writer) error {
	cfg, err := configure(getenv)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	reg, flush, err := telemetry.Setup(ctx, "cell", log, slog.String("cell", cfg.Cell.String()))
	if err != nil {
		return err
	}
	defer flush()
	house, err := open(ctx, cfg, reg)
	if err != nil {
		return err
	}
	defer house.close()
	httpd.CollectSeldom()
	return house.serve(ctx)
}
