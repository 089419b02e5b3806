package catalog

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// isoForm is a duration of ISO 8601 and of RFC 5545 (section 3.3.6): PT1H30M, P2D, P1W.
var isoForm = regexp.MustCompile(`^\+?P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?$`)

// isoDuration reads a duration above zero. Its days have 24 hours: who means dates
// says an end.
func isoDuration(text string) (time.Duration, error) {
	m := isoForm.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("duration %.30q is not like PT1H30M", text)
	}
	var d time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(m[i+1]) // digits by the pattern, or nothing
		d += time.Duration(n) * unit
	}
	if d <= 0 || d > maxLength {
		return 0, fmt.Errorf("duration %.30q is not between 0 and a year", text)
	}
	return d, nil
}

// maxLength is the longest event that is believed.
const maxLength = 366 * 24 * time.Hour
