package shop_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"guichet/cell/client"
)

// foreignSite is another site: 127.0.0.1, where the shop is localhost.
type foreignSite struct {
	url  string
	page atomic.Pointer[string]
}

func openSite(t *testing.T) *foreignSite {
	t.Helper()
	s := &foreignSite{}
	serving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if page := s.page.Load(); page != nil && r.URL.Path == "/" {
			_, _ = w.Write([]byte(*page))
			return
		}
		_, _ = w.Write([]byte(`<!doctype html><title>stranger</title><script>parent.postMessage({guichet: "height", event: location.hash.slice(1), height: 7777}, "*")</script>`))
	}))
	t.Cleanup(serving.Close)
	s.url = serving.URL
	return s
}

// shows puts an event's widget on the site, and a strange frame beside it.
func (s *foreignSite) shows(h *house, e client.Event) {
	page := `<!doctype html><html lang="fr"><title>Une salle</title><body><h1>Une salle</h1><script src="` + h.url + `/widget.js" data-event="` + e.ID + `"></script>` +
		`<iframe id="stranger" src="/stranger#` + e.ID + `"></iframe></body></html>`
	s.page.Store(&page)
}

func (h *house) allow(t testing.TB, origins ...string) {
	t.Helper()
	h.call(t, "PUT", "/v1/organizers/"+h.org+"/embedding", object{"origins": append([]string{}, origins...)}, h.key)
}

// attach waits for a frame or tab of the browser whose address has a text in it.
func (b *tab) attach(t *testing.T, kind, address string) *tab {
	t.Helper()
	at := cdp.WithExecutor(b, chromedp.FromContext(chromium).Browser)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks, not instead of one
		list, err := target.GetTargets().Do(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if i.Type == kind && strings.Contains(i.URL, address) && strings.HasPrefix(i.URL, b.h.url) {
				ctx, cancel := chromedp.NewContext(b, chromedp.WithTargetID(i.TargetID))
				t.Cleanup(cancel)
				return &tab{ctx, b.h, b.faults}
			}
		}
	}
	t.Fatalf("there is no %s at %s", kind, address)
	return nil
}

// does runs a script as if somebody had clicked, so that it may open tabs.
func (b *tab) does(t *testing.T, script string) {
	t.Helper()
	b.run(t, chromedp.Evaluate(script, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithUserGesture(true) }))
}

// The widget shows the shop of an event on an allowed page of another site, as high as it
// is; what is chosen there is held in a tab of its own, and bought there.
func TestWidget_sellsFromAPageOfAnotherSite(t *testing.T) {
	t.Parallel()
	h, site := open(t), openSite(t)
	e := h.stage(t, nil)
	h.allow(t, "https://www.example.org", site.url)
	site.shows(h, e)
	b := h.browse(t)
	b.window(t, 1280, "light")
	b.visit(t, site.url)
	b.becomes(t, `(function (f) { return f && f.style.visibility === "visible" && f.offsetHeight > 300 && f.offsetHeight < 3000 ? "shown" : "not yet"; })(document.querySelector(".guichet iframe"))`, "shown")
	b.becomes(t, `document.querySelector(".guichet a").style.display`, "none")
	b.becomes(t, `String(document.querySelector(".guichet iframe").offsetHeight !== 7777)`, "true")
	b.shot(t, "widget")

	in := b.attach(t, "iframe", "/fr/events/"+e.ID+"/embed")
	in.says(t, e.Name, "Catégorie 1")
	in.becomes(t, `String(document.documentElement.scrollHeight <= innerHeight)`, "true") // nothing is cut off
	in.does(t, `document.querySelector("[name='q-`+e.TicketTypes[2].ID+`']").value = "1"; document.querySelector("button[value=hold]").click()`)
	buying := b.attach(t, "page", "/holds/")
	buying.run(t, chromedp.WaitVisible("[data-countdown]"))
	buying.order(t)
	buying.says(t, "ada@example.org")
	buying.run(t, chromedp.WaitVisible(".qr img"))
	in.says(t, e.Name) // the frame stayed where it was
}

// On a page that its organizer has not allowed there is a link, and no frame.
func TestWidget_isALinkWhereItIsNotAllowed(t *testing.T) {
	t.Parallel()
	h, site := open(t), openSite(t)
	e := h.stage(t, nil)
	h.allow(t, "https://www.example.org")
	site.shows(h, e)
	b := h.browse(t)
	b.visit(t, site.url)
	b.becomes(t, `document.querySelector(".guichet iframe") ? "frame" : document.querySelector(".guichet a").offsetWidth > 0 ? document.querySelector(".guichet a").href : "nothing"`, h.url+"/fr/events/"+e.ID)
}

// What strangers send changes nothing: a frame of the site itself, a message with the right
// words, another event, no number.
func TestWidget_heedsNoStranger(t *testing.T) {
	t.Parallel()
	h, site := open(t), openSite(t)
	e := h.stage(t, nil)
	h.allow(t, site.url)
	site.shows(h, e)
	b := h.browse(t)
	b.visit(t, site.url)
	b.becomes(t, `document.querySelector(".guichet iframe").style.visibility`, "visible")
	var before, after string
	b.run(t, chromedp.Evaluate(`document.querySelector(".guichet iframe").style.height`, &before))
	b.does(t, `window.postMessage({guichet: "height", event: "`+e.ID+`", height: 7777}, "*"); document.getElementById("stranger").contentWindow.location.reload()`)
	b.becomes(t, `window.done = window.done || "waiting"; addEventListener("message", function () { window.done = "heard"; }); window.done`, "heard")
	b.run(t, chromedp.Evaluate(`document.querySelector(".guichet iframe").style.height`, &after))
	if before == "" || before != after {
		t.Errorf("%q became %q", before, after)
	}
}

// The one page that other sites may show is the one made for it, and only by the origins of
// that event's organizer.
func TestEmbed_isTheOnlyPageThatMayBeFramed(t *testing.T) {
	t.Parallel()
	h := open(t)
	e := h.stage(t, nil)
	v := h.visitor(t)
	at := "/en/events/" + e.ID
	framed := func(path string) string {
		_, rest, _ := strings.Cut(v.get(t, path).header.Get("Content-Security-Policy"), "frame-ancestors ")
		return rest
	}
	if got := framed(at + "/embed"); got != "'none'" {
		t.Errorf("nobody was allowed: %s", got)
	}
	h.clock.Add(int64(time.Minute)) // past the copies
	h.allow(t, "https://www.example.org", "http://localhost:3000")
	if got := framed(at + "/embed"); got != "https://www.example.org http://localhost:3000" {
		t.Error(got)
	}
	held := v.send(t, v.get(t, at), "/hold", map[string][]string{"do": {"hold"}, "q-" + e.TicketTypes[2].ID: {"1"}}).says(t, 200)
	for _, path := range []string{"/en/", at, at + "?at=home", at + "/seats", held.at.Path, "/en/events/evt_euw3_zzzzzzzzzzzz/embed", "/en/find", "/open", at + "/embed/x"} {
		if got := framed(path); got != "'none'" {
			t.Errorf("%s may be framed by %q", path, got)
		}
	}
	other := read[client.Organizer](t, h.call(t, "POST", "/v1/organizers", map[string]any{"name": "Other"}, operatorToken))
	theirs := read[client.Event](t, h.call(t, "POST", "/v1/organizers/"+other.ID+"/events", concert(nil), other.APIKey))
	if got := framed("/en/events/" + theirs.ID + "/embed"); got != "'none'" {
		t.Errorf("another organizer's event may be framed by %q", got)
	}
	h.allow(t)
	h.clock.Add(int64(time.Minute))
	if got := framed(at + "/embed"); got != "'none'" {
		t.Errorf("a list that was taken away counts: %s", got)
	}
}

// The widget's script may be used by any site, says nothing of anybody and is small.
func TestWidget_isASmallScriptForAnySite(t *testing.T) {
	t.Parallel()
	h := open(t)
	p := h.visitor(t).do(t, "GET", "/widget.js", nil, "Accept", "*/*", "Accept-Encoding", "br").says(t, 200)
	if len(p.body) > 1500 || p.header.Get("Cross-Origin-Resource-Policy") != "cross-origin" || !strings.Contains(p.header.Get("Cache-Control"), "public") || p.header.Get("Set-Cookie") != "" {
		t.Errorf("%d bytes, %v", len(p.body), p.header)
	}
	if plain := h.visitor(t).do(t, "GET", "/widget.js", nil, "Accept", "*/*").says(t, 200, "Billets"); strings.Contains(plain.body, "WORDS") {
		t.Error(plain.body)
	}
}

// A visitor who sees every page loads no more than 15 kB of JavaScript.
func TestScripts_ofTheWholePathAreSmall(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("assets/*.js")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v %v", files, err)
	}
	total := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(text); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		total += packed.Len()
	}
	if total > 15_000 {
		t.Errorf("%d bytes", total)
	}
	t.Logf("%d bytes of JavaScript, compressed", total)
}
