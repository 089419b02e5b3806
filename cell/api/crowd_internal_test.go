package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
)

func TestCrowd_refusesBeyondItsLimitAndLetsHealthThrough(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.ReleaseMode)
	const limit = 3
	e := gin.New()
	e.Use(crowd(limit, prometheus.NewRegistry()))
	inside, open := make(chan struct{}), make(chan struct{})
	e.GET("/v1/slow", func(c *gin.Context) {
		inside <- struct{}{}
		<-open
		c.Status(http.StatusNoContent)
	})
	e.GET("/livez", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	done := make(chan int, limit)
	for range limit {
		go func() { done <- ask("/v1/slow").Code }()
		<-inside
	}
	for range 3 { // and refusals are not counted as being inside
		if w := ask("/v1/slow"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"busy"`) {
			t.Fatalf("one too many gets %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	if w := ask("/livez"); w.Code >= 300 {
		t.Errorf("health gets %d", w.Code)
	}
	close(open)
	for range limit {
		if code := <-done; code >= 300 {
			t.Errorf("one of those inside got %d", code)
		}
	}
	go func() { <-inside }()
	if w := ask("/v1/slow"); w.Code >= 300 {
		t.Errorf("when all have left, the next gets %d", w.Code)
	}
}
