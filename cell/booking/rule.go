package booking

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"guichet/cell/walltime"
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
func datesOf(rule string, first time.Time) (dates []time.Time, err error) {
	if err := readRule(rule); err != nil {
		return nil, err
	}
	if err := walltime.Dates(rule, first, latest, func(at time.Time) bool {
		dates = append(dates, at)
		return len(dates) <= MaxOccurrences
	}); err != nil {
		return nil, ErrInvalidSeries.At(rulePointer, "%v", err)
	}
	switch {
	case len(dates) > MaxOccurrences:
		return nil, ErrSeriesTooLong.At(rulePointer, "gives more than %d dates", MaxOccurrences).Field("limit", int64(MaxOccurrences))
	case len(dates) == 0:
		return nil, ErrInvalidSeries.At(rulePointer, "gives no date")
	}
	return dates, nil
}

// readRule holds a rule to the parts that are understood, each at most once.
func readRule(rule string) error {
	refuse := func(format string, args ...any) error { return ErrInvalidSeries.At(rulePointer, format, args...) }
	if len(rule) > maxRule {
		return refuse("has at most %d bytes", maxRule)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(rule, "RRULE:"), ";") {
		name, value, _ := strings.Cut(part, "=")
		form, known := ruleParts[name]
		if !known {
			return refuse("%.30q is not one of FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH and WKST", name)
		}
		if _, twice := parts[name]; twice {
			return refuse("has %s twice", name)
		}
		if !form.MatchString(value) {
			return refuse("cannot have %s=%.30q", name, value)
		}
		parts[name] = value
	}
	ordinal := strings.ContainsAny(parts["BYDAY"], "0123456789")
	interval, _ := strconv.Atoi(parts["INTERVAL"])
	switch freq := parts["FREQ"]; {
	case freq == "":
		return refuse("must say FREQ")
	case (parts["COUNT"] == "") == (parts["UNTIL"] == ""):
		return refuse("must end: say either COUNT or UNTIL")
	case interval > maxInterval:
		return refuse("has an INTERVAL of at most %d", maxInterval)
	case ordinal && freq != "MONTHLY" && freq != "YEARLY":
		return refuse("can count days like 2MO only when it is MONTHLY or YEARLY")
	case freq == "WEEKLY" && parts["BYMONTHDAY"] != "":
		return refuse("cannot be WEEKLY with BYMONTHDAY")
	case !everHappens(parts["BYMONTH"], parts["BYMONTHDAY"]):
		return refuse("names a day that none of its months has")
	}
	return nil
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
