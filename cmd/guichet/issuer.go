package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"guichet/internal/issuer"
)

const (
	issuerShutdown  = 5 * time.Second
	envClientSecret = "GUICHET_OIDC_CLIENT_SECRET" //nolint:gosec // G101: a name
)

// issuerCommand runs the town's own issuer until the context ends. Everything it
// learns is gone then.
func issuerCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("guichet issuer", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8099", "address to listen on; only ever this machine's own")
	site := flags.String("site", "http://127.0.0.1:8080", "where browsers reach the town")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	host, _, err := net.SplitHostPort(*listen)
	if address := net.ParseIP(host); flags.NArg() > 0 || err != nil || address == nil || !address.IsLoopback() {
		return fmt.Errorf("%w: --listen wants an address of the loopback: this issuer asks nobody for a password", errUsage)
	}
	secret := os.Getenv(envClientSecret)
	if secret == "" {
		return fmt.Errorf("%w: %s is not set: the secret of the client %s", errUsage, envClientSecret, issuer.Cell)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	i, err := issuer.New(issuer.Config{URL: "http://" + l.Addr().String(), SiteURL: *site, ClientSecret: secret, Now: time.Now})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	sayf(stdout, "issuer: http://%s\n", l.Addr())
	server := &http.Server{
		Handler: i.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err = <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), issuerShutdown)
	defer cancel()
	if server.Shutdown(ending) != nil {
		return server.Close()
	}
	return nil
}
