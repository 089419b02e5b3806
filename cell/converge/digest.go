// Package converge keeps this cell's copy of the town's catalogue equal to what each
// event's home says, whatever was lost on the way: on a fixed period it compares, for
// each other cell and for itself, a digest for every bucket of events, and fetches what
// differs. The bus is the usual way of a document and far quicker; this is for a cell
// that is new, was restored, or was away for longer than the streams keep. It decides
// nothing and changes no event: the home is right about what is at home there, and is
// believed about nothing else.
package converge

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"strconv"
	"strings"

	"guichet/control-plane/topology"
)

// bucketChars is how many characters of an event's own part of its id name its bucket,
// so that a bucket is a range of ids: 1,024 buckets for each cell of birth.
const bucketChars = 2

// Entry is a published event and the version of its document.
type Entry struct {
	Event   string `json:"event"`
	Version int64  `json:"version"`
}

// BucketOf is the bucket of an event's id: its first characters, "evt_euw3_k3". It is
// "" for what is no event's id.
func BucketOf(event string) string {
	ref, ok := topology.ParseRef(event)
	if !ok || ref.Kind != "evt" || ref.Own != "" {
		return ""
	}
	return event[:len(event)-topology.EventRandLen+bucketChars]
}

// Bounds are the smallest and the largest id that an event of the bucket may have; the
// bucket of no event has none. They hold in every collation that puts digits before
// letters: ids of a bucket are equally long.
func Bounds(bucket string) (low, high string, ok bool) {
	fill := topology.EventRandLen - bucketChars
	low, high = bucket+strings.Repeat("0", fill), bucket+strings.Repeat("z", fill)
	return low, high, BucketOf(low) == bucket && bucket != ""
}

// Sum is what is known of a bucket without listing it.
type Sum struct {
	Events int64
	Hash   uint64 // the sum of all entries' hashes: their order does not matter
}

// Digest is a catalogue's sums by bucket.
type Digest map[string]Sum

// Add takes in an entry. What is no event's id changes nothing.
func (d Digest) Add(e Entry) {
	bucket := BucketOf(e.Event)
	if bucket == "" {
		return
	}
	h := sha256.Sum256([]byte(e.Event + " " + strconv.FormatInt(e.Version, 10)))
	s := d[bucket]
	d[bucket] = Sum{Events: s.Events + 1, Hash: s.Hash + binary.BigEndian.Uint64(h[:8])}
}

// Differ lists the buckets in which the digests differ, in no order.
func (d Digest) Differ(other Digest) []string {
	var out []string
	for bucket, sum := range d {
		if other[bucket] != sum {
			out = append(out, bucket)
		}
	}
	for bucket := range maps.Keys(other) {
		if _, there := d[bucket]; !there {
			out = append(out, bucket)
		}
	}
	return out
}
