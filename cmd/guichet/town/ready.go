package town

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	readyPatience = 60 * time.Second
	readyEvery    = 50 * time.Millisecond
	reasonLimit   = 300 // bytes of an answer shown as the reason
)

var probeClient = &http.Client{
	Timeout:   2 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true, MaxConnsPerHost: 4},
}

// probe asks a part's /readyz; the reason says why not.
func probe(ctx context.Context, url string) (reason string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := probeClient.Do(req)
	if err != nil {
		return "does not answer yet"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, reasonLimit))
	if err != nil {
		return "does not finish its answer"
	}
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	return resp.Status + " " + strings.Join(strings.Fields(string(body)), " ")
}

// awaitReady waits until the part says it is ready; it gives up early when the
// part dies.
func (p *part) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	reason := "was not asked"
	for {
		answer := probe(ctx, p.asked())
		if answer == "" {
			return nil
		}
		if ctx.Err() == nil { // a probe that our own deadline cut short says nothing
			reason = answer
		}
		if p.pid() == 0 {
			return fmt.Errorf("%s is not ready: it died", p.name)
		}
		if pause(ctx, readyEvery) != nil {
			return fmt.Errorf("%s is not ready: %s", p.name, reason)
		}
	}
}

// awaitAllReady waits for all programs at once, tells of each as it comes, and
// says of every one that does not come why.
func (t *Town) awaitAllReady(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var waiting sync.WaitGroup
	faults := make([]error, len(t.parts))
	began := now()
	for i, p := range t.parts {
		if p.url == "" {
			continue
		}
		waiting.Go(func() {
			if faults[i] = p.awaitReady(ctx); faults[i] != nil {
				if p.pid() == 0 {
					cancel() // no use in waiting for the others
				}
				return
			}
			t.out.sayf("%s is ready (%.1f s)", p.name, now().Sub(began).Seconds())
		})
	}
	waiting.Wait()
	return errors.Join(faults...)
}
