package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ProblemError is a refusal: the problem document of an answer that is not 2xx,
// or what its status says when the body is none.
type ProblemError struct {
	Status     int
	Code       string // stable; "http_<status>" when the answer has none
	Detail     string
	RetryAfter time.Duration // zero means unsaid
	Problem    Problem       // the whole document
	Meta       Meta

	call string
}

func (e *ProblemError) Error() string {
	text := fmt.Sprintf("%s: %d %s", e.call, e.Status, e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	var fields strings.Builder
	for _, f := range e.Problem.Errors {
		fmt.Fprintf(&fields, " (%s: %s)", f.Pointer, f.Detail)
	}
	return text + fields.String()
}

// CodeOf is the stable code of the refusal in err's chain, "" if there is none.
func CodeOf(err error) string {
	if p, ok := errors.AsType[*ProblemError](err); ok {
		return p.Code
	}
	return ""
}

// maxDetail bounds how much of a foreign body gets into an error's text.
const maxDetail = 300

func problemOf(k call, resp *http.Response, data []byte, meta Meta) *ProblemError {
	e := &ProblemError{Status: resp.StatusCode, Meta: meta, call: k.method + " " + k.path}
	if json.Unmarshal(data, &e.Problem) != nil {
		e.Problem = Problem{Detail: string(data[:min(len(data), maxDetail)])}
	}
	e.Code, e.Detail = e.Problem.Code, e.Problem.Detail
	if e.Code == "" {
		e.Code = "http_" + strconv.Itoa(resp.StatusCode)
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	if e.RetryAfter == 0 && e.Problem.RetryAfter > 0 {
		e.RetryAfter = time.Duration(e.Problem.RetryAfter) * time.Second
	}
	return e
}

// retryAfter reads the delay form of RFC 9110 §10.2.3; our servers never send
// the date form, and a foreign clock is not worth trusting.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 24*3600 {
		return 0
	}
	return time.Duration(n) * time.Second
}
