package search

import (
	"testing"
	"time"
)

// TestLine_isWholeOnlyForWhoHeardAllThatWasTold keeps P9: what a beat confirms is
// known only to who heard it said.
func TestLine_isWholeOnlyForWhoHeardAllThatWasTold(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	type beat struct {
		run        string
		seq, whole int64
		at         time.Duration // as_of and receipt
		back       time.Duration // how far the cell's clock is behind
	}
	for name, c := range map[string]struct {
		beats []beat
		want  bool
		last  int64
	}{
		"all in one beat":              {[]beat{{"a", 1, 1, 1, 0}}, true, 1},
		"a round under way":            {[]beat{{"a", 1, 0, 1, 0}, {"a", 2, 0, 2, 0}}, false, 2},
		"the round's end":              {[]beat{{"a", 1, 0, 1, 0}, {"a", 2, 1, 2, 0}}, true, 2},
		"came in the middle":           {[]beat{{"a", 5, 1, 1, 0}, {"a", 6, 1, 2, 0}}, false, 6},
		"one is missing":               {[]beat{{"a", 1, 1, 1, 0}, {"a", 3, 1, 3, 0}}, false, 3},
		"missing in the round":         {[]beat{{"a", 1, 1, 1, 0}, {"a", 3, 1, 3, 0}, {"a", 4, 2, 4, 0}}, false, 4},
		"told again after the gap":     {[]beat{{"a", 1, 1, 1, 0}, {"a", 3, 1, 3, 0}, {"a", 4, 3, 4, 0}}, true, 4},
		"the missing one comes late":   {[]beat{{"a", 1, 1, 1, 0}, {"a", 3, 1, 3, 0}, {"a", 2, 1, 4, 0}}, false, 3},
		"twice":                        {[]beat{{"a", 1, 1, 1, 0}, {"a", 1, 1, 2, 0}}, true, 1},
		"a new run":                    {[]beat{{"a", 1, 1, 1, 0}, {"b", 1, 0, 2, 0}}, false, 1},
		"an old run's late beat":       {[]beat{{"a", 9, 9, 2, 0}, {"b", 4, 4, 1, 0}}, true, 9},
		"without numbers":              {[]beat{{"", 0, 0, 1, 0}, {"", 0, 0, 2, 0}}, false, 0},
		"a clock set back":             {[]beat{{"a", 1, 1, 10, 0}, {"a", 2, 1, 11, 5}}, true, 2},
		"and a new run":                {[]beat{{"a", 4, 1, 10, 0}, {"b", 1, 1, 12, 5}}, false, 4},
		"and a new run, long after":    {[]beat{{"a", 4, 1, 10, 0}, {"b", 1, 1, 1 + lineForgotten, lineForgotten}}, false, 4},
		"and a new run, later than it": {[]beat{{"a", 4, 1, 10, 0}, {"b", 1, 1, 11 + lineForgotten, lineForgotten + 5}}, true, 1},
	} {
		var l Line
		for i, b := range c.beats {
			next, news := l.Hear(Beat{Run: b.run, Seq: b.seq, Whole: b.whole, AsOf: start.Add(b.at - b.back)}, start.Add(b.at))
			if l = next; news && l.Heard.After(start.Add(b.at)) {
				t.Errorf("%s: beat %d is true at %s, received %s before", name, i, l.Heard, l.Heard.Sub(start.Add(b.at)))
			}
		}
		if l.Whole != c.want || l.Last != c.last {
			t.Errorf("%s: whole %t at %d, want %t at %d", name, l.Whole, l.Last, c.want, c.last)
		}
	}
}
