package shop_test

import (
	"encoding/json"
	"html"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	xhtml "golang.org/x/net/html"

	"guichet/cell/search"
)

// strange are texts that have broken pages elsewhere.
var strange = []string{
	`<script>document.title="run"</script>`, `"><img src=x onerror=document.title="run">`, `'"--></style></script><svg onload=document.title="run">`, `</title><script>document.title="run"</script>`,
	`javascript:document.title="run"`, `</script><script>document.title="run"</script>`, `{{constructor.constructor('document.title="run"')()}}`, `${document.title="run"}`, `]]><script>document.title="run"</script>`,
	`<a href="javascript&colon;document.title='run'">x</a>`, "\u2028document.title='run'\u2029", `&lt;script&gt;`, `"onmouseover="document.title='run'`, `\"-document.title='run'-\"`, `%3Cscript%3E`, `{0} {1} {2}`, `<!--`, `Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤`, `الكل في المجمو عة`, `田中さんにあげて下さい`, `👩‍👩‍👧‍👦 🇯🇵`,
}

// whole holds a page to its own elements: no text of a stranger became one.
func whole(t *testing.T, p page) {
	t.Helper()
	doc, err := xhtml.Parse(strings.NewReader(p.body))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		if n.Type != xhtml.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || (a.Key == "href" || a.Key == "src" || a.Key == "action") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
				t.Errorf("%s: <%s %s=%q>", p.at, n.Data, a.Key, a.Val)
			}
		}
		switch n.Data {
		case "script":
			if n.FirstChild != nil {
				var doc object
				if n.Attr[0].Val != "application/ld+json" || json.Unmarshal([]byte(n.FirstChild.Data), &doc) != nil {
					t.Errorf("%s: a script that is not ours: %s", p.at, n.FirstChild.Data)
				}
			}
		case "style", "iframe", "object", "embed", "base":
			t.Errorf("%s: <%s>", p.at, n.Data)
		case "img":
			for _, a := range n.Attr {
				if a.Key == "src" && !strings.HasPrefix(a.Val, "/orders/") {
					t.Errorf("%s: a picture of %q", p.at, a.Val)
				}
			}
		}
	}
}

// Names, venues, ticket types, questions, buyers and attendees are shown as they are, and
// nothing of them runs.
func TestPages_showStrangeNamesAsText(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.browse(t)
	b.window(t, 1280, "light")
	taken := 0
	for i, text := range strange {
		body := concert(object{
			"name": "E" + text, "summary": text, "category": "c", "venue": object{"name": text, "address": text, "city": "P" + text, "country": "FR"},
			"quotas": []object{{"name": "q", "size": 10}}, "ticket_types": []object{{"name": "T" + text, "price": eur(0), "quotas": []string{"q"}}},
		})
		e, ok := h.tryStage(t, body)
		if !ok {
			continue // refused where it is typed in
		}
		taken++
		v := h.visitor(t)
		for _, path := range []string{"/en/", "/en/search?" + url.Values{"q": {text}}.Encode(), "/en/search?" + url.Values{"city": {"P" + text}, "category": {text}, "from": {text}, "cursor": {text}}.Encode(), "/fr/events/" + e.ID, "/en/events/" + e.ID + "?at=home"} {
			whole(t, v.get(t, path))
		}
		p := v.get(t, "/en/events/"+e.ID).says(t, 200, e.Name)
		whole(t, v.send(t, p, "/hold", url.Values{"do": {"code"}, "code": {text}, "access": {text}}))
		whole(t, v.send(t, p, "/hold", url.Values{"do": {"hold"}, "q-" + text: {"1"}, "seat": {text + "|" + text}}))
		held := v.send(t, p, "/hold", url.Values{"do": {"hold"}, "q-" + e.TicketTypes[0].ID: {"1"}}).says(t, 200, e.Name)
		whole(t, held)
		whole(t, v.send(t, held, "/order", url.Values{"name": {text}, "email": {text}, "t1-name": {text}}))
		mine := v.send(t, held, "/order", url.Values{"name": {text}, "email": {"ada@example.org"}, "t1-name": {text}})
		whole(t, mine)
		if mine.status == 200 {
			whole(t, v.send(t, v.get(t, linkTo(t, mine, "/give")), "/give", url.Values{"name": {text}, "email": {text}}))
		}
		if i < 8 { // a real browser reads pages in its own way
			var title string
			for _, path := range []string{"/en/", "/en/events/" + e.ID, "/en/search?" + url.Values{"q": {text}}.Encode()} {
				b.visit(t, path)
				b.run(t, chromedp.Title(&title))
				if title == "run" {
					t.Errorf("%q runs on %s", text, path)
				}
			}
		}
	}
	if taken < 8 {
		t.Errorf("only %d of %d names were taken: this test sees too little", taken, len(strange))
	}
}

// The Big List of Naughty Strings as names of events, venues and ticket types: on the
// event's page, in lists, in JSON-LD, in the calendar and in the picture for links.
func TestPages_showTheBigListOfNaughtyStringsAsText(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/blns.json")
	if err != nil {
		t.Fatal(err)
	}
	texts := read[[]string](t, raw)
	h := open(t)
	v := h.visitor(t)
	var docs []search.Document
	for i, text := range texts {
		body := concert(object{
			"name": text, "summary": text, "category": "c", "venue": object{"name": text, "city": "Paris", "country": "FR"},
			"quotas": []object{{"name": "q", "size": 10}}, "ticket_types": []object{{"name": text, "price": eur(100), "quotas": []string{"q"}}},
		})
		e, ok := h.tryDraft(t, body)
		if !ok {
			continue // refused where it is typed in
		}
		docs = append(docs, search.NewDocument(e, true))
		whole(t, v.get(t, "/en/events/"+e.ID).says(t, 200, e.TicketTypes[0].Name))
		v.get(t, "/en/events/"+e.ID+".ics").says(t, 200)
		if i%8 == 0 {
			v.get(t, "/en/events/"+e.ID+".png").says(t, 200)
		}
	}
	if len(docs) < 300 {
		t.Errorf("only %d of %d names were taken: this test sees too little", len(docs), len(texts))
	}
	h.announce(t, docs...)
	for p := v.get(t, "/en/search?sort=date"); ; {
		whole(t, p.says(t, 200))
		m := regexp.MustCompile(`href="([^"]*cursor=[^"]*)"`).FindStringSubmatch(p.body)
		if m == nil {
			break
		}
		p = v.get(t, html.UnescapeString(m[1]))
	}
}
