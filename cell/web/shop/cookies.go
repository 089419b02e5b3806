package shop

import (
	"net/http"
	"time"
)

// The cookies. Each admits to one object, and goes with requests for that object's pages
// alone. Their names say nothing but what they are.
const (
	tokenCookie   = "__Secure-guichet-token"   //nolint:gosec // G101: a name; it admits to what its path names
	orderedCookie = "__Secure-guichet-ordered" // the order that came from the hold in its path
	langCookie    = "guichet_lang"

	holdLife  = 2 * time.Hour
	orderLife = 30 * 24 * time.Hour
	langLife  = 365 * 24 * time.Hour
)

// keep sets a cookie for the pages under a path.
func (v *visit) keep(name, value, path string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: path, MaxAge: int(life / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// cookie is a cookie's value, "" when there is none.
func (v *visit) cookie(name string) string {
	c, err := v.r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// token is what admits to the object in this visit's path.
func (v *visit) token() (string, error) {
	if t := v.cookie(tokenCookie); t != "" {
		return t, nil
	}
	return "", errNoToken
}

// speak remembers the language.
func (v *visit) speak(code string) {
	http.SetCookie(v.w, &http.Cookie{Name: langCookie, Value: code, Path: "/", MaxAge: int(langLife / time.Second), SameSite: http.SameSiteLaxMode, HttpOnly: true, Secure: true})
}
