package booking

import (
	"net/url"
	"time"

	"guichet/cell/walltime"
)

// Limits of a source's credit, in characters.
const (
	maxSourceText = 500
	maxSourceURL  = 2000
)

// Times outside of these cannot all be written down: a zone's offset carries
// the years 0 and 9999 out of what RFC 3339 has digits for.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// tooFine is said of what the database would round: it is refused, not lost.
const tooFine = "must not be more precise than a microsecond"

func inBounds(at string, t *time.Time) error {
	if t != nil && (t.Before(earliest) || t.After(latest)) {
		return ErrInvalidEvent.At(at, "must be between the years %d and %d", earliest.Year(), latest.Year())
	}
	if t != nil && !walltime.Kept(*t) {
		return ErrInvalidEvent.At(at, tooFine)
	}
	return nil
}

// check keeps what travels into every cell's catalogue small and printable, and
// a link one that a browser may follow.
func (s *Source) check() error {
	if s == nil {
		return nil
	}
	for _, f := range []struct{ at, value string }{
		{"/source/name", s.Name}, {"/source/id", s.ID}, {"/source/licence", s.Licence}, {"/source/credit", s.Credit},
	} {
		if err := text(f.at, f.value, 0, maxSourceText, false); err != nil {
			return err
		}
	}
	if s.URL == "" {
		return nil
	}
	u, err := url.Parse(s.URL)
	if err != nil || len(s.URL) > maxSourceURL || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ErrInvalidEvent.At("/source/url", "must be a link with http or https of at most %d bytes", maxSourceURL)
	}
	return nil
}
