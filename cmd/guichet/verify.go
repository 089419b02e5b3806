package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/cell/ticket"
	"guichet/cmd/guichet/town"
)

const maxKeyFile = 1 << 20

// verifyCommand checks a barcode with public keys, as a gate without a network does.
func verifyCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet verify", flag.ContinueOnError)
	fs.SetOutput(stderr)
	keys := fs.String("keys", "", "`file or URL` of the public keys (default: the open town's router)")
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the router is")
	revoked := fs.String("revocations", "", "`file or URL` of the event's revocations: refuse a ticket that is on the list")
	saveRevoked := fs.String("save-revocations", "", "also write the revocations to this `file`, for a gate without a network")
	save := fs.String("save-keys", "", "also write the keys to this `file`, for a gate without a network")
	fs.Usage = func() {
		sayf(stderr, "guichet verify TICKET [flags]     TICKET is the barcode's text; - reads it from standard input\n\n")
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		fs.Usage()
		return fmt.Errorf("%w: one ticket is needed", errUsage)
	}
	barcode := rest[0]
	if barcode == "-" {
		text, err := io.ReadAll(io.LimitReader(os.Stdin, 4096))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		barcode = strings.TrimSpace(string(text))
	}
	set, from, err := loadKeys(ctx, *keys, *credentials)
	if err != nil {
		return err
	}
	if *save != "" {
		if err := saveKeys(*save, set); err != nil {
			return err
		}
	}
	claims, err := verify(barcode, set)
	if err != nil {
		return fmt.Errorf("not valid: %w", err)
	}
	known, err := loadRevocations(ctx, *revoked, *saveRevoked, claims.Event().String(), set)
	if err != nil {
		return err
	}
	if err := known.Check(barcode); err != nil {
		return fmt.Errorf("not valid: %w", err)
	}
	sayf(stdout, "valid: signed by %s (keys: %s)\n  ticket  %s\n  event   %s\n  issued  %s\n",
		claims.KeyID, from, claims.Ticket, claims.Event(), claims.IssuedAt.Format(time.RFC3339))
	if *revoked != "" {
		sayf(stdout, "  not among %d revocations of the event as of %s\n  whether it was used since, only its home cell knows\n", known.Len(), known.AsOf.UTC().Format(time.RFC3339))
		return nil
	}
	sayf(stdout, "  whether it was canceled or used since, only its home cell knows\n")
	return nil
}

func verify(barcode string, set client.JWKSet) (ticket.Claims, error) {
	list, err := ticket.ParseJWKSet(set)
	if err != nil {
		return ticket.Claims{}, fmt.Errorf("the keys are not usable: %w", err)
	}
	return ticket.Verify(barcode, ticket.KeysOf(list))
}

// loadKeys reads a JWK set from a file, a URL, or the open town's router.
func loadKeys(ctx context.Context, where, credentials string) (set client.JWKSet, from string, err error) {
	if where == "" {
		creds, err := town.ReadCredentials(credentials)
		if err != nil {
			return set, "", fmt.Errorf("no --keys given, and %w", err)
		}
		where = creds.Router
	}
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		base := strings.TrimSuffix(strings.TrimRight(where, "/"), "/v1/keys/tickets")
		set, _, err = client.New(base).TicketKeys(ctx)
		return set, where, err
	}
	f, err := os.Open(where) // the person says which
	if err != nil {
		return set, "", err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxKeyFile)).Decode(&set); err != nil {
		return set, "", fmt.Errorf("%s is no JWK set: %w", where, err)
	}
	if len(set.Keys) == 0 {
		return set, "", errors.New(where + " holds no keys")
	}
	return set, where, nil
}

func saveKeys(path string, set client.JWKSet) error {
	text, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644) //nolint:gosec // public keys are public
}
