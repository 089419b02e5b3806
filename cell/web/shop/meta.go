package shop

import (
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
)

// meta is what every page says about itself.
type meta struct {
	l           *tongue
	title       string
	description string
	path        string // of a public page without its language, with the query that tells it from others
	private     bool   // no language in the address, not indexed
	noindex     bool   // public, but not for search engines
	image       string // path of the Open Graph picture
	imageAlt    string
	kind        string   // Open Graph's type
	jsonld      string   // JSON-LD, made by encoding/json
	scripts     []string // assets besides shop.js
	outside     string   // a script of the payment provider, on its page alone
	wide        bool     // the page uses the whole width
	bare        bool     // without the search field in the header
	site        string
	q           string // what was searched for
	refresh     int    // seconds after which a browser without JavaScript asks again
	framed      bool   // shown in a foreign page: without header and footer
}

// meta is a page's, in the visit's language.
func (v *visit) meta(title string) meta {
	return meta{l: v.l, title: title, site: v.p.cfg.SiteURL, path: v.r.URL.Path, kind: "website"}
}

// fullTitle is the text of <title>.
func (m meta) fullTitle() string {
	if m.title == "" {
		return "Guichet – " + m.l.T("tagline")
	}
	return m.title + " – Guichet"
}

// host is the site's, for people.
func (m meta) host() string {
	u, err := url.Parse(m.site)
	if err != nil {
		return m.site
	}
	return u.Host
}

// href is an address in the page's language.
func (m meta) href(path string) templ.SafeURL { return m.l.href(path) }

func (t *tongue) href(path string) templ.SafeURL { return templ.SafeURL("/" + t.Code + path) }

// canonical is the page's own absolute address.
func (m meta) canonical(code string) string { return m.site + "/" + code + m.path }

// inLanguage is where the same page is in another language.
func (m meta) inLanguage(code string) templ.SafeURL {
	if m.private {
		return templ.SafeURL("/language/" + code)
	}
	return templ.SafeURL("/language/" + code + "?next=" + url.QueryEscape(m.path))
}

// stamp is a moment for <time datetime>.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// paragraphs are the parts of a text between empty lines.
func paragraphs(text string) (parts []string) {
	for part := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// cut is the beginning of a text, at most n characters, whole words.
func cut(text string, n int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) <= n {
		return string(runes)
	}
	short := string(runes[:n-1])
	if i := strings.LastIndexByte(short, ' '); i > n/2 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,.;:–") + "…"
}
