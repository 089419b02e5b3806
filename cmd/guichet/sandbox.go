package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/stripe"
	"guichet/cell/stripe/sandbox"
	"guichet/control-plane/topology"
)

const (
	webhookPath     = "/v1/payments/stripe/webhook"
	sandboxShutdown = 5 * time.Second
)

// sandboxCommand runs the payment sandbox of a town until the context ends. The
// keys of an account follow from its cell (sandbox.AccountOf).
func sandboxCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("guichet sandbox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8095", "address to listen on")
	state := flags.String("state", ".town/sandbox", "directory of the journal")
	deliveries := flags.Int("deliveries", 2, "how often each webhook is delivered")
	public := flags.String("public-url", "", "where browsers reach the sandbox (default: the host they ask for)")
	settle := flags.Duration("settle-after", 0, "how long a bank debit is processing (default 3s)")
	var trouble sandbox.Faults
	flags.IntVar(&trouble.LatencyMS, "latency-ms", 0, "wait so long before every API call")
	flags.IntVar(&trouble.Error500Percent, "error-500-percent", 0, "let so many of 100 API calls fail and do nothing")
	flags.IntVar(&trouble.TimeoutAfterEffectPercent, "timeout-after-effect-percent", 0, "let so many of 100 calls do their work and never answer")
	flags.BoolVar(&trouble.WebhookBlackout, "webhook-blackout", false, "deliver nothing until it is switched off over POST /sandbox/faults")
	flags.IntVar(&trouble.Duplicates, "duplicates", 0, "copies of each webhook, instead of --deliveries")
	flags.BoolVar(&trouble.Reorder, "reorder", false, "deliver in random order, up to a second late")
	var accounts []sandbox.Account
	flags.Func("account", "`cell=url` of a cell and its webhook endpoint (repeated); a url without a path gets "+webhookPath, func(s string) error {
		a, err := parseAccount(s)
		accounts = append(accounts, a)
		return err
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("guichet sandbox: unexpected argument %q", flags.Arg(0))
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil)).With(slog.String("program", "sandbox"))
	s, err := sandbox.Open(sandbox.Config{
		StateDir: *state, Accounts: accounts, Deliveries: *deliveries, PublicURL: *public, SettleAfter: *settle, Now: time.Now, Logger: log,
	})
	if err != nil {
		return err
	}
	if err := s.SetFaults("", trouble); err != nil {
		return errors.Join(fmt.Errorf("guichet sandbox: %w", err), s.Close(ctx))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return errors.Join(fmt.Errorf("guichet sandbox: %w", err), s.Close(ctx))
	}
	_, _ = fmt.Fprintf(stdout, "payment sandbox: http://%s\n", l.Addr())
	return serveSandbox(ctx, l, s)
}

// serveSandbox serves until the context ends, then lets requests and journal finish.
func serveSandbox(ctx context.Context, l net.Listener, s *sandbox.Sandbox) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		WriteTimeout:   3 * time.Minute, // longer than any fault keeps a caller waiting
		MaxHeaderBytes: 64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), sandboxShutdown)
	defer cancel()
	closed := s.Close(ending) // first: it lets go of requests that a fault keeps waiting
	if late := server.Shutdown(ending); late != nil {
		closed = errors.Join(closed, server.Close())
	}
	return errors.Join(err, closed)
}

// parseAccount reads cell=url.
func parseAccount(s string) (sandbox.Account, error) {
	name, endpoint, _ := strings.Cut(s, "=")
	cell, err := topology.ParseCell(name)
	if err != nil {
		return sandbox.Account{}, fmt.Errorf("%q is not cell=url: %w", s, err)
	}
	u, err := url.Parse(endpoint)
	if endpoint != "" && (err != nil || u.Host == "") {
		return sandbox.Account{}, fmt.Errorf("%q is not cell=url", s)
	}
	if endpoint != "" && (u.Path == "" || u.Path == "/") {
		u.Path = webhookPath
		endpoint = u.String()
	}
	account := sandbox.AccountOf(cell.String(), endpoint)
	account.Events = stripe.Heard
	return account, nil
}
