package search

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestFold_joinsWhatPeopleTakeForTheSame(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"MUSÉE": "musee", "Ryōgoku": "ryogoku", "Łódź": "lodz", "Straße": "strasse", "Ørsted Æ": "orsted ae", "ＡＢＣ１": "abc1",
		"ﾏｰﾗｰ": "マーラー", "Ёлка": "елка", "İstanbul": "istanbul", "서울": "서울", "ガラ": "ガラ", "Ὀδυσσεύς": "οδυσσευς", "\xffa": " a",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
	if Fold("が") == Fold("か") {
		t.Error("dakuten were lost")
	}
}

func TestTerms_splitWordsAndPairDenseScripts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"L'Opéra, l'opéra!": {"l", "opera", "lopera"},
		"AC/DC & R&B":       {"ac", "dc", "r", "b", "acdc", "rb"},
		"東京オペラ":             {"東", "京", "オ", "ペ", "ラ", "東京", "京オ", "オペ", "ペラ"},
		"NHK交響":             {"nhk", "交", "響", "交響"},
		"!!! …":             nil,
	} {
		if got := Terms(in); !slices.Equal(got, want) {
			t.Errorf("Terms(%q) = %q, want %q", in, got, want)
		}
	}
	if w := Words(strings.Repeat("x", 500)); len(w) != 1 || len(w[0].Text) != maxWordRunes {
		t.Errorf("a long word is kept with %d letters", len(w[0].Text))
	}
}

// FuzzWords: the words of any text are valid UTF-8 and never empty.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Beethoven: Symphony No. 9", "東京都交響楽団", "\xff\x00é", "الموسيقى", "ﬃ ｱ", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, w := range Words(s) {
			if w.Text == "" || !utf8.ValidString(w.Text) {
				t.Fatalf("%q has the word %q", s, w.Text)
			}
			for _, p := range w.Pairs() {
				if p == "" || w.Dense && utf8.RuneCountInString(p) > 2 {
					t.Fatalf("%q has the pair %q", s, p)
				}
			}
		}
	})
}
