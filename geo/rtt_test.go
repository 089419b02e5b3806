package geo

import (
	"encoding/csv"
	"flag"
	"fmt"
	"go/format"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write rtt_table.go from the measured matrix")

// sharedCSV reads a file of the project's shared data, which lies beside the
// repository; a clone by itself does not have it.
func sharedCSV(t *testing.T, name string) [][]string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", "SOURCES.md")); err == nil {
			break
		}
		if filepath.Dir(dir) == dir {
			t.Skip("SKIPPED: shared/data is not beside the repository, so the compiled-in table cannot be compared with its source")
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.Open(filepath.Join(dir, "shared", "data", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRTTTable_isTheMeasuredMatrix(t *testing.T) {
	rows := sharedCSV(t, "latency/aws_region_rtt_p50_matrix.csv")
	if *update {
		writeTable(t, rows)
	}
	if len(rows) != len(regions)+1 {
		t.Fatalf("%d rows for %d regions", len(rows)-1, len(regions))
	}
	for _, row := range rows[1:] {
		for j, cell := range row[1:] {
			want, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := RTT(row[0], rows[0][j+1])
			if !ok || math.Abs(got.Seconds()*1000-want) > 0.051 {
				t.Errorf("%s to %s: %v, %v, measured %s ms", row[0], rows[0][j+1], got, ok, cell)
			}
		}
	}
}

func TestRegionTable_isTheSource(t *testing.T) {
	for _, row := range sharedCSV(t, "latency/aws_regions_coords.csv")[1:] {
		r, ok := RegionByCode(row[0])
		lat, _ := strconv.ParseFloat(row[3], 64)
		lon, _ := strconv.ParseFloat(row[4], 64)
		if !ok || r.City != row[1] || r.Point != (Point{lat, lon}) {
			t.Errorf("%v is %+v here", row, r)
		}
	}
}

// TestKmPerMillisecond_isTheMedianOfTheTable keeps the constant honest with
// which a great circle becomes a round trip.
func TestKmPerMillisecond_isTheMedianOfTheTable(t *testing.T) {
	var speeds []float64
	wrong, pairs := 0, 0
	for i := range regions {
		for j := range regions {
			if i == j {
				continue
			}
			speeds = append(speeds, DistanceKM(regions[i].Point, regions[j].Point)/(rtt(i, j).Seconds()*1000))
			for k := range j {
				if k == i {
					continue
				}
				pairs++
				if (rtt(i, j) < rtt(i, k)) != (DistanceKM(regions[i].Point, regions[j].Point) < DistanceKM(regions[i].Point, regions[k].Point)) {
					wrong++
				}
			}
		}
	}
	slices.Sort(speeds)
	if median := speeds[len(speeds)/2]; math.Abs(median-kmPerMillisecond) > 1 {
		t.Errorf("the median is %.1f km/ms, the constant says %d", median, kmPerMillisecond)
	}
	t.Logf("the great circle chooses the farther of two regions in %.1f %% of %d choices", 100*float64(wrong)/float64(pairs), pairs)
	if wrong == 0 {
		t.Error("the great circle is never wrong: then the table is not needed")
	}
}

func writeTable(t *testing.T, rows [][]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(`// Code generated from aws_region_rtt_p50_matrix.csv by rtt_test.go -update. DO NOT EDIT.

package geo

// rtts holds the median round trip from a row's region to a column's, in tenths
// of a millisecond, both in the order of regions. Measured over a year to May
// 2025 by CloudPing.co (Matt Adorjan, MIT); snapshot by O. Austegard (Apache-2.0).
var rtts = [len(regions)][len(regions)]uint16{
`)
	for i, row := range rows[1:] {
		if row[0] != regions[i].Code || rows[0][i+1] != row[0] {
			t.Fatalf("row and column %d are %s and %s, the region is %s", i, row[0], rows[0][i+1], regions[i].Code)
		}
		b.WriteString("\t{")
		for j, cell := range row[1:] {
			ms, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				t.Fatal(err)
			}
			if j > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%.0f", ms*10)
		}
		fmt.Fprintf(&b, "}, // %s\n", row[0])
	}
	b.WriteString("}\n")
	src, err := format.Source([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("rtt_table.go", src, 0o600); err != nil {
		t.Fatal(err)
	}
}
