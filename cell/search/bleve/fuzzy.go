package bleve

import (
	"fmt"
	"unicode/utf8"

	bleveindex "github.com/blevesearch/bleve_index_api"
)

// Typing errors: one in words of 4 to 7 letters, two from 8; the first letter is right.
const (
	fuzzyFrom  = 4
	fuzzy2From = 8
	// Each word with errors walks six dictionaries; further words are taken as typed.
	maxFuzzyWords = 8
	// maxGuesses bounds the words of one field that a word may stand for.
	maxGuesses = 2000
)

// guess is what a word may stand for in one field, by the number of errors.
type guess struct{ one, two []string }

// guesses keeps them from stage to stage of one search: walking a dictionary is
// by far the dearest part of a search with typing errors.
type guesses map[string]guess

// of walks the field's dictionary once for both numbers of errors.
func (g guesses) of(r bleveindex.IndexReader, field, word string) (guess, error) {
	key := field + "\x00" + word
	if known, ok := g[key]; ok {
		return known, nil
	}
	fuzzy, ok := r.(bleveindex.IndexReaderFuzzy)
	if !ok {
		return guess{}, fmt.Errorf("%T knows no typing errors", r)
	}
	errors := 1
	if utf8.RuneCountInString(word) >= fuzzy2From {
		errors = 2
	}
	_, head := utf8.DecodeRuneInString(word)
	dict, err := fuzzy.FieldDictFuzzy(field, word, errors, word[:head])
	if err != nil {
		return guess{}, err
	}
	defer func() { _ = dict.Close() }()
	var found guess
	for len(found.one)+len(found.two) < maxGuesses {
		entry, err := dict.Next()
		if err != nil {
			return guess{}, err
		}
		if entry == nil {
			break
		}
		if entry.EditDistance <= 1 {
			found.one = append(found.one, entry.Term)
		} else {
			found.two = append(found.two, entry.Term)
		}
	}
	g[key] = found
	return found, nil
}
