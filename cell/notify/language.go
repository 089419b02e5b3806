package notify

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"text/template"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"guichet/cell/money"
)

//go:embed lang
var words embed.FS

// tongue is one language's words. A new language is a file in lang and a line in
// tongues; the tests hold it to the same keys as the others.
type tongue struct {
	Labels   map[string]string `json:"labels"`
	Date     string            `json:"date"`
	Months   []string          `json:"months"`
	Weekdays []string          `json:"weekdays"` // from Sunday
	Kinds    map[Kind]letter   `json:"kinds"`

	tag      language.Tag
	prepared map[string]*template.Template
}

// letter is what a kind of mail says; every text is a template over blanks.
type letter struct {
	Subject string   `json:"subject"`
	Lines   []string `json:"lines"`
	Action  string   `json:"action"`
}

// blanks are what a letter can be filled with, in the letter's language.
type blanks struct {
	Name, Other, Event, Code, Amount, Organizer string
	Count                                       int
	Until                                       bool // there is a time until which tickets may be given back
}

// tongues are the languages that mails are written in; the first is for all others.
var tongues = []language.Tag{language.English, language.French, language.German, language.Spanish, language.Japanese}

var (
	matcher = language.NewMatcher(tongues)
	library = mustLoad()
)

func mustLoad() []*tongue {
	all := make([]*tongue, 0, len(tongues))
	for _, tag := range tongues {
		t, err := load(tag)
		if err != nil {
			panic("notify: " + err.Error()) // the files are compiled in
		}
		all = append(all, t)
	}
	return all
}

func load(tag language.Tag) (*tongue, error) {
	raw, err := words.ReadFile(path.Join("lang", tag.String()+".json"))
	if err != nil {
		return nil, err
	}
	t := &tongue{tag: tag, prepared: map[string]*template.Template{}}
	if err := json.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("%s: %w", tag, err)
	}
	texts := []string{t.Labels["hello"]}
	for _, l := range t.Kinds {
		texts = append(append(texts, l.Subject), l.Lines...)
	}
	for _, text := range texts {
		p, err := template.New("").Option("missingkey=error").Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", tag, err)
		}
		t.prepared[text] = p
	}
	return t, nil
}

// tongueOf is the language for a buyer's locale: the nearest of ours, English for
// all others and for nonsense.
func tongueOf(locale string) *tongue {
	tag, err := language.Parse(locale)
	if err != nil {
		return library[0]
	}
	_, i, confidence := matcher.Match(tag)
	if confidence == language.No {
		return library[0]
	}
	return library[i]
}

// say fills a text's blanks.
func (t *tongue) say(text string, b blanks) (string, error) {
	var out strings.Builder
	if err := t.prepared[text].Execute(&out, b); err != nil {
		return "", fmt.Errorf("say %.40q: %w", text, err)
	}
	return out.String(), nil
}

// when writes a time as the clock on the wall in zone shows it, with the zone's
// name, since a mail is read anywhere.
func (t *tongue) when(at time.Time, zone string) string {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		loc = time.UTC
	}
	at = at.In(loc)
	date := strings.NewReplacer(
		"{weekday}", t.Weekdays[at.Weekday()], "{month}", t.Months[at.Month()-1], "{day}", at.Format("2"),
		"{year}", at.Format("2006"), "{time}", at.Format("15:04"),
	).Replace(t.Date)
	return date + " (" + loc.String() + ")"
}

// price writes an amount with the language's separators and the currency's own
// number of decimals. The code stands for the currency: "$" is a dozen of them.
func (t *tongue) price(m money.Money) string {
	exp, err := money.Exponent(m.Currency)
	if err != nil {
		return m.String()
	}
	unit := int64(1)
	for range exp {
		unit *= 10
	}
	printer := message.NewPrinter(t.tag)
	sign, amount := "", m.Amount
	if amount < 0 {
		sign, amount = "−", -amount
	}
	text := printer.Sprint(number.Decimal(amount / unit))
	if exp > 0 {
		mark := strings.Trim(printer.Sprint(number.Decimal(0.5, number.Scale(1))), "05")
		text += fmt.Sprintf("%s%0*d", mark, exp, amount%unit)
	}
	return sign + text + "\u00a0" + m.Currency
}
