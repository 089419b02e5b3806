package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"guichet/cell/client"
	"guichet/cell/ticket"
)

// maxRevocationFile bounds a list on disk: a million of them are about 100 MiB.
const maxRevocationFile = 128 << 20

// loadRevocations reads an event's whole list from a file of pages or from a
// router or cell, and holds every page to its signature. An empty where knows
// nothing and refuses nobody.
func loadRevocations(ctx context.Context, where, save, event string, set client.JWKSet) (*ticket.Revoked, error) {
	known := &ticket.Revoked{}
	if where == "" {
		if save != "" {
			return nil, fmt.Errorf("%w: --save-revocations needs --revocations", errUsage)
		}
		return known, nil
	}
	list, err := ticket.ParseJWKSet(set)
	if err != nil {
		return nil, fmt.Errorf("the keys are not usable: %w", err)
	}
	read := readRevocations
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		read = fetchRevocations
	}
	pages, err := read(ctx, where, event)
	if err != nil {
		return nil, fmt.Errorf("read the revocations: %w", err)
	}
	for i := range pages {
		if err := known.Add(&pages[i], ticket.KeysOf(list)); err != nil {
			return nil, fmt.Errorf("the revocations cannot be used: %w", err)
		}
	}
	if !known.Complete() || known.Event != event {
		return nil, errors.New("the revocations are not complete, or of another event")
	}
	if save != "" {
		return known, saveRevocations(save, pages)
	}
	return known, nil
}

func fetchRevocations(ctx context.Context, base, event string) ([]client.Revocations, error) {
	c := client.New(strings.TrimRight(base, "/"))
	var pages []client.Revocations
	for cursor := ""; ; {
		page, _, err := c.Revocations(ctx, event, cursor)
		if err != nil {
			return nil, err
		}
		pages = append(pages, page)
		if page.NextCursor == nil || len(page.Items) == 0 {
			return pages, nil
		}
		cursor = *page.NextCursor
	}
}

func readRevocations(_ context.Context, path, _ string) ([]client.Revocations, error) {
	f, err := os.Open(path) // the person says which
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var pages []client.Revocations
	for lines := json.NewDecoder(io.LimitReader(f, maxRevocationFile)); ; {
		var page client.Revocations
		if err := lines.Decode(&page); errors.Is(err, io.EOF) {
			return pages, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s holds no pages of revocations: %w", path, err)
		}
		pages = append(pages, page)
	}
}

func saveRevocations(path string, pages []client.Revocations) error {
	var text strings.Builder
	for i := range pages {
		if err := json.NewEncoder(&text).Encode(pages[i]); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(text.String()), 0o644) //nolint:gosec // the list is public
}
