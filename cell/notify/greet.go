package notify

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/text/unicode/norm"

	"guichet/cell/mailaddr"
)

// A stranger can let a mail greet anybody by any name, and mail programs make links
// of what looks like one: a name that a greeting may use is none.
var (
	schemes = regexp.MustCompile(`[a-z][a-z0-9+.-]*:\s*/\s*/|\b(https?|hxxps?|ftps?|mailto|tel|sms|javascript|data|file|tg|whatsapp)\s*:`)
	hosts   = regexp.MustCompile(`\bwww[0-9]{0,2}\s*\.`)
	dotted  = regexp.MustCompile(`[\p{L}\p{M}\p{N}_-]+(\.[\p{L}\p{M}\p{N}_-]+)+`)
	mailbox = regexp.MustCompile(`[^\s@]@[^\s@]`)
	numbers = regexp.MustCompile(`\b[0-9]{1,3}(\.[0-9]{1,3}){3}\b`)
)

// degrees end in what is a domain too; nobody has one under it.
var degrees = []string{"m.sc", "b.sc", "b.com", "m.com"}

// lookalikes are read as characters of a link and do not become them by NFKC.
var lookalikes = strings.NewReplacer("。", ".", "｡", ".", "․", ".", "·", ".", "•", ".", "⸱", ".", "∕", "/", "⁄", "/", "⧸", "/", "ː", ":", "∶", ":", "꞉", ":")

// Unfit says what keeps a name from standing in a greeting, "" when nothing does: the
// address of a page, however it is written, or characters that nobody sees.
func Unfit(name string) string {
	if strings.ContainsFunc(name, hidden) {
		return "must not have invisible characters"
	}
	text := strings.Map(func(r rune) rune {
		if r == zwnj || r == zwj || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, name)
	text = strings.ToLower(lookalikes.Replace(norm.NFKC.String(text)))
	if schemes.MatchString(text) || hosts.MatchString(text) || numbers.MatchString(text) || mailbox.MatchString(text) {
		return noLinks
	}
	if slices.ContainsFunc(dotted.FindAllString(text, -1), isDomain) {
		return noLinks
	}
	return ""
}

const (
	noLinks = "must be a name, without an address of a page or a mailbox; leave a space behind a dot"
	// Joiners have a meaning in names of some scripts.
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// hidden says that a character takes no room and has no meaning in a name.
func hidden(r rune) bool {
	switch {
	case r == zwnj, r == zwj:
		return false
	case unicode.Is(unicode.Cf, r), unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	}
	return unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// isDomain says whether a dotted word can be one: its end is a suffix that names are
// sold under. "Dr.Müller" is none, "evil.com" is.
func isDomain(word string) bool {
	if slices.Contains(degrees, word) {
		return false
	}
	last := word[strings.LastIndexByte(word, '.')+1:]
	a, err := mailaddr.Parse("x@x." + strings.TrimRight(last, "-_"))
	if err != nil {
		return false
	}
	_, domain, _ := strings.Cut(a.String(), "@")
	_, sold := publicsuffix.PublicSuffix(domain)
	return sold
}
