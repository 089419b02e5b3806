package booking

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// Limits of a recurrence rule.
const (
	maxRule     = 300 // bytes
	maxInterval = 1000
)

// ruleParts is the part of RFC 5545's RRULE that is understood here. What repeats
// within a day is a time slot's business; BYSETPOS, BYWEEKNO and BYYEARDAY are left out,
// and so are ordinals beyond five, on which the library panics (FuzzRule).
var ruleParts = map[string]*regexp.Regexp{
	"FREQ":       regexp.MustCompile(`^(DAILY|WEEKLY|MONTHLY|YEARLY)$`),
	"INTERVAL":   regexp.MustCompile(`^[1-9][0-9]{0,3}$`),
	"COUNT":      regexp.MustCompile(`^[1-9][0-9]{0,3}$`),
	"UNTIL":      regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z$`),
	"BYDAY":      regexp.MustCompile(`^([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?[1-5])?(MO|TU|WE|TH|FR|SA|SU))*$`),
	"BYMONTHDAY": regexp.MustCompile(`^[+-]?([1-9]|[12][0-9]|3[01])(,[+-]?([1-9]|[12][0-9]|3[01]))*$`),
	"BYMONTH":    regexp.MustCompile(`^([1-9]|1[0-2])(,([1-9]|1[0-2]))*$`),
	"WKST":       regexp.MustCompile(`^(MO|TU|WE|TH|FR|SA|SU)$`),
}

const rulePointer = "/rule"

// datesOf expands a rule from its first date, which counts only when the rule has
// it, in the time zone of first: every date has the same time on the wall there.
func datesOf(rule string, first time.Time) ([]time.Time, error) {
	parts, err := readRule(rule)
	if err != nil {
		return nil, err
	}
	option, err := rrule.StrToROption(strings.TrimPrefix(rule, "RRULE:"))
	if err != nil {
		return nil, ErrInvalidSeries.At(rulePointer, "cannot be read: %v", err)
	}
	option.Dtstart = first
	if parts["UNTIL"] == "" { // a COUNT alone could reach for centuries
		option.Until = latest
	}
	r, err := rrule.NewRRule(*option)
	if err != nil {
		return nil, ErrInvalidSeries.At(rulePointer, "makes no sense: %v", err)
	}
	return expand(r)
}

// expand asks the library for the dates. It is not ours and reads what a stranger
// wrote: a panic there is a rule that cannot be had.
func expand(r *rrule.RRule) (dates []time.Time, err error) {
	defer func() {
		if p := recover(); p != nil {
			dates, err = nil, ErrInvalidSeries.At(rulePointer, "cannot be expanded")
		}
	}()
	next := r.Iterator()
	for at, more := next(); more; at, more = next() {
		if len(dates) == MaxOccurrences {
			return nil, ErrSeriesTooLong.At(rulePointer, "gives more than %d dates", MaxOccurrences).Field("limit", int64(MaxOccurrences))
		}
		dates = append(dates, at)
	}
	if len(dates) == 0 {
		return nil, ErrInvalidSeries.At(rulePointer, "gives no date")
	}
	return dates, nil
}

// readRule holds a rule to the parts that are understood, each at most once.
func readRule(rule string) (map[string]string, error) {
	refuse := func(format string, args ...any) error { return ErrInvalidSeries.At(rulePointer, format, args...) }
	if len(rule) > maxRule {
		return nil, refuse("has at most %d bytes", maxRule)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(rule, "RRULE:"), ";") {
		name, value, _ := strings.Cut(part, "=")
		form, known := ruleParts[name]
		if !known {
			return nil, refuse("%.30q is not one of FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH and WKST", name)
		}
		if _, twice := parts[name]; twice {
			return nil, refuse("has %s twice", name)
		}
		if !form.MatchString(value) {
			return nil, refuse("cannot have %s=%.30q", name, value)
		}
		parts[name] = value
	}
	ordinal := strings.ContainsAny(parts["BYDAY"], "0123456789")
	interval, _ := strconv.Atoi(parts["INTERVAL"])
	switch freq := parts["FREQ"]; {
	case freq == "":
		return nil, refuse("must say FREQ")
	case (parts["COUNT"] == "") == (parts["UNTIL"] == ""):
		return nil, refuse("must end: say either COUNT or UNTIL")
	case interval > maxInterval:
		return nil, refuse("has an INTERVAL of at most %d", maxInterval)
	case ordinal && freq != "MONTHLY" && freq != "YEARLY":
		return nil, refuse("can count days like 2MO only when it is MONTHLY or YEARLY")
	case freq == "WEEKLY" && parts["BYMONTHDAY"] != "":
		return nil, refuse("cannot be WEEKLY with BYMONTHDAY")
	case !everHappens(parts["BYMONTH"], parts["BYMONTHDAY"]):
		return nil, refuse("names a day that none of its months has")
	}
	return parts, nil
}

// everHappens says whether a month of the list has a day of the list. A rule of
// dates that never come would be looked for until the year 9999.
func everHappens(months, days string) bool {
	if months == "" || days == "" {
		return true
	}
	for month := range strings.SplitSeq(months, ",") {
		m, _ := strconv.Atoi(month)
		last := time.Date(2028, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() // of a leap year
		if slices.ContainsFunc(strings.Split(days, ","), func(day string) bool {
			d, _ := strconv.Atoi(strings.TrimLeft(day, "+-"))
			return d <= last
		}) {
			return true
		}
	}
	return false
}
