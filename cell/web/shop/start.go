package shop

import (
	"time"

	"guichet/cell/client"
)

// freshStart is how long a list of events may be shown as it is.
const freshStart = 60 * time.Second

// startView is what the start page shows.
type startView struct {
	meta       meta
	soon       []client.Listing
	categories []client.Facet
	cities     []client.Facet
	total      int
	warming    bool // the index is not there yet
}

func (v *visit) start() (answer, error) {
	s := startView{meta: v.meta("")}
	s.meta.description, s.meta.bare = v.l.T("start_description"), true
	found, _, err := v.api("").Search(v.ctx(), client.Query{Sort: "date", Limit: 12, Facets: []string{"category", "city"}})
	if client.CodeOf(err) == "search_warming" {
		s.warming = true
		return answer{page: startPage(s), fresh: 5 * time.Second}, nil
	}
	if err != nil {
		return answer{}, err
	}
	s.soon, s.total = found.Items, found.Total
	s.categories, s.cities = first(found.Facets["category"], 12), first(found.Facets["city"], 12)
	return answer{page: startPage(s), fresh: freshStart}, nil
}

func first[T any](list []T, n int) []T { return list[:min(len(list), n)] }

// chooseLanguage remembers a language and goes to the page in it.
func (v *visit) chooseLanguage() (answer, error) {
	code := v.r.PathValue("code")
	if tongues[code] == nil {
		return answer{}, errNoPage
	}
	v.speak(code)
	next := v.query().Get("next")
	if next != "" {
		return answer{to: "/" + code + localPath(next)}, nil
	}
	// A page about a person has no language in its address: back to where the link was.
	return answer{to: v.back("/" + code + "/")}, nil
}

// back is the page of this site that led here, else another one.
func (v *visit) back(other string) string {
	u, err := v.p.site.Parse(v.r.Header.Get("Referer"))
	if err != nil || v.r.Header.Get("Referer") == "" || u.Host != v.r.Host && u.Host != v.p.site.Host && u.Host != v.r.Header.Get("X-Forwarded-Host") {
		return other
	}
	to := localPath(u.EscapedPath())
	if u.RawQuery != "" {
		to += "?" + u.RawQuery
	}
	return to
}

// localPath keeps a redirect on this site: what is not a plain path of it becomes "/".
func localPath(path string) string {
	if len(path) == 0 || len(path) > 2048 || path[0] != '/' || len(path) > 1 && (path[1] == '/' || path[1] == '\\') {
		return "/"
	}
	for _, c := range []byte(path) {
		if c <= ' ' || c == '\\' || c >= 0x7f {
			return "/"
		}
	}
	return path
}
