package walltime

import (
	"strings"
	"time"

	"github.com/teambition/rrule-go"

	"guichet/internal/kind"
)

// ErrRule is returned for a recurrence rule that cannot be read.
var ErrRule = kind.Invalid.New("invalid_rule")

// Dates expands an RRULE of RFC 5545 from first by the clock on the wall of
// first's zone, up to last, until yield says false. Times that the clock skips
// are left out and do not count (section 3.3.10); of a time that comes twice the
// first is meant. first counts only when the rule has it.
func Dates(rule string, first, last time.Time, yield func(time.Time) bool) (err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on ordinals that no month has
			err = ErrRule.With("the recurrence rule %.60q cannot be expanded", rule)
		}
	}()
	option, err := rrule.StrToROption(strings.TrimPrefix(rule, "RRULE:"))
	if err != nil {
		return ErrRule.With("the recurrence rule cannot be read: %v", err)
	}
	loc, count := first.Location(), option.Count
	until, err := untilOf(rule, loc)
	if err != nil {
		return err
	}
	if until.IsZero() || until.After(last) {
		until = last
	}
	option.Dtstart, option.Count = Naive(first), 0
	option.Until = Naive(until.In(loc)).Add(reach) // the instants decide below
	r, err := rrule.NewRRule(*option)
	if err != nil {
		return ErrRule.With("the recurrence rule makes no sense: %v", err)
	}
	next, n := r.Iterator(), 0
	for naive, more := next(); more && (count == 0 || n < count); naive, more = next() {
		at, skipped := In(naive, loc)
		if naive.Equal(option.Dtstart) {
			at, skipped = first, nil // which of two is known
		}
		if skipped != nil {
			continue
		}
		if at.After(until) || !yield(at) {
			return nil
		}
		n++
	}
	return nil
}

// untilOf is the last instant of a rule with UNTIL, else zero. A date takes in
// its whole day; a time without a zone is the wall's.
func untilOf(rule string, loc *time.Location) (time.Time, error) {
	for part := range strings.SplitSeq(rule, ";") {
		text, ok := strings.CutPrefix(part, "UNTIL=")
		switch {
		case !ok:
		case strings.HasSuffix(text, "Z"):
			return Parse("20060102T150405Z", text, time.UTC)
		case len(text) == len("20060102"):
			day, err := time.ParseInLocation("20060102", text, time.UTC)
			if err != nil {
				return day, ErrRule.With("UNTIL=%.20q is no date", text)
			}
			noon, err := On(time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, loc), 12*time.Hour)
			return EndOfDay(noon).Add(-time.Second), err
		default:
			return Parse("20060102T150405", text, loc)
		}
	}
	return time.Time{}, nil
}
