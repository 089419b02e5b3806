package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"guichet/cell/smtp/sink"
)

const mailboxShutdown = 5 * time.Second

// mailboxCommand runs a mail sink until the context ends.
func mailboxCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("guichet mailbox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8096", "address of the page and the JSON (GET /mails?to=)")
	smtp := flags.String("smtp", "127.0.0.1:8097", "address that takes mails by SMTP")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	}
	var lc net.ListenConfig
	taking, err := lc.Listen(ctx, "tcp", *smtp)
	if err != nil {
		return fmt.Errorf("take mails: %w", err)
	}
	showing, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return errors.Join(fmt.Errorf("show mails: %w", err), taking.Close())
	}
	sayf(stdout, "mail sink: http://%s, takes mails at %s\n", showing.Addr(), taking.Addr())
	return serveMailbox(ctx, taking, showing)
}

func serveMailbox(ctx context.Context, taking, showing net.Listener) error {
	box := sink.New(time.Now)
	server := &http.Server{
		Handler: box.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- box.Serve(ctx, taking) }()
	go func() { failed <- server.Serve(showing) }()
	var first error
	select {
	case first = <-failed:
	case <-ctx.Done():
	}
	stop()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailboxShutdown)
	defer cancel()
	if late := server.Shutdown(ending); late != nil {
		first = errors.Join(first, server.Close())
	}
	return first
}
