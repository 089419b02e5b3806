// Command router is the edge of the town: it takes requests to the nearest cell,
// or to the home of what they are about. It is configured by the environment;
// config.go lists the variables.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"guichet/internal/httpd"
	"guichet/internal/telemetry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "router:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, log io.Writer) error {
	cfg, err := configure(getenv)
	if err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	reg, flush, err := telemetry.Setup(ctx, "router", log)
	if err != nil {
		return err
	}
	defer flush()
	r, err := newRouter(ctx, cfg, reg)
	if err != nil {
		return err
	}
	// The watchers outlive ctx until the last request is done: a router that
	// drains still routes.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	watched := r.watch(watching)
	err = httpd.Closing{Health: r.ready, Notice: cfg.Notice}.ServeAll(ctx,
		httpd.Door{Listen: cfg.Listen, Name: "router", Handler: r},
		httpd.Door{Listen: cfg.Operators, Name: "router for operators", Handler: http.HandlerFunc(r.serve)},
		httpd.Door{Listen: cfg.Private, Name: "router private", Last: true, Handler: httpd.Private(r.ready, telemetry.Handler(reg))})
	stopWatching()
	<-watched
	return err
}
