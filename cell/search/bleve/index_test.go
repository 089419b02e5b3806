package bleve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"guichet/cell/search"
)

func reopen(t *testing.T, dir string) *Index {
	t.Helper()
	x, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func closeIndex(t *testing.T, x *Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_findsEverythingAgainAfterAClose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := reopen(t, dir)
	put(t, x, smallDocs(), 0)
	closeIndex(t, x)
	closeIndex(t, x) // twice is harmless
	if err := x.Apply(t.Context(), nil, search.Mark{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Apply after Close: %v", err)
	}
	x = reopen(t, dir)
	defer closeIndex(t, x)
	mark, err := x.Mark()
	if want := (search.Mark{Source: "test", Seq: int64(len(small))}); err != nil || mark != want || x.Recovered() != "" {
		t.Errorf("mark %+v, %v, recovered %q; want %+v", mark, err, x.Recovered(), want)
	}
	if res := mustSearch(t, x, search.Query{Text: "carmen"}); res.Total != 1 {
		t.Errorf("found %s", names(res))
	}
}

func TestOpen_refusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := reopen(t, dir)
	put(t, x, smallDocs(), 0)
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process got %v", err)
	}
	closeIndex(t, x)
	x = reopen(t, dir)
	defer closeIndex(t, x)
	if n, err := x.Count(); err != nil || n != uint64(len(small)) {
		t.Errorf("%d documents after the quarrel, %v", n, err)
	}
}

func TestOpen_startsAnewWhenTheIndexIsDamaged(t *testing.T) {
	t.Parallel()
	damages := map[string]func(t *testing.T, dir string){
		"flipped bit": func(t *testing.T, dir string) {
			eachFile(t, dir, ".zap", func(b []byte) []byte { b[len(b)/2] ^= 4; return b })
		},
		"short segment": func(t *testing.T, dir string) {
			eachFile(t, dir, ".zap", func(b []byte) []byte { return b[:len(b)/3] })
		},
		"empty segment": func(t *testing.T, dir string) { eachFile(t, dir, ".zap", func([]byte) []byte { return nil }) },
		"garbage in bolt": func(t *testing.T, dir string) {
			eachFile(t, dir, ".bolt", func(b []byte) []byte { return bytes.Repeat([]byte{0xA5}, len(b)) })
		},
		"short bolt": func(t *testing.T, dir string) { eachFile(t, dir, ".bolt", func(b []byte) []byte { return b[:100] }) },
		"no meta": func(t *testing.T, dir string) {
			eachFile(t, dir, "index_meta.json", func([]byte) []byte { return []byte("{") })
		},
		"current": func(t *testing.T, dir string) {
			eachFile(t, dir, currentFile, func([]byte) []byte { return []byte("../../etc") })
		},
		"other format": func(t *testing.T, dir string) {
			eachFile(t, dir, currentFile, func([]byte) []byte { return []byte("v999-1\n") })
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			x := reopen(t, dir)
			put(t, x, smallDocs(), 0)
			closeIndex(t, x)
			damage(t, dir)
			x = reopen(t, dir)
			defer closeIndex(t, x)
			if mark, err := x.Mark(); err != nil || mark != (search.Mark{}) {
				t.Fatalf("the mark is %+v, %v; an index that starts anew has none", mark, err)
			}
			// With unreadable segments bleve may step back to a snapshot before them.
			if x.Recovered() == "" && !strings.HasSuffix(name, "segment") {
				t.Error("nobody says that the index was damaged")
			}
			put(t, x, smallDocs(), 0)
			if res := mustSearch(t, x, search.Query{Text: "carmen"}); res.Total != 1 {
				t.Errorf("found %s", names(res))
			}
		})
	}
}

func eachFile(t *testing.T, dir, suffix string, change func([]byte) []byte) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		n++
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, change(b), 0o600)
	})
	if err != nil || n == 0 {
		t.Fatalf("changed %d files: %v", n, err)
	}
}

const crashEnv = "GUICHET_TEST_INDEX_WRITER"

// TestMain lets the crash test run this binary as the process that dies.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		writeUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// writeUntilKilled adds document after document (number n with mark n) and says
// each mark that was acknowledged.
func writeUntilKilled(dir string) {
	x, err := Open(dir)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(2)
	}
	mark, err := x.Mark()
	if err != nil {
		fmt.Println("error", err)
		os.Exit(2)
	}
	for n := int(mark.Seq) + 1; ; n++ {
		r := small[n%len(small)]
		if err := x.Apply(context.Background(), []search.Document{r.document(n)}, search.Mark{Source: "crash", Seq: int64(n)}); err != nil {
			fmt.Println("error", err)
			os.Exit(2)
		}
		fmt.Println(n)
	}
}

// TestApply_killedProcessLosesNothingAcknowledged kills a writer again and again:
// the mark never falls behind what was acknowledged, and the documents are
// exactly those up to the mark.
func TestApply_killedProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := 0
	for round := range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 5+7*round && lines.Scan(); n++ { // it dies in the middle of the next write
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("the writer said %q", lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // acknowledged before the signal came
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				last = n
			}
		}
		_ = cmd.Wait() // killed, as wanted
		x := reopen(t, dir)
		mark, err := x.Mark()
		if err != nil || mark.Seq < int64(last) || x.Recovered() != "" {
			t.Fatalf("mark %+v (%v) after %d was acknowledged; recovered %q", mark, err, last, x.Recovered())
		}
		if n, err := x.Count(); err != nil || int64(n) != mark.Seq {
			t.Fatalf("%d documents at mark %d, %v", n, mark.Seq, err)
		}
		closeIndex(t, x)
	}
	if last < 40 {
		t.Errorf("only %d documents were written", last)
	}
}

func TestRebuild_searchesGoOnAndTheNewIndexTakesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := reopen(t, dir)
	put(t, x, smallDocs(), 0)
	stop := make(chan struct{})
	var searching sync.WaitGroup
	for range 4 {
		searching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := x.Search(context.Background(), search.Query{Text: "carmen", Sort: search.ByRelevance, Limit: 5})
				if err != nil || res.Total != 1 {
					t.Errorf("during the rebuild: %d hits, %v", res.Total, err)
					return
				}
			}
		})
	}
	for range 3 {
		err := x.Rebuild(t.Context(), func(apply func(context.Context, []search.Document, search.Mark) error) error {
			return apply(t.Context(), smallDocs()[4:7], search.Mark{Source: "other", Seq: 3})
		})
		if err != nil {
			t.Error(err)
		}
	}
	close(stop)
	searching.Wait()
	failed := errors.New("the database is away")
	if err := x.Rebuild(t.Context(), func(func(context.Context, []search.Document, search.Mark) error) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a rebuild that fails answers %v", err)
	}
	closeIndex(t, x)
	x = reopen(t, dir)
	defer closeIndex(t, x)
	if mark, err := x.Mark(); err != nil || mark != (search.Mark{Source: "other", Seq: 3}) {
		t.Errorf("mark %+v, %v", mark, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if len(left) != 3 || !slices.Contains(left, currentFile) || !slices.Contains(left, lockFile) {
		t.Errorf("old generations were left: %v", left)
	}
}

func TestApply_refusesWhatIsOverTheLimitAndStopsAtTheDeadline(t *testing.T) {
	t.Parallel()
	x := openTest(t, nil)
	if err := x.Apply(t.Context(), make([]search.Document, search.MaxBatch+1), search.Mark{}); err == nil {
		t.Error("a batch over the limit was taken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Apply(ctx, smallDocs(), search.Mark{Source: "test", Seq: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the deadline: %v", err)
	}
	// The batch that was left alone may be there or not; the next one is in order.
	put(t, x, smallDocs(), 0)
	if mark, err := x.Mark(); err != nil || mark.Seq != int64(len(small)) {
		t.Errorf("mark %+v, %v", mark, err)
	}
}

func TestSearch_endsAtItsDeadline(t *testing.T) {
	t.Parallel()
	x := openTest(t, smallDocs())
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := x.Search(ctx, search.Query{Text: "tokyo", Limit: 5}); !errors.Is(err, ErrTooSlow) {
		t.Errorf("it answers %v", err)
	}
}
