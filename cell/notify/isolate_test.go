package notify

import (
	"strings"
	"testing"
)

// Without isolation a mail program shows "בית הקברות 24 2026" with the date's parts
// in another order than they are said.
func TestWrite_isolatesNamesThatRunFromRightToLeft(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Event, f.Venue, f.Name = "ערב שירה 2026", "היכל התרבות", "דנה"
	m, err := Write(OrderPaid, "en", f)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{f.Event, f.Venue, f.Name} {
		n := strings.Count(m.Text, name)
		if n == 0 || n != strings.Count(m.Text, "\u2068"+name+"\u2069") {
			t.Errorf("%q stands in the mail %d times, not always isolated", name, n)
		}
	}
}
