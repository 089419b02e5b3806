package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The hours in free texts of the Hong Kong programme:
//
//	31/01/2026(Sat)19:30                      24-hour clock
//	6, 13/12/2025 (Sat) 2:00pm-3:00pm         12-hour clock, 12:00nn for noon
//	Jul-Dec 2025 (Every Sat) 1700-1900        four digits, ranges only: 2025 alone is a year
var (
	clockTime = regexp.MustCompile(`(?i)\b(\d{1,2})(?::(\d{2})\s*(am|pm|nn|noon|mn)?|\s*(am|pm|nn|noon))\b`)
	dash      = regexp.MustCompile(`^\s*[-–—]+\s*`)
	fourDigit = regexp.MustCompile(`\b([01]\d|2[0-3])([0-5]\d)\s*-\s*([01]\d|2[0-4])([0-5]\d)\b`)
	hourWords = regexp.MustCompile(`(?i)(\d{1,2})\s*(?:hours?|hrs?)`)
	minWords  = regexp.MustCompile(`(?i)(\d{1,3})[\s-]*min`)
)

// hoursOn finds the start after midnight and, if it is said, the length on a day:
// the first time after the day's own date, else the first in the text.
func hoursOn(text string, day time.Time) (start, length time.Duration, ok bool) {
	for _, layout := range []string{"02/01/2006", "2/1/2006", "02/1/2006", "2/01/2006"} {
		if _, after, found := strings.Cut(text, day.Format(layout)); found {
			if start, length, ok := hoursIn(after); ok {
				return start, length, true
			}
		}
	}
	return hoursIn(text)
}

// hoursIn finds the first time, or range of times, in a text.
func hoursIn(text string) (start, length time.Duration, ok bool) {
	clock := clockTime.FindStringSubmatchIndex(text)
	if four := fourDigit.FindStringSubmatchIndex(text); four != nil && (clock == nil || four[0] < clock[0]) {
		if from, to, ok := fourDigits(text, four); ok {
			return from, max(to-from, 0), true
		}
	}
	if clock == nil {
		return 0, 0, false
	}
	from, half, ok := readClock(text, clock)
	if !ok {
		return 0, 0, false
	}
	rest := text[clock[1]:]
	gap := dash.FindString(rest)
	if next := clockTime.FindStringSubmatchIndex(rest[len(gap):]); gap != "" && next != nil && next[0] == 0 {
		if to, _, ok := readClock(rest[len(gap):], next); ok {
			if half == "" && from < 12*time.Hour && from+12*time.Hour < to {
				from += 12 * time.Hour // "2:00-3:00pm"
			}
			return from, max(to-from, 0), true
		}
	}
	return from, 0, true
}

// fourDigits reads a range like 1700-1900; "2025-2026" are years.
func fourDigits(text string, m []int) (from, to time.Duration, ok bool) {
	a, b := text[m[0]:m[0]+4], text[m[6]:m[9]]
	if strings.HasPrefix(a, "20") && strings.HasPrefix(b, "20") {
		return 0, 0, false
	}
	return hm(text[m[2]:m[3]], text[m[4]:m[5]]), hm(text[m[6]:m[7]], text[m[8]:m[9]]), true
}

// readClock turns a match of clockTime into a time after midnight.
func readClock(text string, m []int) (at time.Duration, half string, ok bool) {
	group := func(i int) string {
		if m[2*i] < 0 {
			return ""
		}
		return text[m[2*i]:m[2*i+1]]
	}
	half = strings.ToLower(group(3) + group(4))
	at = hm(group(1), group(2))
	switch {
	case half == "pm" && at < 12*time.Hour:
		at += 12 * time.Hour
	case (half == "am" || half == "mn") && at >= 12*time.Hour && at < 13*time.Hour:
		at -= 12 * time.Hour
	}
	return at, half, at < 24*time.Hour && (group(2) == "" || group(2) < "60")
}

func hm(hours, minutes string) time.Duration {
	h, _ := strconv.Atoi(hours)   // digits by the pattern
	m, _ := strconv.Atoi(minutes) // digits or nothing
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
}

// lengthIn reads "1hr25mins" or "about 1 hour and 10 minutes"; 0 if there is none.
func lengthIn(text string) time.Duration {
	var h, m string
	if x := hourWords.FindStringSubmatch(text); x != nil {
		h = x[1]
	}
	if x := minWords.FindStringSubmatch(text); x != nil && !strings.Contains(strings.ToLower(text), x[0]+"ute intermission") {
		m = x[1]
	}
	return hm(h, m)
}

// localTime reads "13:00 UTC-6", "20:30 UTC+5:30" or "13:00" of openfootball; the
// offset is in seconds east of UTC.
var offsetTime = regexp.MustCompile(`^(\d{1,2}):(\d{2})(?:\s*UTC([+-])(\d{1,2})(?::(\d{2}))?)?$`)

func localTime(text string) (at time.Duration, offset int, hasOffset bool, err error) {
	m := offsetTime.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || m[1] > "23" && len(m[1]) == 2 || m[2] > "59" {
		return 0, 0, false, fmt.Errorf("time %.30q is not like 13:00 UTC-6", text)
	}
	if m[3] != "" {
		offset = int(hm(m[4], m[5]).Seconds())
		if m[3] == "-" {
			offset = -offset
		}
	}
	return hm(m[1], m[2]), offset, m[3] != "", nil
}
