// Package mmdb finds the place of an address in a GeoIP file. It reads MaxMind's
// nested records and the flat ones of other publishers; a file that knows
// countries only answers with the country's point. The file is the operator's
// (none is shipped); without one, or for an address it does not know, the caller
// falls back, so no error here may stop a request.
package mmdb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"

	"guichet/geo"
	"guichet/internal/kind"
)

// ErrUnknown is returned for an address whose place the file does not tell.
var ErrUnknown = kind.NotFound.New("address_unknown")

// fileLimit bounds what is read into memory: the largest city file is 130 MB.
const fileLimit = 512 << 20

// Place is where an address is.
type Place struct {
	geo.Point
	Country string // ISO 3166-1 alpha-2, empty if the file does not say
	Exact   bool   // the file gave coordinates; else Point stands for the country
}

// DB is an open GeoIP file. It may be used by many goroutines.
type DB struct {
	reader *maxminddb.Reader
	ipv4   bool // the file has IPv4 networks only
}

// Open reads a GeoIP file, gzipped or not. It is read whole rather than mapped:
// a file replaced in place must not change or kill a running router.
func Open(path string) (*DB, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open GeoIP file: %w", err)
	}
	defer f.Close() // nothing was written
	raw, err := readLimited(f)
	if err == nil && bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		raw, err = unzip(raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read GeoIP file %s: %w", path, err)
	}
	reader, err := maxminddb.OpenBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("GeoIP file %s: %w", path, err)
	}
	return &DB{reader: reader, ipv4: reader.Metadata.IPVersion == 4}, nil
}

func readLimited(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, fileLimit+1))
	if err == nil && len(raw) > fileLimit {
		err = fmt.Errorf("it is larger than %d MiB", fileLimit>>20)
	}
	return raw, err
}

func unzip(raw []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return readLimited(z)
}

// Describe names the file's type and date, for a log line.
func (db *DB) Describe() string {
	return fmt.Sprintf("%s of %s", db.reader.Metadata.DatabaseType, db.reader.Metadata.BuildTime().UTC().Format("2006-01-02"))
}

// Lookup finds the place of an address: ErrUnknown when the file has none for
// it, another error when the file is damaged there.
func (db *DB) Lookup(addr netip.Addr) (Place, error) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return Place{}, ErrUnknown.With("it is not an address")
	}
	if db.ipv4 && addr.Is6() {
		return Place{}, ErrUnknown.With("the file has no IPv6 networks")
	}
	result := db.reader.Lookup(addr)
	if err := result.Err(); err != nil {
		return Place{}, fmt.Errorf("look up address: %w", err)
	}
	if !result.Found() {
		return Place{}, ErrUnknown.With("no network of the file holds it")
	}
	return placeOf(result)
}

func placeOf(r maxminddb.Result) (Place, error) {
	country, err := text(r, "country_code")
	for _, name := range []string{"country", "registered_country"} {
		if country == "" && err == nil {
			country, err = text(r, name, "iso_code")
		}
	}
	if err != nil {
		return Place{}, fmt.Errorf("read GeoIP record: %w", err)
	}
	for _, path := range [][]any{{}, {"location"}} {
		p := geo.Point{Lat: number(r, append(path, "latitude")...), Lon: number(r, append(path, "longitude")...)}
		if p.Valid() {
			return Place{Point: p, Country: country, Exact: true}, nil
		}
	}
	p, ok := geo.CountryPoint(country)
	if !ok {
		return Place{}, ErrUnknown.With("the file names no place for it")
	}
	return Place{Point: p, Country: country}, nil
}

// text is empty when the record has no such field, or one of another type:
// publishers disagree about "country".
func text(r maxminddb.Result, path ...any) (string, error) {
	var s string
	err := r.DecodePath(&s, path...)
	if _, damaged := errors.AsType[maxminddb.InvalidDatabaseError](err); damaged {
		return "", err
	}
	if err != nil {
		return "", nil //nolint:nilerr // of another type: as good as none
	}
	return s, nil
}

// number is NaN, which no valid point has, when there is no such field.
func number(r maxminddb.Result, path ...any) float64 {
	v := math.NaN()
	if err := r.DecodePath(&v, path...); err != nil {
		return math.NaN()
	}
	return v
}
