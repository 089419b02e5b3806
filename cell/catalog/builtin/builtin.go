// Package builtin is Guichet's own catalogue: a season of concerts, operas, plays
// and matches at real venues on six continents, in the languages and currencies of
// their places. Venues (name, city, coordinates, capacity) are facts; programmes,
// prices and dates are made up. It is written in the CSV format that anybody can
// import; its dates run from December 2026 to November 2027 and are shifted when
// they have passed, so that an open town always has something to sell.
package builtin

import (
	"bytes"
	"context"
	_ "embed"
	"io"

	"guichet/cell/catalog"
	"guichet/cell/client"
)

//go:embed events.csv
var events []byte

// Source is what the listings credit.
var Source = client.Source{
	Name: "Guichet's own catalogue", Licence: "Apache-2.0",
	Credit: "An invented season at real venues, made for Guichet",
}

// Files are the catalogue as input for catalog.Read in format "csv".
func Files() []catalog.File {
	return []catalog.File{{Name: "builtin/events.csv", Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(events)), nil
	}}}
}

// Read is catalog.Read over the own catalogue: always shifted, always credited.
func Read(ctx context.Context, opts catalog.Options, emit func(catalog.Row) error) (catalog.Summary, error) {
	opts.Shift, opts.Source = true, Source
	return catalog.Read(ctx, "csv", Files(), opts, func(r catalog.Row) error { return emit(withSeats(r)) })
}
