package catalog_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"guichet/cell/catalog"
	"guichet/geo"
)

var update = flag.Bool("update", false, "write the golden files anew")

func fixtures(names ...string) []catalog.File {
	for i := range names {
		names[i] = filepath.Join("testdata", names[i])
	}
	return disk(names...)
}

// printed is what the golden files hold: one block a row, then the summary.
func printed(t *testing.T, format string, files []catalog.File, opts catalog.Options) []byte {
	t.Helper()
	if opts.Now.IsZero() {
		opts.Now = now
	}
	var out bytes.Buffer
	sum, err := catalog.Read(t.Context(), format, files, opts, func(r catalog.Row) error {
		fmt.Fprintf(&out, "%s:%d #%d %s\n", r.File, r.Line, r.Index, r.Key)
		if r.Err != nil {
			fmt.Fprintf(&out, "  ERROR %v\n", r.Err)
			return nil //nolint:nilerr // the row's error is what is printed
		}
		text, err := json.Marshal(r.Event)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "  %s\n  %v\n", text, r.Notes)
		return nil
	})
	fmt.Fprintf(&out, "%+v %v\n", sum, err)
	return out.Bytes()
}

func TestRead_givesWhatTheGoldenFilesSay(t *testing.T) {
	for _, c := range []struct {
		name, format string
		files        []string
		opts         catalog.Options
	}{
		{"dirt", "schemaorg", []string{"dirt.json"}, catalog.Options{TimeZone: ""}},
		{"dirt_shifted_fallback", "schemaorg", []string{"dirt.json"}, catalog.Options{Shift: true, Fallback: &geo.Point{Lat: 43.7, Lon: -79.4}, Currency: "CAD"}},
		{"lines", "schemaorg", []string{"lines.jsonl", "graph.json"}, catalog.Options{}},
		{"csv", "csv", []string{"events.csv"}, catalog.Options{}},
		{"hongkong", "hongkong", []string{"hk_events.xml", "hk_dates.xml", "hk_venues.xml"}, catalog.Options{Shift: true}},
		{"openfootball", "openfootball", []string{"of_matches.json", "of_stadiums.json"}, catalog.Options{Shift: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := printed(t, c.format, fixtures(c.files...), c.opts)
			golden := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("not as in %s (go test -update writes it):\n%s", golden, got)
			}
		})
	}
}

func TestRead_takesTheFilesInAnyOrder(t *testing.T) {
	for _, c := range []struct {
		format string
		orders [][]string
	}{
		{"hongkong", [][]string{{"hk_events.xml", "hk_venues.xml", "hk_dates.xml"}, {"hk_dates.xml", "hk_venues.xml", "hk_events.xml"}}},
		{"openfootball", [][]string{{"of_matches.json", "of_stadiums.json"}, {"of_stadiums.json", "of_matches.json"}}},
	} {
		a := printed(t, c.format, fixtures(c.orders[0]...), catalog.Options{Shift: true})
		b := printed(t, c.format, fixtures(c.orders[1]...), catalog.Options{Shift: true})
		if !bytes.Equal(a, b) {
			t.Errorf("%s depends on the order of its files", c.format)
		}
	}
}

func TestRead_tellsGzipByContentNotByName(t *testing.T) {
	plain := fixtures("events.csv")
	text, err := os.ReadFile(filepath.Join("testdata", "events.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(append([]byte("\xef\xbb\xbf"), text...)); err != nil || z.Close() != nil {
		t.Fatal("cannot pack")
	}
	same := []catalog.File{{Name: "events.csv", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil }}}
	if !bytes.Equal(printed(t, "csv", plain, catalog.Options{}), printed(t, "csv", same, catalog.Options{})) {
		t.Error("the packed file reads otherwise")
	}
}

func TestRead_keysAreStableAndFollowTheClockOnlyWhereItChose(t *testing.T) {
	keys := func(opts catalog.Options) map[string]string {
		out := map[string]string{}
		good, _, _ := read(t, "schemaorg", fixtures("dirt.json"), opts)
		for _, r := range good {
			out[r.Event.Name] = r.Key
		}
		return out
	}
	first := keys(catalog.Options{Now: now, Shift: true})
	later := keys(catalog.Options{Now: now.AddDate(0, 0, 60), Shift: true})
	if first["Past"] == "" || first["Past"] != later["Past"] {
		t.Errorf("60 days later the shifted date is the same, but the keys are %q and %q", first["Past"], later["Past"])
	}
	muchLater := keys(catalog.Options{Now: now.AddDate(0, 0, 190), Shift: true})
	if muchLater["Past"] == first["Past"] {
		t.Error("the shifted date has passed, yet the next one has the same key: it could never be created")
	}
	if muchLater["Aggregate"] != first["Aggregate"] {
		t.Error("an event with its own date changed its key")
	}
}

func TestRead_stopsWhereTheCallerOrTheContextStops(t *testing.T) {
	n := 0
	_, err := catalog.Read(t.Context(), "csv", fixtures("events.csv"), catalog.Options{Now: now}, func(catalog.Row) error { n++; return io.ErrShortWrite })
	if n != 1 || err == nil {
		t.Errorf("emit was called %d times, err %v", n, err)
	}
	for _, format := range []string{"nonsense", "csv"} {
		if _, err := catalog.Read(t.Context(), format, nil, catalog.Options{}, nil); err == nil {
			t.Errorf("%s without files is no error", format)
		}
	}
}
