package bleve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"guichet/cell/search"
)

// formatVersion names what the fields hold. An index of another version is
// dropped and filled again from the catalogue.
const formatVersion = 4

var markKey = []byte("guichet.mark")

// storedMark is the mark as it lies in the index.
type storedMark struct {
	Source string `json:"source"`
	Seq    int64  `json:"seq"`
}

// generation is one bleve index in a directory of its own. Searches hold it, so
// that it is closed only after the last one when another takes its place.
type generation struct {
	bleve.Index
	dir     string
	holders sync.WaitGroup
	writing chan struct{} // one batch at a time
}

// openOptions bound the wait for bolt's file lock and keep one snapshot on disk.
// Batches are on disk when Batch answers: there is no unsafe_batch.
func openOptions() map[string]any {
	return map[string]any{
		"bolt_timeout":       "2s",
		"numSnapshotsToKeep": 1,
	}
}

func newGeneration(dir string) (*generation, error) {
	m := bleve.NewIndexMapping()
	m.StoreDynamic, m.IndexDynamic, m.DocValuesDynamic = false, false, false
	idx, err := bleve.NewUsing(dir, m, scorch.Name, scorch.Name, openOptions())
	if err != nil {
		return nil, fmt.Errorf("create index: %w", err)
	}
	// Bleve opens an index of which it can read nothing as an empty one: the mark,
	// there from the first moment, tells the two apart.
	if err := idx.SetInternal(markKey, []byte(`{}`)); err != nil {
		_ = idx.Close()
		return nil, fmt.Errorf("create index: %w", err)
	}
	return &generation{Index: idx, dir: dir, writing: make(chan struct{}, 1)}, nil
}

// errDamaged is an index that must be thrown away.
var errDamaged = errors.New("the index on disk is damaged")

// openGeneration opens and checks what is on disk. Damage may show as an error,
// as a panic of the segment reader or as a fault in mapped memory.
func openGeneration(dir string) (g *generation, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			g, err = nil, fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	idx, err := bleve.OpenUsing(dir, map[string]any{"bolt_timeout": "2s"})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	g = &generation{Index: idx, dir: dir, writing: make(chan struct{}, 1)}
	if err := g.check(); err != nil {
		_ = idx.Close()
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return g, nil
}

// check reads every segment and compares its checksum, which bleve writes and
// never reads; an index of 100,000 events takes a fraction of a second.
func (g *generation) check() error {
	adv, err := g.Advanced()
	if err != nil {
		return err
	}
	r, err := adv.Reader()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	snap, ok := r.(*scorch.IndexSnapshot)
	if !ok {
		return fmt.Errorf("unexpected reader %T", r)
	}
	for _, s := range snap.Segments() {
		if p, ok := s.Segment().(segment.PersistedSegment); ok {
			if err := checkSegment(p.Path()); err != nil {
				return err
			}
		}
	}
	if _, err := g.mark(); err != nil {
		return err
	}
	_, err = g.DocCount()
	return err
}

// checkSegment: the last four bytes are the CRC-32 of all before them.
func checkSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < 8 {
		return fmt.Errorf("segment of %d bytes", st.Size())
	}
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(sum, f, st.Size()-4); err != nil {
		return err
	}
	var tail [4]byte
	if _, err := io.ReadFull(f, tail[:]); err != nil {
		return err
	}
	want := uint32(tail[0])<<24 | uint32(tail[1])<<16 | uint32(tail[2])<<8 | uint32(tail[3])
	if sum.Sum32() != want {
		return fmt.Errorf("segment's checksum is %08x, not %08x", sum.Sum32(), want)
	}
	return nil
}

func (g *generation) mark() (search.Mark, error) {
	b, err := g.GetInternal(markKey)
	if err != nil {
		return search.Mark{}, fmt.Errorf("read mark: %w", err)
	}
	if b == nil {
		return search.Mark{}, errors.New("the index has lost its mark")
	}
	var m storedMark
	if err := json.Unmarshal(b, &m); err != nil {
		return search.Mark{}, fmt.Errorf("read mark: %w", err)
	}
	return search.Mark(m), nil
}

// apply is one bleve batch, so that documents and mark are on disk together.
// Bleve cannot be told to stop waiting for its disk: when ctx ends first, the
// batch goes on alone, its slot stays taken, and the caller tries again later.
func (g *generation) apply(ctx context.Context, docs []search.Document, mark search.Mark) error {
	if len(docs) > search.MaxBatch {
		return fmt.Errorf("a batch of %d documents is over the limit of %d", len(docs), search.MaxBatch)
	}
	select {
	case g.writing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	batch := g.NewBatch()
	if err := fill(batch, docs, mark); err != nil {
		<-g.writing
		return err
	}
	g.holders.Add(1)
	done := make(chan error, 1)
	go func() {
		defer g.holders.Done()
		defer func() { <-g.writing }()
		done <- g.Batch(batch)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("write batch: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write batch: %w", ctx.Err())
	}
}

func fill(batch *bleve.Batch, docs []search.Document, mark search.Mark) error {
	for i := range docs {
		if !docs[i].Published {
			batch.Delete(docs[i].ID())
			continue
		}
		doc, err := convert(&docs[i])
		if err != nil {
			return err
		}
		if err := batch.IndexAdvanced(doc); err != nil {
			return fmt.Errorf("add %s: %w", docs[i].ID(), err)
		}
	}
	b, err := json.Marshal(storedMark(mark))
	if err != nil {
		return err
	}
	batch.SetInternal(markKey, b)
	return nil
}
