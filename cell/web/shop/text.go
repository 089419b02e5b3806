package shop

import "strings"

// textView is a page of words: help, privacy, imprint, credits.
type textView struct {
	meta    meta
	name    string
	imprint Imprint
	parts   []textPart
}

// textPart is a heading and what is said under it.
type textPart struct{ title, text string }

// texts are the parts of each page of words, by the ends of their keys.
var texts = map[string][]string{
	"help":    {"buy", "hold", "pay", "tickets", "give", "refund", "language"},
	"privacy": {"where", "what", "cookies", "payment", "rights"},
	"imprint": {},
	"credits": {"geo", "fonts", "events", "software"},
}

func (v *visit) text() (answer, error) {
	name := strings.Trim(v.r.URL.Path, "/")
	t := textView{meta: v.meta(v.l.T("text_" + name + "_title")), name: name, imprint: v.p.cfg.Imprint}
	for _, part := range texts[name] {
		t.parts = append(t.parts, textPart{v.l.T("text_" + name + "_" + part + "_title"), v.l.T("text_" + name + "_" + part)})
	}
	return answer{page: textPage(t), fresh: freshText}, nil
}
