package cityname_test

import (
	"slices"
	"strings"
	"testing"

	"guichet/cell/search/cityname"
)

func TestNames_knowACityInOtherLanguages(t *testing.T) {
	t.Parallel()
	table := cityname.New(strings.ToLower)
	for _, same := range [][]string{
		{"DE", "München", "Munich", "Monaco di Baviera", "Múnich", "慕尼黑"},
		{"JP", "Tokyo", "東京", "東京都", "Tokio", "東京"},
		{"AT", "Wien", "Vienna", "Vienne", "Viena"},
		{"IT", "Firenze", "Florence", "Florenz"},
		{"KR", "Seoul", "서울", "首尔"},
	} {
		main := table.Names(same[0], same[1])
		for _, name := range same[1:] {
			if got := table.Names(same[0], name); len(got) == 0 || got[0] != main[0] {
				t.Errorf("%s in %s is %v", name, same[0], got)
			}
		}
	}
	if got := table.Names("FR", "Vienne"); len(got) > 0 && got[0] == "Vienna" {
		t.Errorf("a city of France is %v", got)
	}
	if got := table.Others("DE", "münchen"); slices.ContainsFunc(got, func(n string) bool { return strings.EqualFold(n, "München") }) || !slices.Contains(got, "Munich") {
		t.Errorf("besides its own name: %v", got)
	}
	if got := table.Names("DE", "Nirgendwo"); got != nil {
		t.Errorf("%v", got)
	}
}
