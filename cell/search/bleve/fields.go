package bleve

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/document"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"guichet/cell/search"
	"guichet/geo"
)

// The index's fields. Changing what any of them holds means a new formatVersion.
const (
	fieldName     = "name"     // words, likewise the next five
	fieldVenue    = "venue"    //
	fieldCity     = "city"     //
	fieldCountry  = "country"  //
	fieldCategory = "category" //
	fieldSummary  = "summary"  //

	fieldNamePrefix     = "name.p" // beginnings of words, for what is still being typed
	fieldVenuePrefix    = "venue.p"
	fieldCityPrefix     = "city.p"
	fieldCategoryPrefix = "category.p"

	fieldNameKey     = "name.k" // the folded whole, for filters and exact names
	fieldCityKey     = "city.k"
	fieldCountryKey  = "country.k"
	fieldCategoryKey = "category.k"

	facetVenue    = "venue.f" // DocValues: folded, separator, as written
	facetCity     = "city.f"
	facetCountry  = "country.f"
	facetCategory = "category.f"

	fieldStarts = "starts" // Unix seconds
	fieldEnds   = "ends"
	fieldLast   = "last"     // search.LastMoment
	fieldFirstL = "starts.l" // the start on the wall at its place
	fieldLastL  = "last.l"   // LastMoment there
	fieldPrice  = "price"    // minor units, of the first of d.PriceSteps; "price.1" of the second
	fieldUntil  = "until"    // Unix seconds: how long that can be had, likewise
	fieldOrder  = "order"    // DocValues: start and id, the date order and every tie-break
	fieldPlace  = "place"    // DocValues: latitude and longitude, exact
	fieldGrid   = "grid"     // cells of geographic grids that hold the place
	fieldMoney  = "currency" // what it is sold in
	fieldAlias  = "city.o"   // folded names of the city that are more than one word
	fieldSeries = "series"   // DocValues: of an occurrence, its series' id
	fieldFolds  = "folds"    // a word that is there for occurrences
	fieldBody   = "body"     // stored: the document's JSON
)

// facetSeparator stands between a facet's folded key and its spelling.
const facetSeparator = "\x1f"

// maxPrefixRunes is the longest beginning of a word that is kept.
const maxPrefixRunes = 12

const (
	wordOptions  = bleveindex.IndexField | bleveindex.SkipFreqNorm
	valueOptions = bleveindex.IndexField | bleveindex.SkipFreqNorm | bleveindex.DocValues
)

// terms is an analyzer that emits terms already made by the domain
// (search.Terms): the same words for the index, the query and the tests.
type terms []string

func (t terms) Analyze([]byte) analysis.TokenStream {
	out := make(analysis.TokenStream, len(t))
	for i, term := range t {
		out[i] = &analysis.Token{Term: []byte(term), Position: i + 1, Type: analysis.AlphaNumeric}
	}
	return out
}

// convert makes the index's document of a catalogue document.
func convert(d *search.Document) (*document.Document, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", d.ID(), err)
	}
	doc := document.NewDocument(d.ID())
	add := func(field string, options bleveindex.FieldIndexingOptions, words ...string) {
		if len(words) > 0 {
			doc.AddField(document.NewTextFieldCustom(field, nil, nil, options, terms(words)))
		}
	}
	number := func(field string, n int64) {
		doc.AddField(document.NewNumericFieldWithIndexingOptions(field, nil, float64(n), wordOptions))
	}
	t := d.Texts()
	for field, text := range map[string]string{
		fieldName: t.Name, fieldVenue: t.Venue, fieldCity: t.City, fieldCountry: t.Country, fieldCategory: t.Category, fieldSummary: t.Summary,
	} {
		words := search.Terms(text)
		if field == fieldCity {
			words = append(words, cityWords(words, t.Cities)...)
		}
		add(field, wordOptions, words...)
	}
	for field, text := range map[string]string{
		fieldNamePrefix: t.Name, fieldVenuePrefix: t.Venue, fieldCityPrefix: t.City, fieldCategoryPrefix: t.Category,
	} {
		add(field, wordOptions, beginnings(text)...)
	}
	keys := [...]struct{ key, facet, text, counted string }{
		{fieldNameKey, "", t.Name, ""},
		{"", facetVenue, t.Venue, t.Venue},
		{fieldCityKey, facetCity, t.City, d.MainCity()},
		{fieldCountryKey, facetCountry, d.Event.Venue.Country, d.Event.Venue.Country},
		{fieldCategoryKey, facetCategory, t.Category, t.Category},
	}
	for _, k := range keys {
		folded := keyOf(k.text)
		if folded == "" {
			continue
		}
		if k.key == fieldCityKey {
			add(k.key, wordOptions, append(cityKeys(t.Cities), folded)...)
		} else if k.key != "" {
			add(k.key, wordOptions, folded)
		}
		if k.facet != "" {
			add(k.facet, valueOptions, keyOf(k.counted)+facetSeparator+clip(k.text))
		}
	}
	addTimes(d, number)
	for i, step := range d.PriceSteps() {
		number(priceStep(fieldPrice, i), step.Amount)
		number(priceStep(fieldUntil, i), step.Until.Unix())
	}
	add(fieldMoney, wordOptions, d.Currency())
	add(fieldAlias, wordOptions, aliases(t.Cities)...)
	if d.Event.SeriesID != "" {
		add(fieldSeries, valueOptions, d.Event.SeriesID)
		add(fieldFolds, wordOptions, foldsTerm)
	}
	add(fieldOrder, valueOptions, orderKey(d.Event.StartsAt, d.ID()))
	if at, ok := d.Point(); ok {
		add(fieldPlace, valueOptions, placeKey(at))
		add(fieldGrid, wordOptions, gridCells(at)...)
	}
	doc.AddField(document.NewTextFieldCustom(fieldBody, nil, body, bleveindex.StoreField, nil))
	return doc, nil
}

// addTimes adds when the event takes place.
func addTimes(d *search.Document, number func(field string, n int64)) {
	last := d.LastMoment()
	number(fieldStarts, d.Event.StartsAt.Unix())
	number(fieldEnds, d.EndsAt().Unix())
	number(fieldLast, last.Unix())
	number(fieldFirstL, d.OnTheWall(d.Event.StartsAt).Unix())
	number(fieldLastL, d.OnTheWall(last).Unix())
}

// foldsTerm is the one word of fieldFolds.
const foldsTerm = "y"

// cityWords are the terms of a city's other names that are one word, but for those that
// are there. Words of longer names would find the city where something else is meant:
// Monaco di Baviera is not in Monaco.
func cityWords(there, names []string) (terms []string) {
	for _, name := range names {
		if len(search.Words(name)) > 1 {
			continue
		}
		for _, term := range search.Terms(name) {
			if !slices.Contains(there, term) && !slices.Contains(terms, term) {
				terms = append(terms, term)
			}
		}
	}
	return terms
}

// cityKeys are a city's other names as wholes.
func cityKeys(names []string) (keys []string) {
	for _, name := range names {
		if key := keyOf(name); key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// aliases are the keys of a city's other names that are more than one word.
func aliases(names []string) (keys []string) {
	for _, key := range cityKeys(names) {
		if strings.Contains(key, " ") {
			keys = append(keys, key)
		}
	}
	return keys
}

// priceStep is the field of a step of the price.
func priceStep(field string, i int) string {
	if i == 0 {
		return field
	}
	return field + "." + strconv.Itoa(i)
}

// beginnings are the prefixes of a text's words; dense words begin anywhere.
func beginnings(text string) []string {
	seen := map[string]bool{}
	var out []string
	add := func(s string) {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	for _, w := range append(search.Words(text), search.Joined(text)...) {
		if w.Dense {
			for _, r := range w.Text {
				add(string(r))
			}
			for _, p := range w.Pairs() {
				add(p)
			}
			continue
		}
		n := 0
		for i := range w.Text {
			if n > 0 {
				add(w.Text[:i])
			}
			if n++; n > maxPrefixRunes {
				break
			}
		}
		if n <= maxPrefixRunes {
			add(w.Text)
		}
	}
	return out
}

// maxKeyBytes bounds keywords; longer ones are cut, at both index and query.
const maxKeyBytes = 200

// keyOf is the folded whole of a text, its words joined by one space each.
func keyOf(text string) string {
	words := search.Words(text)
	var b []byte
	for i, w := range words {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, w.Text...)
	}
	if len(b) > maxKeyBytes {
		b = b[:maxKeyBytes]
	}
	return string(b)
}

func clip(s string) string {
	if len(s) <= maxKeyBytes {
		return s
	}
	for i := range s {
		if i > maxKeyBytes-4 {
			return s[:i]
		}
	}
	return s
}

// orderKey sorts as text by start, then id: the seconds since the year 1, padded.
func orderKey(start time.Time, id string) string {
	const yearOne = -62135596800
	return fmt.Sprintf("%012d%s", max(0, start.Unix()-yearOne), id)
}

func placeKey(p geo.Point) string {
	return fmt.Sprintf("%016x%016x", math.Float64bits(p.Lat), math.Float64bits(p.Lon))
}

func parsePlace(term []byte) (geo.Point, bool) {
	if len(term) != 32 {
		return geo.Point{}, false
	}
	lat, ok1 := parseHex(term[:16])
	lon, ok2 := parseHex(term[16:])
	return geo.Point{Lat: math.Float64frombits(lat), Lon: math.Float64frombits(lon)}, ok1 && ok2
}

func parseHex(b []byte) (uint64, bool) {
	var v uint64
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
