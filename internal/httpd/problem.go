package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/internal/kind"
)

// ErrTimeout means a request ran into its deadline.
var ErrTimeout = kind.Unavailable.New("timeout")

// defaultRetry is said with 429 and 503 when nothing better is known (P9).
const defaultRetry = time.Second

// Problem answers with the RFC 9457 document of err. Only an error with a kind
// speaks to the outside; anything else is "internal" there and whole in the log.
func Problem(w http.ResponseWriter, r *http.Request, err error) {
	e := kind.As(err)
	if e == nil || e.Kind == kind.Internal {
		e = unknown(w, r, err)
	}
	status := e.Kind.Status()
	doc := make(map[string]any, len(e.Fields)+8)
	maps.Copy(doc, e.Fields)
	doc["type"] = "urn:guichet:problem:" + e.Code
	doc["title"] = http.StatusText(status)
	doc["status"] = status
	doc["code"] = e.Code
	switch {
	case e.Detail != "":
		doc["detail"] = e.Detail
	case e.Kind == kind.NotFound: // it always says what was not found
		doc["detail"] = notFound(e.Code)
	}
	if rid := w.Header().Get(HeaderRequestID); rid != "" {
		doc["instance"] = "urn:guichet:request:" + rid
	}
	retry := e.Retry
	if retry == 0 && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		retry = defaultRetry
	}
	if retry > 0 {
		seconds := int(math.Ceil(retry.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		doc["retry_after"] = seconds
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	body, merr := json.Marshal(doc)
	if merr != nil {
		slog.ErrorContext(r.Context(), "problem cannot be written", slog.String("code", e.Code), slog.Any("error", merr))
		body = []byte(`{"type":"urn:guichet:problem:internal","title":"Internal Server Error","status":500,"code":"internal"}`)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// notFound is the detail of a 404 that nobody gave one: of event_not_found, that there is
// no such event.
func notFound(code string) string {
	what, named := strings.CutSuffix(code, "_not_found")
	if !named || what == "" {
		return "there is nothing here"
	}
	return "there is no such " + strings.ReplaceAll(what, "_", " ") + " here"
}

// unknown is what to say about an error that has no kind.
func unknown(w http.ResponseWriter, r *http.Request, err error) *kind.Error {
	said := errInternal
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		return ErrTimeout // the client hung up: nobody reads this, and nothing is broken
	case errors.Is(err, context.DeadlineExceeded):
		said = ErrTimeout.With("the answer did not come in time")
	}
	slog.ErrorContext(r.Context(), "request failed", slog.String("request_id", w.Header().Get(HeaderRequestID)),
		slog.String("path", r.URL.Path), slog.Any("error", err))
	return said
}

var errInternal = kind.Internal.New("internal").With("something broke on our side; the request id finds it in our log")

// Fail ends a gin request with the problem document of err.
func Fail(c *gin.Context, err error) {
	Problem(c.Writer, c.Request, err)
	c.Abort()
}
