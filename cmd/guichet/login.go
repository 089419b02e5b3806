package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"guichet/cell/client"
)

const (
	defaultURL    = "http://127.0.0.1:8080"
	issuerTimeout = 10 * time.Second
	discoveryMax  = 1 << 20
)

// login is what `guichet login` keeps, by the URL of the town.
type login struct {
	AccessToken string        `json:"access_token"`
	ExpiresAt   time.Time     `json:"expires_at"`
	Person      client.Person `json:"person"`
}

var errNotLoggedIn = errors.New("nobody is signed in; sign in with: guichet login")

// loginCommand signs a person in by the device flow (RFC 8628): the browser may be on
// another machine.
func loginCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs, where := loginFlags("login", stderr)
	issuer := fs.String("issuer", "", "`URL` of the issuer (default: the one the town says)")
	clientID := fs.String("client", "", "client `id` at the issuer (default: the one the town says)")
	if rest, err := parseMixed(fs, args); err != nil || len(rest) > 0 {
		return usageOr(err)
	}
	town := client.New(*where)
	if *issuer == "" || *clientID == "" {
		place, _, err := town.SignInPlace(ctx)
		if err != nil {
			return fmt.Errorf("ask the town where people sign in: %w", err)
		}
		if *issuer == "" {
			*issuer = place.Issuer
		}
		if *clientID == "" {
			*clientID = place.ClientID
		}
	}
	config, err := deviceConfig(ctx, *issuer, *clientID)
	if err != nil {
		return err
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Timeout: issuerTimeout})
	asked, err := config.DeviceAuth(ctx)
	if err != nil {
		return fmt.Errorf("ask the issuer for a code: %w", err)
	}
	sayf(stdout, "Open %s\nand check that it shows the code %s\n", firstOf(asked.VerificationURIComplete, asked.VerificationURI), asked.UserCode)
	got, err := config.DeviceAccessToken(ctx, asked) // polls until the code is over
	if err != nil {
		return fmt.Errorf("wait for the issuer: %w", err)
	}
	idToken, _ := got.Extra("id_token").(string)
	session, _, err := town.OpenSession(ctx, idToken)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if err := changeLogins(func(all map[string]login) {
		all[key(*where)] = login{AccessToken: session.AccessToken, ExpiresAt: session.ExpiresAt, Person: session.Person}
	}); err != nil {
		return err
	}
	sayf(stdout, "%s is signed in until %s\n", session.Person.Email, session.ExpiresAt.Local().Format("15:04"))
	return nil
}

// whoamiCommand asks the town, so that it also says when a session was ended.
func whoamiCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs, where := loginFlags("whoami", stderr)
	if rest, err := parseMixed(fs, args); err != nil || len(rest) > 0 {
		return usageOr(err)
	}
	known, err := loginAt(*where)
	if err != nil {
		return err
	}
	me, _, err := client.New(*where, client.WithBearer(known.AccessToken)).Me(ctx)
	if err != nil {
		return fmt.Errorf("ask the town: %w", err)
	}
	sayf(stdout, "%s\n", strings.TrimSpace(me.Name+" <"+me.Email+">"))
	if len(me.Roles) > 0 {
		sayf(stdout, "roles: %s\n", strings.Join(me.Roles, ", "))
	}
	sayf(stdout, "issuer: %s\nuntil: %s\n", me.Issuer, me.ExpiresAt.Local().Format("2 January 15:04"))
	return nil
}

// logoutCommand ends the session everywhere, then forgets it.
func logoutCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs, where := loginFlags("logout", stderr)
	if rest, err := parseMixed(fs, args); err != nil || len(rest) > 0 {
		return usageOr(err)
	}
	known, err := loginAt(*where)
	if err != nil {
		return err
	}
	_, err = client.New(*where, client.WithBearer(known.AccessToken)).CloseSession(ctx)
	var refused *client.ProblemError
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		err = nil // it was over already
	}
	if err != nil {
		return fmt.Errorf("the session goes on until %s, because the town could not end it: %w", known.ExpiresAt.Local().Format("15:04"), err)
	}
	if err := changeLogins(func(all map[string]login) { delete(all, key(*where)) }); err != nil {
		return err
	}
	sayf(stdout, "%s is signed out\n", known.Person.Email)
	return nil
}

func loginFlags(name string, stderr io.Writer) (*flag.FlagSet, *string) {
	fs := flag.NewFlagSet("guichet "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	return fs, fs.String("url", firstOf(os.Getenv("GUICHET_URL"), defaultURL), "`URL` of the town (default: GUICHET_URL)")
}

func usageOr(err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: an argument is too many", errUsage)
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// deviceConfig finds the issuer's places by discovery.
func deviceConfig(ctx context.Context, issuer, clientID string) (*oauth2.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, issuerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the issuer does not answer: %w", err)
	}
	defer resp.Body.Close()
	var meta struct {
		Issuer string `json:"issuer"`
		Device string `json:"device_authorization_endpoint"`
		Token  string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, discoveryMax)).Decode(&meta); err != nil {
		return nil, fmt.Errorf("%s is no issuer: %w", issuer, err)
	}
	if meta.Issuer != issuer || meta.Device == "" || meta.Token == "" {
		return nil, fmt.Errorf("%s has no device flow", issuer)
	}
	return &oauth2.Config{
		ClientID: clientID, Scopes: []string{"openid", "email", "profile"},
		Endpoint: oauth2.Endpoint{DeviceAuthURL: meta.Device, TokenURL: meta.Token, AuthStyle: oauth2.AuthStyleInParams},
	}, nil
}

func key(url string) string { return strings.TrimRight(url, "/") }

// loginAt is who is signed in at a town.
func loginAt(url string) (login, error) {
	all, _, err := readLogins()
	if err != nil {
		return login{}, err
	}
	l, ok := all[key(url)]
	if !ok || !time.Now().Before(l.ExpiresAt) {
		return login{}, errNotLoggedIn
	}
	return l, nil
}

func readLogins() (all map[string]login, file string, err error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, "", fmt.Errorf("find where the sign-in is kept: %w", err)
	}
	file = filepath.Join(dir, "guichet", "login.json")
	all = map[string]login{}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return all, file, nil
	}
	if err != nil {
		return nil, "", err
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, "", fmt.Errorf("%s is damaged; remove it and sign in again: %w", file, err)
	}
	return all, file, nil
}

// changeLogins writes the file anew, for this user's eyes only.
func changeLogins(change func(map[string]login)) error {
	all, file, err := readLogins()
	if err != nil {
		return err
	}
	change(all)
	b, err := json.MarshalIndent(all, "", "  ") //nolint:gosec // G117: that is what the file is for; its mode is 0600
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "login-") // mode 0600
	if err != nil {
		return err
	}
	if _, err := temp.Write(b); err != nil {
		return errors.Join(err, temp.Close(), os.Remove(temp.Name()))
	}
	if err := temp.Close(); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), file)
}
