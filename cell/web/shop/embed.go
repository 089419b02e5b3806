package shop

import (
	"encoding/json"
	"net/http"
	"strings"
)

// An event's shop in a frame on another site's page. The frame shows what can be chosen;
// whatever is clicked in it opens a tab of its own. So nothing in a frame is decided with
// the browser's cookies, which it would not send there, and a page that lays something
// over the frame wins nothing but a tab in which the reader sees where they are.

// embedView is the page in the frame.
type embedView struct {
	eventView
	origins []string // on whose pages it may be shown
}

// embed is that page. It is served at the event's home, which knows the organizer's origins.
func (v *visit) embed() (answer, error) {
	id := v.r.PathValue("event")
	allowed, _, err := v.api("").EventEmbedding(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	e, _, err := v.api("").Event(v.ctx(), id)
	if err != nil {
		return answer{}, err
	}
	view := embedView{v.eventView(e), allowed.Origins}
	m := &view.meta
	m.framed, m.noindex, m.jsonld, m.scripts = true, true, "", []string{"embed.js"}
	return answer{page: embedPage(view), fresh: freshEvent, frames: allowed.Origins}, nil
}

// framedBy is a policy with which the pages of some origins may show the page in a frame.
// The origins are ones that account.ParseOrigins took.
func framedBy(policy string, origins []string) string {
	return strings.Replace(policy, "frame-ancestors 'none'", "frame-ancestors "+strings.Join(origins, " "), 1)
}

// widget is the script with which other sites show an event, with the words of its link in
// all languages.
var widget = mustMakeWidget()

func mustMakeWidget() *asset {
	words := map[string]string{}
	for _, t := range ordered {
		words[t.Code] = t.T("tickets")
	}
	text, err := json.Marshal(words)
	if err != nil {
		panic("shop: " + err.Error()) // texts can be written
	}
	source := string(assets["widget.js"].plain)
	if !strings.Contains(source, `{"WORDS":""}`) {
		panic("shop: widget.js has no place for words")
	}
	body := []byte(strings.Replace(source, `{"WORDS":""}`, string(text), 1))
	return &asset{name: "widget.js", media: mediaTypes[".js"], plain: body, br: squeeze(body, "br", best), gz: squeeze(body, "gzip", best), immutableTag: etagOf(body)}
}

// serveWidget serves it under a name that does not change, so it is kept for an hour alone.
func serveWidget(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=3600, stale-if-error=86400")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
	widget.serve(w, r)
}
