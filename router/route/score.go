package route

import (
	"cmp"
	"slices"
)

// Score is the rendezvous hash of a text and one of the places it could go:
// FNV-1a, then MurmurHash3's finalizer, because FNV alone leaves the high bits of
// short texts alike. Every router of every version must agree on it.
func Score(text, place string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{text, "\x00", place} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Rendezvous orders places by their score with a text, best first, without
// changing its argument. A place that goes moves only the texts it had.
func Rendezvous(text string, places []string) []string {
	if len(places) < 2 {
		return places
	}
	ordered := slices.Clone(places)
	slices.SortFunc(ordered, func(a, b string) int { return cmp.Compare(Score(text, b), Score(text, a)) })
	return ordered
}
