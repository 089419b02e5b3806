package shop

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/message"
)

//go:embed lang/*.json
var words embed.FS

// fallback is the language of those who have none of ours.
const fallback = "en"

// tongue is one language: a file in lang, and nothing else.
type tongue struct {
	Code string `json:"-"` // the first segment of public paths
	Name string `json:"name"`
	// Order is the place in menus.
	Order int `json:"order"`
	// Formats are patterns of CLDR 48 for dates, times and amounts, see format.go.
	Formats  formats           `json:"formats"`
	Months   []string          `json:"months"`
	Short    []string          `json:"months_short"`
	Weekdays []string          `json:"weekdays"` // from Sunday
	Days     []string          `json:"weekdays_short"`
	FirstDay int               `json:"first_day"` // of the week, 0 is Sunday
	Words    map[string]string `json:"words"`

	tag       language.Tag
	printer   *message.Printer
	countries display.Namer
}

var (
	tongues = mustLoad()
	ordered = inOrder(tongues)
	matcher = newMatcher(ordered)
)

func mustLoad() map[string]*tongue {
	files, err := words.ReadDir("lang")
	if err != nil {
		panic("shop: " + err.Error()) // the files are compiled in
	}
	all := map[string]*tongue{}
	for _, f := range files {
		t, err := loadTongue(f.Name())
		if err != nil {
			panic("shop: " + err.Error())
		}
		all[t.Code] = t
	}
	return all
}

func loadTongue(name string) (*tongue, error) {
	raw, err := words.ReadFile(path.Join("lang", name))
	if err != nil {
		return nil, err
	}
	t := &tongue{Code: strings.TrimSuffix(name, ".json")}
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if t.tag, err = language.Parse(t.Code); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(t.Months) != 12 || len(t.Short) != 12 || len(t.Weekdays) != 7 || len(t.Days) != 7 {
		return nil, fmt.Errorf("%s: months or weekdays are missing", name)
	}
	t.printer, t.countries = message.NewPrinter(t.tag), display.Regions(t.tag)
	return t, nil
}

func inOrder(all map[string]*tongue) []*tongue {
	var list []*tongue
	for _, t := range all {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *tongue) int { return a.Order - b.Order })
	return list
}

func newMatcher(list []*tongue) language.Matcher {
	var tags []language.Tag
	for _, t := range list {
		tags = append(tags, t.tag)
	}
	return language.NewMatcher(tags)
}

// preferred is the language of who asks for a page without one in its address: the one
// that was chosen here, else the browser's.
func preferred(r *http.Request) *tongue {
	if c, err := r.Cookie(langCookie); err == nil && tongues[c.Value] != nil {
		return tongues[c.Value]
	}
	return byHeader(r.Header.Get("Accept-Language"))
}

// maxHeader bounds the part of Accept-Language that is read.
const maxHeader = 256

func byHeader(header string) *tongue {
	tags, _, err := language.ParseAcceptLanguage(header[:min(len(header), maxHeader)])
	if err != nil || len(tags) == 0 {
		return tongues[fallback]
	}
	_, i, confidence := matcher.Match(tags...)
	if confidence == language.No {
		return tongues[fallback]
	}
	return ordered[i]
}

// T is the text under a key, with what is given in place of {0}, {1} and so on. A key
// that is missing is shown as it is; a test finds it before.
func (t *tongue) T(key string, with ...any) string {
	text, ok := t.Words[key]
	if !ok {
		if text, ok = tongues[fallback].Words[key]; !ok {
			return key
		}
	}
	return fill(text, with)
}

func fill(text string, with []any) string {
	for i, value := range with {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i)+"}", fmt.Sprint(value))
	}
	return text
}

// has says whether a key is known, for words about values that may be new.
func (t *tongue) has(key string) bool {
	_, ok := t.Words[key]
	return ok
}

// N is the text for a number: under key_one or key_other, as the language counts. {0} is
// the number.
func (t *tongue) N(key string, n int64, with ...any) string {
	form := "_other"
	if plural.Cardinal.MatchPlural(t.tag, int(n%1_000_000), 0, 0, 0, 0) == plural.One && t.has(key+"_one") {
		form = "_one"
	}
	return fill(t.T(key+form), append([]any{t.number(n)}, with...))
}

// known is the text under a key if there is one, else the value as it is: for words
// of sources, such as categories.
func (t *tongue) known(prefix, value string) string {
	if t.has(prefix + value) {
		return t.T(prefix + value)
	}
	return value
}

// country is a country's name.
func (t *tongue) country(code string) string {
	region, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	if name := t.countries.Name(region); name != "" {
		return name
	}
	return code
}
