package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"guichet/cell/money"
)

// prices finds the amounts in a text, in order and without repeats: "$15",
// "1.250,00 €", "10–20", "18,50 / 12,00", "$480, 380, 260*". Nothing but a word
// for free is one zero. Every number must be a price for certain; a text with one
// that may be something else, or that can be read in two ways, is an error. A text
// without numbers and without a word for free has no prices.
func prices(text, cur string) ([]money.Money, error) {
	if len(text) > maxPriceText {
		return nil, fmt.Errorf("longer than %d bytes", maxPriceText)
	}
	tokens, err := priceTokens(norm.NFKC.String(text))
	if err != nil {
		return nil, err
	}
	var out []money.Money
	for i, t := range tokens {
		if t.kind == markToken && !slices.Contains(t.currencies, cur) {
			return nil, fmt.Errorf("%q is not %s", t.text, cur)
		}
		if t.kind != numberToken {
			continue
		}
		if err := certain(tokens, i); err != nil {
			return nil, err
		}
		m, err := amount(t.text, cur)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	free := freeWords.MatchString(text)
	switch {
	case len(out) > maxTypes:
		return nil, fmt.Errorf("more than %d prices", maxTypes)
	case len(out) == 0 && free:
		return []money.Money{{Currency: cur}}, nil
	case len(out) > 0 && free && (len(out) > 1 || out[0].Amount > 0):
		return nil, errors.New("a price and a word for free: which is whose?")
	}
	return out, nil
}

// maxPriceText bounds a text in which prices are looked for, in bytes.
const maxPriceText = 500

type tokenKind int

const (
	numberToken tokenKind = iota
	markToken             // of a currency
	wordToken             // any other letters
	signToken             // what may stand between prices
)

type priceToken struct {
	kind       tokenKind
	text       string
	currencies []string // of a mark
	glued      bool     // no space before it
}

// scanNumber is the number that a text starts with, with whatever groups and
// decimals it is written; "" when it starts with none. Spaces group only three
// digits.
func scanNumber(s string) string {
	digits := func(i int) (n int) {
		for i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '9' {
			n++
		}
		return n
	}
	i, spaced := 0, true
	if s != "" && (s[0] == '.' || s[0] == ',') {
		i++
	}
	if digits(i) == 0 {
		return ""
	}
	for i += digits(i); i < len(s); i += 1 + digits(i+1) {
		n := digits(i + 1)
		switch {
		case strings.IndexByte(".,'", s[i]) >= 0 && n > 0:
			spaced = false
		case s[i] == ' ' && n == 3 && spaced:
		default:
			return s[:i]
		}
	}
	return s[:i]
}

var noCents = regexp.MustCompile(`^[.,][-–—]+`)

// signs may stand beside a price without a meaning of their own.
const signs = ",;/|&+*^()[]-–—~:.!?\"'•·"

func priceTokens(text string) ([]priceToken, error) {
	text = strings.NewReplacer("’", "'", "‘", "'", "`", "'", "´", "'", "−", "-", "‑", "-").Replace(text)
	var out []priceToken
	glued := false
	add := func(t priceToken, length int) {
		t.text, t.glued = strings.TrimSpace(text[:length]), glued
		out = append(out, t)
		text, glued = text[length:], true
	}
	for text != "" {
		first := []rune(text)[0]
		number := scanNumber(text)
		word := letters(text)
		mark, currencies := currencyMark(text)
		switch {
		case unicode.IsSpace(first):
			text, glued = text[len(string(first)):], false
		case number != "" && (number[0] >= '0' && number[0] <= '9' || !glued || len(out) > 0 && out[len(out)-1].kind == markToken):
			add(priceToken{kind: numberToken}, len(number))
			text = text[len(noCents.FindString(text)):]
		case mark > 0 && mark >= len(word):
			add(priceToken{kind: markToken, currencies: currencies}, mark)
		case word != "":
			add(priceToken{kind: wordToken}, len(word))
		case strings.ContainsRune(signs, first):
			add(priceToken{kind: signToken}, len(string(first)))
		default:
			return nil, fmt.Errorf("%q has no meaning in a price", first)
		}
	}
	return out, nil
}

func letters(s string) string {
	for i, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) {
			return s[:i]
		}
	}
	return s
}

// certain says whether the number at i must be a price.
func certain(tokens []priceToken, i int) error {
	number := tokens[i].text
	near := func(j int) *priceToken {
		if j < 0 || j >= len(tokens) {
			return &priceToken{kind: signToken}
		}
		return &tokens[j]
	}
	before, after := near(i-1), near(i+1)
	switch {
	case tokens[i].glued && before.kind == wordToken, after.glued && after.kind == wordToken:
		return fmt.Errorf("%s stands in a word", number)
	case after.glued && after.text == ":" && near(i+2).glued && near(i+2).kind == numberToken:
		return fmt.Errorf("%s:%s is a time of day", number, near(i+2).text)
	case before.kind == numberToken:
		return fmt.Errorf("%s %s can be one number or two", before.text, number)
	case negative(tokens, i):
		return fmt.Errorf("%s is less than nothing", number)
	case marked(tokens, i):
		return nil
	}
	for _, t := range tokens {
		if t.kind == wordToken && !priceWords[strings.ToLower(t.text)] {
			return fmt.Errorf("%s stands beside %.20q and may be no price", number, t.text)
		}
		if t.kind == markToken && !listed(tokens, i) {
			return fmt.Errorf("%s has no currency while another number has, and may be no price", number)
		}
	}
	return nil
}

// negative: a minus glued to the number, or to its currency, that is no range.
func negative(tokens []priceToken, i int) bool {
	j := i - 1
	if j >= 0 && tokens[j].kind == markToken {
		j--
	}
	if j < 0 || !strings.ContainsAny(tokens[j].text, "-–—") || !tokens[j+1].glued {
		return false
	}
	for j--; j >= 0 && tokens[j].kind == markToken; j-- { // "18 € -25 €" is a range
	}
	return j < 0 || tokens[j].kind != numberToken && tokens[j].kind != wordToken
}

// marked: a currency stands beside the number, and is not its neighbor's.
func marked(tokens []priceToken, i int) bool {
	if i > 0 && tokens[i-1].kind == markToken && (i == 1 || tokens[i-2].kind != numberToken || tokens[i].glued) {
		return true
	}
	return i+1 < len(tokens) && tokens[i+1].kind == markToken
}

// listed: nothing but signs and connecting words stands between the number and one
// with a currency.
func listed(tokens []priceToken, i int) bool {
	for _, step := range []int{-1, 1} {
		for j := i + step; j >= 0 && j < len(tokens); j += step {
			t := tokens[j]
			if t.kind == numberToken && marked(tokens, j) {
				return true
			}
			if t.kind == wordToken && !connecting[strings.ToLower(t.text)] {
				break
			}
		}
	}
	return false
}

func wordSet(text string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		m[w] = true
	}
	return m
}

// connecting words stand between two prices; priceWords besides say whose or which
// a price is, and never what else a number could count.
var (
	connecting = wordSet(`and or to und oder bis et ou y o u e a à al tot en of till och eller og`)
	priceWords = wordSet(`and or to und oder bis et ou y o u e a à al tot en of till och eller og from ab von de desde da vanaf från fra od
		price prices preis preise prix precio prezzo preço prijs ticket tickets entry admission eintritt entrada entrée ingresso toegang billet
		adult adults child children kid kids student students senior seniors concession concessions reduced regular normal standard full member members
		erwachsene erwachsener kinder kind schüler studenten studierende ermäßigt ermässigt regulär normalpreis senioren mitglieder
		adulte adultes enfant enfants étudiant étudiants réduit réduite plein tarif adulto adultos niño niños niños estudiante estudiantes reducida general
		adulti bambini ridotto intero vvk ak abendkasse vorverkauf advance door presale vip pp`)
)

// amount reads one number as written.
func amount(s, cur string) (money.Money, error) {
	exp, err := money.Exponent(cur)
	if err != nil {
		return money.Money{}, err
	}
	decimal, err := decimalOf(s, exp)
	if err != nil {
		return money.Money{}, err
	}
	return exactPrice(decimal, cur)
}

var (
	oneSeparator = regexp.MustCompile(`^(\d*)([.,])(\d+)$`)
	grouped      = regexp.MustCompile(`^(\d{1,3})((?:[ ']\d{3})+|(?:\.\d{3})+|(?:,\d{3})+)(?:([.,])(\d{1,2}))?$`)
	leadingZero  = regexp.MustCompile(`^0\d`)
)

// decimalOf is a number with a point and no groups. exp is the currency's decimals:
// three digits behind a lone point or comma are groups or decimals by them alone.
func decimalOf(s string, exp int) (string, error) {
	ambiguous := fmt.Errorf("%q is ambiguous: it can be read in two ways", s)
	if leadingZero.MatchString(s) {
		return "", fmt.Errorf("%q is no amount", s)
	}
	if !strings.ContainsAny(s, ".,' ") {
		return s, nil
	}
	if m := oneSeparator.FindStringSubmatch(s); m != nil {
		whole, sign, frac := m[1], m[2], m[3]
		group := len(frac) == 3 && whole != "" && len(whole) <= 3 && whole != "0"
		switch {
		case whole == "":
			return "0." + frac, nil
		case group && exp == 0:
			return whole + frac, nil
		case group && exp == 3 && sign == ".":
			return whole + "." + frac, nil
		case group && exp == 2 && sign == "," && len(whole) == 1: // "1,380": two prices are not written so, nor are three decimals
			return whole + frac, nil
		case group:
			return "", ambiguous
		case len(frac) > 3 && sign == ",":
			return "", fmt.Errorf("%q is no amount", s)
		}
		return whole + "." + frac, nil
	}
	m := grouped.FindStringSubmatch(s)
	if m == nil || m[3] != "" && strings.Contains(m[2], m[3]) {
		return "", fmt.Errorf("%q is no amount", s)
	}
	mark := m[2][:1]
	digits := m[1] + strings.NewReplacer(".", "", ",", "", "'", "", " ", "").Replace(m[2])
	switch {
	case m[4] != "":
		return digits + "." + m[4], nil
	case mark == "," && exp > 0, mark == " " && len(m[1]) == 3: // "480 380 260", "1,380,980"
		return "", ambiguous
	}
	return digits, nil
}
