package search

import "time"

// lineForgotten is after how long of silence the clock of a cell's last beat binds the
// next one no more: by then no beat of an earlier run can still arrive (beats are gone
// from the streams after two minutes), and a clock that was set back must not keep a
// cell's hints unknown.
const lineForgotten = 5 * time.Minute

// Line is what a reader knows of a cell's beats. Whether its hints can be shown
// depends on it: a beat says that the rest still holds, and that is true only for who
// heard the rest (P9).
type Line struct {
	Run   string    // whose beats were heard last
	First int64     // from here on none is missing
	Last  int64     // the newest one
	Whole bool      // since First everything was told
	AsOf  time.Time // of the newest one, the cell's clock
	Heard time.Time // AsOf, or when it was received, if that was earlier: a clock that is ahead makes nothing fresh for longer
}

// Hear takes in a beat that was received at the given time, and says whether it is
// news: one that comes late or again changes nothing, and is counted as missing.
func (l Line) Hear(b Beat, received time.Time) (next Line, news bool) {
	switch {
	case b.Run != "" && b.Run == l.Run: // its own order counts, whatever its clock says
		if b.Seq <= l.Last {
			return l, false
		}
		if b.Seq > l.Last+1 {
			l.First, l.Whole = b.Seq, false
		}
	case b.AsOf.After(l.AsOf) || received.Sub(l.Heard) > lineForgotten:
		l = Line{Run: b.Run, First: b.Seq}
	default:
		return l, false // of an earlier run
	}
	l.Last, l.AsOf, l.Heard = b.Seq, b.AsOf, b.AsOf
	if received.Before(b.AsOf) {
		l.Heard = received
	}
	// Without numbers nothing says that all was heard.
	l.Whole = b.Run != "" && (l.Whole || b.Whole > 0 && l.First <= b.Whole)
	return l, true
}
