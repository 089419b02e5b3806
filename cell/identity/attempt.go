package identity

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"time"

	"guichet/control-plane/topology"
)

// AttemptLife is how long somebody may take at the issuer.
const AttemptLife = 10 * time.Minute

const (
	purposeAttempt = "attempt"
	purposeMail    = "mail"  // an attempt that waits for a mailed link, and is none at an issuer
	maxUsed        = 100_000 // attempts that were completed and are not over yet
	maxNext        = 512
)

// Attempt is a sign-in that has begun. It is bound to a browser by a cookie that holds
// it encrypted.
type Attempt struct {
	State    string    `json:"s"` // names the cell, which must get the answer: euw3.RANDOM
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // of PKCE
	Next     string    `json:"x"` // where the person wanted to go
	Until    time.Time `json:"u"`
}

func newAttempt(cell topology.CellID, next string, now time.Time) Attempt {
	return Attempt{
		State: cell.String() + "." + rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), // 52 characters; RFC 7636 wants 43 at least
		Next: LocalPath(next), Until: now.Add(AttemptLife).UTC().Truncate(time.Second),
	}
}

func (s *Service) sealAttempt(purpose string, a Attempt) string {
	text, _ := json.Marshal(a) // has no value that cannot be written
	return s.box.seal(s.cell.String(), purpose, text)
}

func (s *Service) openAttempt(purpose, cookie string) (a Attempt, ok bool) {
	text, ok := s.box.open(s.cell.String(), purpose, cookie)
	if !ok || json.Unmarshal(text, &a) != nil {
		return Attempt{}, false
	}
	return a, s.now().Before(a.Until)
}

// LocalPath is where somebody wants to go, if that is a path of this site; else the
// account's page. A foreign address in a link must not become a redirect.
func LocalPath(next string) string {
	const home = "/account"
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(next, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsFunc(next+u.Path, func(r rune) bool { return r <= ' ' || r == '\\' || r >= 0x7f }) {
		return home
	}
	return next
}

// once remembers for a while what was used, in this process. What another process lets
// pass again, the issuer refuses: a code is good for one time there too.
type once struct {
	mu   sync.Mutex
	used map[string]time.Time
}

// take says whether a thing is used for the first time. It refuses when there is no
// room to remember it.
func (o *once) take(what string, until, now time.Time) (first, room bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if at, taken := o.used[what]; taken && now.Before(at) {
		return false, true
	}
	if len(o.used) >= maxUsed {
		for k, at := range o.used {
			if !now.Before(at) {
				delete(o.used, k)
			}
		}
		if len(o.used) >= maxUsed {
			return false, false
		}
	}
	if o.used == nil {
		o.used = map[string]time.Time{}
	}
	o.used[what] = until
	return true, true
}
