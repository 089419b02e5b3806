// Package mailaddr reads e-mail addresses as people write them and says when two
// spellings are one person's. It knows no mailbox and asks no server: what it accepts
// can be written to, and whether anybody reads it only a mail tells.
//
// There are three forms. String is what a mail is sent to. Key is whose it is: it
// tells apart whatever could be two people, so that one's tickets are never found by
// another. Limit folds also what one person can make any number of, so that it is
// for counting only.
package mailaddr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"guichet/internal/kind"
)

// ErrInvalid is returned for what is no address; its detail says why.
var ErrInvalid = kind.Invalid.New("invalid_email")

// Lengths of RFC 5321, 4.5.3.1 and its erratum 1690, in bytes.
const (
	MaxLocal   = 64
	MaxDomain  = 255
	MaxAddress = 254
)

// Address is an e-mail address. The zero Address is nobody's.
type Address struct {
	local  string // in NFC, in the case that was written
	domain string // in ASCII and lower case
}

// domains turns names into ASCII by IDNA 2008 as browsers do (UTS 46, nontransitional)
// and holds them to it.
var domains = idna.New(
	idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.ValidateLabels(true), idna.CheckHyphens(true), idna.CheckJoiners(true),
	idna.StrictDomainName(true), idna.VerifyDNSLength(true),
)

// Parse reads an address: local part, @, domain, and nothing around it. Quoted local
// parts, comments, address literals and domains of a single name are refused: nobody
// buys tickets with one, and each is a second spelling of something.
func Parse(text string) (Address, error) {
	if len(text) > MaxAddress {
		return Address{}, ErrInvalid.With("has more than %d bytes", MaxAddress)
	}
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Address{}, ErrInvalid.With("has no @")
	}
	if !utf8.ValidString(text) {
		return Address{}, ErrInvalid.With("is no UTF-8")
	}
	local, err := parseLocal(text[:at])
	if err != nil {
		return Address{}, err
	}
	domain, err := parseDomain(text[at+1:])
	if err != nil {
		return Address{}, err
	}
	a := Address{local, domain}
	if len(a.local)+1+len(a.domain) > MaxAddress {
		return Address{}, ErrInvalid.With("has more than %d bytes", MaxAddress)
	}
	return a, nil
}

// special are the characters of RFC 5322's atext beside letters and digits.
const special = "!#$%&'*+-/=?^_`{|}~"

func parseLocal(text string) (string, error) {
	text = norm.NFC.String(text)
	if text == "" || len(text) > MaxLocal {
		return "", ErrInvalid.With("has 1 to %d bytes before the @", MaxLocal)
	}
	if text[0] == '.' || text[len(text)-1] == '.' || strings.Contains(text, "..") {
		return "", ErrInvalid.With("has a dot too many before the @")
	}
	for _, r := range text {
		if r < utf8.RuneSelf {
			if r != '.' && !isDigitOrLetter(r) && !strings.ContainsRune(special, r) {
				return "", ErrInvalid.With("has %q before the @", r)
			}
			continue
		}
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r) {
			return "", ErrInvalid.With("has U+%04X before the @, which nobody sees or types", r)
		}
	}
	return text, nil
}

func isDigitOrLetter(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func parseDomain(text string) (string, error) {
	for _, r := range text { // the mapping would drop what is not seen
		if unicode.Is(unicode.Cf, r) && r != zwj && r != zwnj || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) || unicode.Is(unicode.Variation_Selector, r) || unicode.IsControl(r) || unicode.IsSpace(r) {
			return "", ErrInvalid.With("has U+%04X behind the @, which nobody sees", r)
		}
	}
	ascii, err := domains.ToASCII(text)
	if err != nil {
		return "", ErrInvalid.With("has no domain behind the @")
	}
	readable, err := domains.ToUnicode(ascii)
	if err != nil {
		return "", ErrInvalid.With("has no domain behind the @")
	}
	if again, err := domains.ToASCII(readable); err != nil || again != ascii {
		return "", ErrInvalid.With("has a domain behind the @ that is not written as it is read")
	}
	last := ascii[strings.LastIndexByte(ascii, '.')+1:]
	switch {
	case len(ascii) > MaxDomain, strings.HasSuffix(ascii, "."):
		return "", ErrInvalid.With("has no domain behind the @")
	case last == ascii:
		return "", ErrInvalid.With("has a single name behind the @, which is no domain")
	case strings.Trim(last, "0123456789") == "":
		return "", ErrInvalid.With("has no domain behind the @")
	}
	return ascii, nil
}

// Joiners mean something between letters of some scripts; IDNA says where.
const (
	zwnj = '\u200c'
	zwj  = '\u200d'
)

// IsZero says that a is nobody's.
func (a Address) IsZero() bool { return a == Address{} }

// String is the address to write to: its domain in ASCII, as mail servers want it.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return a.local + "@" + a.domain
}

// Readable is the address for people, its domain in its own script.
func (a Address) Readable() string {
	if a.IsZero() {
		return ""
	}
	name, err := domains.ToUnicode(a.domain)
	if err != nil {
		name = a.domain
	}
	return a.local + "@" + name
}

// Key is whose address it is, whatever its spelling: without letters' case, which no
// mail provider that people use tells apart.
func (a Address) Key() string {
	if a.IsZero() {
		return ""
	}
	return lower(a.local) + "@" + a.domain
}

// Limit is Key without what follows a + in the local part, which one mailbox can have
// any number of. Dots are left: only one provider ignores them.
func (a Address) Limit() string {
	if a.IsZero() {
		return ""
	}
	local := lower(a.local)
	if name, _, tagged := strings.Cut(local, "+"); tagged && name != "" {
		local = name
	}
	return local + "@" + a.domain
}

// lower folds the case of letters that have exactly one other, so that two that are
// not each other's case never meet: İ and i are two people's.
func lower(local string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if small := unicode.ToLower(r); unicode.ToUpper(small) == r {
			return small
		}
		return r
	}, local))
}

// Key is the Key of an address as it was written; what is no address is its own.
func Key(text string) string {
	if a, err := Parse(text); err == nil {
		return a.Key()
	}
	return strings.ToLower(strings.TrimSpace(text))
}

// Deliverable is an address as it was written in the form that mail servers take.
func Deliverable(text string) string {
	if a, err := Parse(text); err == nil {
		return a.String()
	}
	return text
}

// Limit is the Limit of an address as it was written; what is no address is its own.
func Limit(text string) string {
	if a, err := Parse(text); err == nil {
		return a.Limit()
	}
	return strings.ToLower(strings.TrimSpace(text))
}
