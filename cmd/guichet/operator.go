package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"guichet/cmd/guichet/town"
	"guichet/internal/operator"
)

const operatorUsage = `guichet operator token --name NAME [--ttl 12h] [--roles operator,drill]
        print a named token that expires, signed with the control plane's seed in GUICHET_CONTROL_SEED
guichet operator revoke ID --until TIME
        let the control plane list a token as revoked until it would have expired (RFC 3339)

`

// defaultTTL is a working day: a token for longer is asked for.
const defaultTTL = 12 * time.Hour

// operatorCommand makes and revokes operators' tokens.
func operatorCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("guichet operator", flag.ContinueOnError)
	fs.SetOutput(stderr)
	name := fs.String("name", "", "`name` of who gets the token; it stands in the audit log")
	ttl := fs.Duration("ttl", defaultTTL, "how long it lasts, at most 400 days")
	roles := fs.String("roles", operator.Operate, "comma-separated: operator, drill")
	until := fs.String("until", "", "`time` when the revoked token would have expired")
	credentials := fs.String("credentials", ".town/credentials.json", "`file` that says where the control plane is and who may ask")
	fs.Usage = func() {
		sayf(stderr, operatorUsage)
		fs.PrintDefaults()
	}
	rest, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	switch {
	case len(rest) == 1 && rest[0] == "token":
		return operatorToken(stdout, stderr, *name, *roles, *ttl)
	case len(rest) == 2 && rest[0] == "revoke":
		return revokeOperator(ctx, stdout, *credentials, rest[1], *until)
	}
	fs.Usage()
	return fmt.Errorf("%w: token or revoke ID", errUsage)
}

// operatorToken prints the token alone, so that a shell can take it; all else goes to stderr.
func operatorToken(stdout, stderr io.Writer, name, roles string, ttl time.Duration) error {
	text := strings.TrimSpace(os.Getenv("GUICHET_CONTROL_SEED"))
	if text == "" {
		return errors.New("GUICHET_CONTROL_SEED is not set: only who has the control plane's seed can make operators")
	}
	seed, err := hex.DecodeString(text)
	if err != nil {
		return errors.New("GUICHET_CONTROL_SEED is not 64 hex digits") // the seed itself must not be in an error
	}
	key, err := operator.NewKey(seed)
	if err != nil {
		return fmt.Errorf("GUICHET_CONTROL_SEED cannot be used: %w", err)
	}
	var list []string
	for role := range strings.SplitSeq(roles, ",") {
		list = append(list, strings.TrimSpace(role))
	}
	token, who, err := operator.Issue(key, name, list, time.Now(), ttl)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	sayf(stderr, "%s of %q, roles %s, until %s\n", who.RevocationID(), who.Name, strings.Join(who.Roles, ","), who.Expires.Format(time.RFC3339))
	sayf(stdout, "%s\n", token)
	return nil
}

// revokeTimeout bounds the call to the control plane.
const revokeTimeout = 10 * time.Second

func revokeOperator(ctx context.Context, stdout io.Writer, credentials, id, until string) error {
	if !strings.HasPrefix(id, "op:") {
		id = "op:" + id
	}
	if _, err := time.Parse(time.RFC3339, until); err != nil {
		return fmt.Errorf("%w: --until is not a time like %s", errUsage, time.RFC3339)
	}
	creds, err := town.ReadCredentials(credentials)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"id": id, "until": until})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, creds.ControlPlane+"/v1/operators/revocations", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("revoke %s: %w", id, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+creds.OperatorToken)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("revoke %s: %w", id, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("revoke %s: the control plane answered %d %.300s", id, res.StatusCode, answer)
	}
	sayf(stdout, "%s is revoked\n", id)
	return nil
}
