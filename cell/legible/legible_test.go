package legible_test

import (
	"strings"
	"testing"
	"unicode"

	"guichet/cell/legible"
)

func TestCheck_refusesWhatTurnsOrHidesText(t *testing.T) {
	for _, r := range []rune{
		0x00AD, 0x034F, 0x061C, 0x115F, 0x180E, 0x200B, 0x200E, 0x200F, 0x2028, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E,
		0x2060, 0x2063, 0x2066, 0x2067, 0x2068, 0x2069, 0x206A, 0x3164, 0xFEFF, 0xFFA0, 0xFFF9, 0xE0041, 0x0007,
	} {
		name := "Ann" + string(r) + "a"
		if legible.Check(name, false) == nil {
			t.Errorf("U+%04X is let through", r)
		}
		if got := legible.Clean(name); !unicode.IsControl(r) && got != "Anna" {
			t.Errorf("cleaned of U+%04X it is %q", r, got)
		}
	}
	for _, name := range []string{"x\u200dy", "\u200cx", "x\u200d", "\u00a0 \ufe0f", "🏴x\U000E0067"} {
		if legible.Check(name, false) == nil {
			t.Errorf("%+q is let through", name)
		}
	}
}

func TestCheck_letsEveryScriptBeWritten(t *testing.T) {
	for _, name := range []string{
		"Zoë O’Brien-Müller", "علی\u200cرضا", "क्\u200dष", "ശ്രീ", "สวัสดี", "日本 太郎", "שלום", "👩\u200d👩\u200d👧\u200d👦", "❤️\u200d🔥", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "Motörhead™ & Co. №5", "Νίκος", "Đặng Thị", "مُحَمَّد",
	} {
		if err := legible.Check(name, false); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if got := legible.Clean(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	if legible.Check("two\nlines\r\n\tand one", true) != nil || legible.Check("two\nlines", false) == nil {
		t.Error("line breaks belong into texts of several lines, and only there")
	}
}

func TestIsolate_keepsTheDirectionOfANameToItself(t *testing.T) {
	if got := legible.Isolate("Anna"); got != "Anna" {
		t.Errorf("%+q", got)
	}
	if got := legible.Isolate("דנה"); !strings.HasPrefix(got, "\u2068") || !strings.HasSuffix(got, "\u2069") {
		t.Errorf("%+q", got)
	}
}
