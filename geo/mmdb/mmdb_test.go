package mmdb_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"guichet/geo"
	"guichet/geo/mmdb"
)

// shared finds a file of the project's shared data beside the repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", "SOURCES.md")); err == nil {
			return filepath.Join(dir, "shared", "data", filepath.FromSlash(name))
		}
		if filepath.Dir(dir) == dir {
			t.Skip("SKIPPED: shared/data is not beside the repository, so no real GeoIP file was read")
		}
		dir = filepath.Dir(dir)
	}
}

func open(t *testing.T, path string) *mmdb.DB {
	t.Helper()
	db, err := mmdb.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestLookup_nestedCityFile_givesCoordinates(t *testing.T) {
	db := open(t, shared(t, "ip/GeoIP2-City-Test.mmdb"))
	got, err := db.Lookup(netip.MustParseAddr("2.125.160.216"))
	if err != nil || got.Country != "GB" || !got.Exact || geo.DistanceKM(got.Point, geo.Point{Lat: 51.75, Lon: -1.25}) > 20 {
		t.Errorf("Boxford is %+v, %v", got, err)
	}
	if got, err := db.Lookup(netip.MustParseAddr("2001:218::1")); err != nil || got.Country != "JP" {
		t.Errorf("a Japanese IPv6 network is %+v, %v", got, err)
	}
	if _, err := db.Lookup(netip.MustParseAddr("127.0.0.1")); !errors.Is(err, mmdb.ErrUnknown) {
		t.Errorf("the loopback address is somewhere: %v", err)
	}
}

func TestLookup_zippedCountryFile_givesTheCountrysPoint(t *testing.T) {
	for _, file := range []string{"ip/dbip-country.mmdb.gz", "ip/geo-whois-asn-country.mmdb.gz"} {
		db := open(t, shared(t, file))
		for addr, country := range map[string]string{"8.8.8.8": "US", "133.11.0.1": "JP", "200.160.2.3": "BR", "41.0.0.1": "ZA", "::ffff:133.11.0.1": "JP"} {
			got, err := db.Lookup(netip.MustParseAddr(addr))
			want, _ := geo.CountryPoint(country)
			if err != nil || got.Country != country || got.Exact || got.Point != want {
				t.Errorf("%s: %s is %+v, %v; want %s", file, addr, got, err, country)
			}
		}
		if got, err := db.Lookup(netip.MustParseAddr("2a01:e00::1")); err != nil || got.Country != "FR" {
			t.Errorf("%s: a French IPv6 network is %+v, %v", file, got, err)
		}
	}
}

func TestLookup_flatFileForIPv4Only(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flat.mmdb")
	write(t, path, flatFile())
	db := open(t, path)
	want := mmdb.Place{Point: geo.Point{Lat: 48.5, Lon: 2.25}, Country: "FR", Exact: true}
	if got, err := db.Lookup(netip.MustParseAddr("192.0.2.1")); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := db.Lookup(netip.MustParseAddr("2001:db8::1")); !errors.Is(err, mmdb.ErrUnknown) {
		t.Errorf("an IPv6 address in an IPv4 file is %+v, %v", got, err)
	}
	if _, err := db.Lookup(netip.Addr{}); !errors.Is(err, mmdb.ErrUnknown) {
		t.Errorf("no address is somewhere: %v", err)
	}
}

func TestOpen_missingOrDamagedFileIsAnError(t *testing.T) {
	dir := t.TempDir()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(flatFile())
	_ = w.Close()
	for name, content := range map[string][]byte{
		"empty": {}, "text": []byte("this is no database"), "cut gzip": z.Bytes()[:z.Len()-9], "cut file": flatFile()[:20],
	} {
		path := filepath.Join(dir, name)
		write(t, path, content)
		if _, err := mmdb.Open(path); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := mmdb.Open(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	path := filepath.Join(dir, "whole.gz")
	write(t, path, z.Bytes())
	open(t, path)
}

// FuzzLookup damages the file: an answer may be wrong or an error, but never a panic.
func FuzzLookup_damagedFileNeverPanics(f *testing.F) {
	file := flatFile()
	f.Add(3, byte(0xff), uint32(0xc0000201))
	f.Add(25, byte(0x20), uint32(0))
	f.Fuzz(func(t *testing.T, at int, to byte, ip uint32) {
		broken := bytes.Clone(file)
		broken[((at%len(broken))+len(broken))%len(broken)] = to
		path := filepath.Join(t.TempDir(), "broken.mmdb")
		write(t, path, broken)
		db, err := mmdb.Open(path)
		if err != nil {
			return
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], ip)
		if got, err := db.Lookup(netip.AddrFrom4(b)); err == nil && !got.Valid() {
			t.Fatalf("%+v is not on Earth", got)
		}
	})
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// flatFile is the smallest database there is: one node, both of whose branches
// lead to the same flat record (format: MaxMind DB, version 2.0).
func flatFile() []byte {
	text := func(s string) []byte { return append([]byte{0x40 | byte(len(s))}, s...) }
	double := func(v float64) []byte { return binary.BigEndian.AppendUint64([]byte{0x68}, math.Float64bits(v)) }
	number := func(typ byte, v ...byte) []byte {
		if typ >= 8 { // extended types follow in a byte of their own, less seven
			return append([]byte{byte(len(v)), typ - 7}, v...)
		}
		return append([]byte{typ<<5 | byte(len(v))}, v...)
	}
	mapOf := func(parts ...[]byte) []byte {
		return append([]byte{0xe0 | byte(len(parts)/2)}, bytes.Join(parts, nil)...)
	}
	const uint16Type, uint32Type, uint64Type = 5, 6, 9
	tree := []byte{0, 0, 17, 0, 0, 17} // node count + 16 + offset 0
	data := mapOf(text("country_code"), text("FR"), text("latitude"), double(48.5), text("longitude"), double(2.25))
	meta := mapOf(
		text("node_count"), number(uint32Type, 1), text("record_size"), number(uint16Type, 24), text("ip_version"), number(uint16Type, 4),
		text("database_type"), text("Flat-Test"), text("languages"), []byte{0, 4},
		text("binary_format_major_version"), number(uint16Type, 2), text("binary_format_minor_version"), number(uint16Type),
		text("build_epoch"), number(uint64Type, 0x65, 0, 0, 0), text("description"), mapOf(),
	)
	return bytes.Join([][]byte{tree, make([]byte, 16), data, []byte("\xab\xcd\xefMaxMind.com"), meta}, nil)
}
