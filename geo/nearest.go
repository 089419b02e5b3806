package geo

import "time"

// Candidate is one of the places to choose from: a cell and its region.
type Candidate struct {
	Name   string
	Region string // a code of Regions; if it is unknown, At says where it stands
	At     Point  // used only for a region that is not in the table
}

// Measured is a round trip that somebody took.
type Measured struct {
	RTT time.Duration
	At  time.Time
}

// Facts are what is known about the one who asks.
type Facts struct {
	At      Point // where they are, if Located
	Located bool
	RTT     map[string]Measured // to candidates, by name
	Now     time.Time           // to tell fresh from stale
	Last    string              // the candidate chosen last time, if any
}

// Source says what an estimate rests on, best first.
type Source string

// The sources.
const (
	FromMeasurement Source = "measured"
	FromTable       Source = "table"
	FromDistance    Source = "distance"
)

// Limits of judgement.
const (
	// Fresh is how long a measured round trip counts: routes change within
	// minutes, rarely within one.
	Fresh = 5 * time.Minute
	// Hysteresis is how much nearer, in percent of the old choice's round trip,
	// another candidate must be before a choice is changed: less is noise, and
	// every change costs warm caches and connections.
	Hysteresis = 20
	// kmPerMillisecond turns a great circle into a round trip. Light in fibre
	// does 100 km of distance per millisecond of round trip; cables wind. The
	// median over all pairs of the table is 57 (TestKmPerMillisecond…).
	kmPerMillisecond = 57
)

// Estimate is the round trip expected to a candidate.
type Estimate struct {
	Candidate Candidate
	RTT       time.Duration
	Source    Source
}

// Nearest chooses the candidate with the shortest expected round trip, but stays
// with f.Last unless another is nearer by more than Hysteresis. A tie goes to the
// candidate named first. It is false when nothing is known about any of them.
func Nearest(f Facts, candidates []Candidate) (Estimate, bool) {
	var best, last Estimate
	var found, lastFound bool
	for _, c := range candidates {
		e, ok := f.Estimate(c)
		if !ok {
			continue
		}
		if !found || e.RTT < best.RTT {
			best, found = e, true
		}
		if c.Name == f.Last {
			last, lastFound = e, true
		}
	}
	if lastFound && best.RTT >= last.RTT-last.RTT*Hysteresis/100 {
		return last, true
	}
	return best, found
}

// Estimate is the round trip expected to one candidate. All sources speak of the
// same thing, the whole way from the asker to the candidate, so they compare:
// the table's numbers include the asker's way to its nearest region.
func (f Facts) Estimate(c Candidate) (Estimate, bool) {
	if m, ok := f.RTT[c.Name]; ok && m.RTT > 0 && f.Now.Sub(m.At) <= Fresh {
		return Estimate{c, m.RTT, FromMeasurement}, true
	}
	if !f.Located || !f.At.Valid() {
		return Estimate{}, false
	}
	if to, ok := indexOf(c.Region); ok {
		from := nearestIndex(f.At)
		return Estimate{c, rtt(from, to) + overDistance(f.At, regions[from].Point), FromTable}, true
	}
	if c.At == (Point{}) || !c.At.Valid() {
		return Estimate{}, false
	}
	return Estimate{c, overDistance(f.At, c.At), FromDistance}, true
}

func overDistance(a, b Point) time.Duration {
	return time.Duration(DistanceKM(a, b) / kmPerMillisecond * float64(time.Millisecond))
}
