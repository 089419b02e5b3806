package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/router/health"
	"guichet/router/proxy"
	"guichet/router/route"
)

// BenchmarkProxy_addedLatency asks a cell directly and through the router, turn
// by turn in the same run, so that whatever else the machine does falls on both.
// The cell answers 4 KiB without thinking. It reports percentiles of both ways
// and of what the router adds to them, in microseconds.
func BenchmarkProxy_addedLatency(b *testing.B) {
	answer := make([]byte, 4<<10)
	cell := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}))
	defer cell.Close()
	town := fixed{route.NewMap(&topology.Snapshot{Version: 1, Cells: []topology.Cell{{ID: "euw3", Region: "eu-west-3", URLs: []string{cell.URL}, Weight: 100, State: topology.CellServing}}})}
	p := proxy.New(proxy.Config{Town: town, Vitals: health.New(health.Config{}), Locator: proxy.Locator{TrustNear: true}, Now: time.Now})
	router := httptest.NewServer(p)
	defer router.Close()
	for _, clients := range []int{1, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { addedLatency(b, cell.URL, router.URL, clients) })
	}
}

type fixed struct{ m *route.Map }

func (f fixed) Map() *route.Map { return f.m }

func addedLatency(b *testing.B, direct, routed string, clients int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	ask := func(base string) time.Duration {
		req, err := http.NewRequest(http.MethodGet, base+"/v1/events/"+evtEUW, nil)
		if err != nil {
			panic(err)
		}
		req.Header.Set(httpd.HeaderNear, inParis)
		start := time.Now()
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Errorf("answered %d", resp.StatusCode)
		}
		return time.Since(start)
	}
	ways := [2]string{direct, routed}
	for range 200 { // warm both ways
		ask(direct)
		ask(routed)
	}
	runtime.GC()
	b.ResetTimer()
	var took [2][]time.Duration
	var mu sync.Mutex
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			var mine [2][]time.Duration
			for left.Add(-1) >= 0 {
				for i, base := range ways {
					mine[i] = append(mine[i], ask(base))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range took {
				took[i] = append(took[i], mine[i]...)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	at := func(way int, percent float64) float64 {
		slices.Sort(took[way])
		return float64(took[way][int(percent/100*float64(len(took[way])-1))].Nanoseconds()) / 1000
	}
	for _, percent := range []float64{50, 99} {
		b.ReportMetric(at(0, percent), fmt.Sprintf("direct-p%.0f-µs", percent))
		b.ReportMetric(at(1, percent), fmt.Sprintf("routed-p%.0f-µs", percent))
		b.ReportMetric(at(1, percent)-at(0, percent), fmt.Sprintf("added-p%.0f-µs", percent))
	}
}
