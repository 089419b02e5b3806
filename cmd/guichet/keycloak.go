package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"guichet/internal/keycloak"
)

// keycloakCommand runs a real Keycloak with the realm of docs/identity until the
// context ends. Everything it learns is gone then.
func keycloakCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("guichet keycloak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	port := flags.Int("port", 8099, "port on 127.0.0.1")
	site := flags.String("site", "http://127.0.0.1:8080", "where browsers reach the town")
	install := flags.Bool("install", false, "get Keycloak onto this machine and end")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *install {
		home, err := keycloak.Install(ctx, stderr)
		if err == nil {
			sayf(stdout, "Keycloak %s is in %s\n", keycloak.Version, home)
		}
		return err
	}
	secret := os.Getenv(envClientSecret)
	if secret == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: %s is not set, or an argument is too many", errUsage, envClientSecret)
	}
	password := os.Getenv("GUICHET_DEMO_PASSWORD") // without one, the demo people are locked out
	server, err := keycloak.Run(ctx, keycloak.Settings{Port: *port, SiteURL: *site, ClientSecret: secret, DemoPassword: password, Log: stderr})
	if err != nil {
		return err
	}
	sayf(stdout, "Keycloak: %s (administrator: admin, password %s)\n", server.Issuer(), server.AdminPassword)
	select {
	case <-ctx.Done():
	case <-server.Exited():
		err = errors.New("Keycloak ended by itself") //nolint:staticcheck // a name
	}
	return errors.Join(err, server.Stop())
}
