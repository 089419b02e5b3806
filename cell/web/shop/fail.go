package shop

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"guichet/cell/client"
	"guichet/internal/httpd"
)

// shopError is a refusal of the shop itself.
type shopError struct {
	status int
	code   string
}

func (e *shopError) Error() string { return e.code }

// What the shop refuses by itself.
var (
	errNoPage      = &shopError{http.StatusNotFound, "no_page"}
	errForeignForm = &shopError{http.StatusForbidden, "cross_origin_form"}
	errBadForm     = &shopError{http.StatusBadRequest, "bad_form"}
	errNoToken     = &shopError{http.StatusUnauthorized, "no_token"}
)

func ownError(err error) *shopError {
	e, _ := errors.AsType[*shopError](err)
	return e
}

// failure is what the page of a refusal shows.
type failure struct {
	status int
	kind   string // of the words: error_<kind>_title and error_<kind>_text
	code   string
	again  time.Duration // 0: nobody said when
	id     string        // of the request
}

// failureOf sorts a refusal.
func failureOf(err error) failure {
	f := failure{status: http.StatusInternalServerError, kind: "internal", code: "internal"}
	if e := ownError(err); e != nil {
		f.status, f.code = e.status, e.code
	}
	if e, ok := errors.AsType[*client.ProblemError](err); ok {
		f.status, f.code, f.again = e.Status, e.Code, e.RetryAfter
	}
	switch {
	case f.code == "invalid_id", f.status == http.StatusNotFound:
		f.status, f.kind = http.StatusNotFound, "missing"
	case f.status == http.StatusUnauthorized, f.code == "link_invalid", f.code == "link_expired":
		f.kind = "locked"
	case f.status == http.StatusForbidden:
		f.kind = "forbidden"
	case f.status == http.StatusGone:
		f.kind = "gone"
	case f.status == http.StatusTooManyRequests:
		f.kind = "busy"
	case f.status == http.StatusServiceUnavailable, f.status == http.StatusBadGateway, f.status == http.StatusGatewayTimeout:
		f.kind = "away"
	case f.status == http.StatusConflict:
		f.kind = "conflict"
	case f.status >= 400 && f.status < 500:
		f.kind = "invalid"
	}
	return f
}

// fail shows a refusal as a page.
func (v *visit) fail(err error) {
	f := failureOf(err)
	if f.status == http.StatusMisdirectedRequest && v.moved != nil {
		// The router reads this and asks the home; a browser does not see it.
		h := v.w.Header()
		h.Set("Content-Type", "application/problem+json")
		h.Set("Cache-Control", "no-store")
		v.w.WriteHeader(f.status)
		_, _ = v.w.Write(v.moved) //nolint:gosec // G705: JSON of the cell's own call, and nosniff
		return
	}
	f.id = v.w.Header().Get(httpd.HeaderRequestID)
	if f.kind == "internal" {
		slog.ErrorContext(v.r.Context(), "page failed", slog.String("request_id", f.id), slog.String("path", v.r.URL.Path), slog.Any("error", err))
	}
	if f.again > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.again.Seconds()))))
	}
	v.w.Header().Del("Content-Encoding")
	m := v.meta(v.l.T("error_" + f.kind + "_title"))
	m.private = true
	page := answer{page: failPage(m, f), status: f.status}
	v.send(page)
}

// problemOf is the refusal of a call, nil when there is none.
func problemOf(err error) *client.ProblemError {
	p, _ := errors.AsType[*client.ProblemError](err)
	return p
}
