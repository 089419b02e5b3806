package main

import (
	"context"
	"io"

	"guichet/cmd/guichet/town"
)

// townCommand opens a town in the foreground, or speaks to one that is open.
func townCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	return town.Command(ctx, args, stdout, stderr, importCommand)
}
