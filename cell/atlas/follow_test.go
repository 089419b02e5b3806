package atlas_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/control-plane/topology/seal/sealtest"
)

// control answers instead of a control plane, without a network, so that the
// clock can be synctest's.
type control func(r *http.Request) (*http.Response, error)

func (c control) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

func says(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// tells is the answer of a control plane with a map, in the form of the wire.
func tells(m *seal.Map) (*http.Response, error) {
	res, err := says(200, string(m.Text()))
	res.Header.Set(seal.Header, m.Signature())
	return res, err
}

func TestFollow_keepsWhatItHasThroughEveryFailure(t *testing.T) {
	a := open(t, t.TempDir())
	good, newer, lower := signedSnap(1, placed(3)), signedSnap(2, placed(3)), signedSnap(3, placed(1))
	answers := []struct {
		answer  control
		report  string // a part of what is reported, "" for nothing
		version int64  // afterwards
	}{
		{func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, "refused", 0},
		{func(*http.Request) (*http.Response, error) { return says(503, "{}") }, "answered 503", 0},
		{func(*http.Request) (*http.Response, error) { return tells(good) }, "", 1},
		{func(*http.Request) (*http.Response, error) { return says(200, string(good.Text()[:40])) }, "not signed", 1},
		{func(*http.Request) (*http.Response, error) { return says(200, `<html>`) }, "not signed", 1},
		{func(*http.Request) (*http.Response, error) { return tells(forged(t)) }, "no pinned key signed it", 1},
		{func(*http.Request) (*http.Response, error) {
			return tells(sealtest.Sign(&topology.Snapshot{Version: 7}))
		}, "empty the table", 1},
		{func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, "deadline exceeded", 1},
		{func(*http.Request) (*http.Response, error) { return tells(newer) }, "", 2},
		{func(*http.Request) (*http.Response, error) { return tells(lower) }, "lowers the epoch", 2},
		{func(*http.Request) (*http.Response, error) { return tells(good) }, "", 2}, // an old one is no news
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		asked, reports := 0, []string{}
		client := &http.Client{Transport: control(func(r *http.Request) (*http.Response, error) {
			if r.URL.String() != "http://control/v1/topology" || r.Method != http.MethodGet {
				t.Errorf("it asked %s %s", r.Method, r.URL)
			}
			mu.Lock()
			asked++
			answer := answers[asked-1].answer
			mu.Unlock()
			return answer(r)
		})}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Follow(ctx, client, "http://control", func(err error) {
				mu.Lock()
				defer mu.Unlock()
				reports = append(reports, err.Error())
			})
		}()
		time.Sleep(3 * time.Second) // of synctest's clock: past the call's own deadline
		for i, want := range answers {
			synctest.Wait()
			mu.Lock()
			n, said := asked, reports
			reports = nil
			mu.Unlock()
			if n != i+1 {
				t.Fatalf("it asked %d times, want %d: once per period", n, i+1)
			}
			var version int64
			if s := a.Current(); s != nil {
				version = s.Version
			}
			if version != want.version {
				t.Errorf("after answer %d the map has version %d, want %d", i, version, want.version)
			}
			if want.report == "" && len(said) != 0 || want.report != "" && (len(said) != 1 || !strings.Contains(said[0], want.report)) {
				t.Errorf("answer %d: reported %q, want %q", i, said, want.report)
			}
			if i < len(answers)-1 {
				time.Sleep(5 * time.Second)
			}
		}
		cancel()
		<-ended
		if len(reports) != 0 {
			t.Errorf("its own end was reported: %q", reports)
		}
	})
}

func TestFollow_readsARealServer(t *testing.T) {
	a := open(t, t.TempDir())
	m := signedSnap(4)
	served := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(seal.Header, m.Signature())
		_, _ = w.Write(m.Text())
		served <- struct{}{}
	}))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go a.Follow(ctx, s.Client(), s.URL, func(err error) { t.Error(err) })
	<-served
	for end := time.Now().Add(10 * time.Second); a.Current() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the map never came")
		}
	}
	if a.Current().Version != 4 {
		t.Errorf("got %+v", a.Current())
	}
}
