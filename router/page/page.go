// Package page is what the router itself shows to browsers: that something cannot be had
// at the moment, with when to come back, and how the town's cells are. Everything else is
// a cell's page. It needs no cell, so that it can be shown when none answers, and it
// decides nothing.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"math"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"guichet/internal/httpd"
	"guichet/internal/kind"
)

//go:embed lang/*.json page.html page.css
var files embed.FS

// words are one language's.
type words struct {
	Code  string            `json:"-"`
	Texts map[string]string `json:"texts"`
}

// T is the text under a key; a test holds all languages to the same keys.
func (w words) T(key string) string { return w.Texts[key] }

// known are the languages, English first: it is for all others.
var known, matcher = mustLoad()

func mustLoad() (list []words, m language.Matcher) {
	entries, err := files.ReadDir("lang")
	if err != nil {
		panic("page: " + err.Error()) // the files are compiled in
	}
	var tags []language.Tag
	add := func(name string) {
		raw, err := files.ReadFile(path.Join("lang", name))
		if err != nil {
			panic("page: " + err.Error())
		}
		w := words{Code: strings.TrimSuffix(name, ".json")}
		if err := json.Unmarshal(raw, &w); err != nil {
			panic("page: " + name + ": " + err.Error())
		}
		list, tags = append(list, w), append(tags, language.MustParse(w.Code))
	}
	add("en.json")
	for _, e := range entries {
		if e.Name() != "en.json" {
			add(e.Name())
		}
	}
	return list, language.NewMatcher(tags)
}

// langCookie is the cookie in which the shop keeps the language that was chosen.
const langCookie = "guichet_lang"

// languageOf is the reader's: the one in the address, the one chosen before, the browser's.
func languageOf(r *http.Request) words {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	chosen := ""
	if c, err := r.Cookie(langCookie); err == nil {
		chosen = c.Value
	}
	for _, code := range []string{first, chosen} {
		for _, w := range known {
			if w.Code == code {
				return w
			}
		}
	}
	const most = 256
	header := r.Header.Get("Accept-Language")
	tags, _, err := language.ParseAcceptLanguage(header[:min(len(header), most)])
	if err != nil || len(tags) == 0 {
		return known[0]
	}
	if _, i, confidence := matcher.Match(tags...); confidence != language.No {
		return known[i]
	}
	return known[0]
}

// Wanted says whether a browser asks for a page, and not a program for a call.
func Wanted(r *http.Request) bool {
	return !strings.HasPrefix(r.URL.Path, "/v1/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

var tmpl = template.Must(template.ParseFS(files, "page.html"))

var style, policy = func() (template.CSS, string) {
	raw, err := files.ReadFile("page.css")
	if err != nil {
		panic("page: " + err.Error())
	}
	css := strings.TrimSpace(string(raw))
	sum := sha256.Sum256([]byte(css))
	return template.CSS(css), "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" //nolint:gosec // our own file
}()

// view is what the template shows.
type view struct {
	Words   words
	Style   template.CSS
	Title   string
	Text    string
	Status  int
	Code    string
	ID      string
	Again   int // seconds, 0 for nobody knows
	Refresh bool
	Cells   []Cell
}

// Refuse shows a refusal of the router as a page.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := kind.As(err)
	if e == nil || e.Kind == kind.Internal {
		httpd.Problem(w, r, err) // it is logged there
		return
	}
	status := e.Kind.Status()
	name := "refused"
	switch status {
	case http.StatusNotFound:
		name = "missing"
	case http.StatusTooManyRequests:
		name = "busy"
	case http.StatusServiceUnavailable:
		name = "away"
	}
	if e.Code == "outcome_unknown" {
		name = "unknown"
	}
	l := languageOf(r)
	v := view{Words: l, Style: style, Title: l.T(name + "_title"), Text: l.T(name + "_text"), Status: status, Code: e.Code, ID: w.Header().Get(httpd.HeaderRequestID)}
	retry := e.Retry
	if retry == 0 && status != http.StatusNotFound && status >= http.StatusTooManyRequests {
		retry = time.Second
	}
	if retry > 0 {
		v.Again = int(math.Ceil(retry.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(v.Again))
		v.Refresh = r.Method == http.MethodGet && status == http.StatusServiceUnavailable
	}
	send(w, r, status, v)
}

// Cell is how a cell is.
type Cell struct {
	ID, Region, City, State string
	Up                      bool
	RTT                     time.Duration
}

// RTTText is the round trip in milliseconds, "–" when nobody knows.
func (c Cell) RTTText() string {
	if c.RTT <= 0 {
		return "–"
	}
	return strconv.FormatFloat(float64(c.RTT.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// Status shows how the town's cells are.
func Status(w http.ResponseWriter, r *http.Request, cells []Cell) {
	l := languageOf(r)
	v := view{Words: l, Style: style, Title: l.T("status_title"), Text: l.T("status_all"), Cells: cells}
	for _, c := range cells {
		if !c.Up {
			v.Text = l.T("status_some")
		}
	}
	if len(cells) == 0 {
		v.Text = l.T("status_none")
	}
	send(w, r, http.StatusOK, v)
}

func send(w http.ResponseWriter, r *http.Request, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept, Accept-Language, Cookie")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = tmpl.Execute(w, v) // the reader may be gone
	}
}
