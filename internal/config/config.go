// Package config reads a program's configuration from the environment and
// reports all that is wrong with it at once.
package config

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"guichet/internal/signed"
)

// Reader collects faults while values are read.
type Reader struct {
	getenv func(string) string
	faults []error
}

// New reads through getenv, usually os.Getenv.
func New(getenv func(string) string) *Reader { return &Reader{getenv: getenv} }

// Fault adds a fault about a variable.
func (r *Reader) Fault(name, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s %s", name, fmt.Sprintf(format, args...)))
}

// Err is all faults together, nil when there are none.
func (r *Reader) Err() error { return errors.Join(r.faults...) }

// Text is the variable, or the default when it is not set.
func (r *Reader) Text(name, def string) string {
	if v := r.getenv(name); v != "" {
		return v
	}
	return def
}

// Required is the variable; it is a fault when it is not set.
func (r *Reader) Required(name, what string) string {
	v := r.getenv(name)
	if v == "" {
		r.Fault(name, "is not set: %s", what)
	}
	return v
}

// URL is an absolute URL; empty is allowed when def is empty.
func (r *Reader) URL(name, def string) string {
	v := r.Text(name, def)
	if v == "" {
		return ""
	}
	if u, err := url.Parse(v); err != nil || u.Scheme == "" || u.Host == "" {
		r.Fault(name, "is not an absolute URL")
	}
	return v
}

// PublicKeys are Ed25519 public keys, base64url and separated by commas, at most so
// many; none is allowed.
func (r *Reader) PublicKeys(name string, most int) []ed25519.PublicKey {
	text := r.getenv(name)
	if text == "" {
		return nil
	}
	var keys []ed25519.PublicKey
	for item := range strings.SplitSeq(text, ",") {
		key, ok := signed.ParsePublic(strings.TrimSpace(item))
		if !ok {
			r.Fault(name, "has something that is no public key: base64url of 32 bytes is wanted")
			return nil
		}
		keys = append(keys, key)
	}
	if len(keys) > most {
		r.Fault(name, "has %d keys, and at most %d are believed at once", len(keys), most)
	}
	return keys
}

// Seed is the seed of an Ed25519 key, 64 hex digits; it is a fault when it is not set.
func (r *Reader) Seed(name, what string) []byte {
	text := strings.TrimSpace(r.Required(name, what))
	seed, err := hex.DecodeString(text)
	if text != "" && (err != nil || len(seed) != signed.SeedSize) {
		r.Fault(name, "is not 64 hex digits")
		return nil
	}
	return seed
}

// Duration is a Go duration such as "10m".
func (r *Reader) Duration(name string, def time.Duration) time.Duration {
	v := r.getenv(name)
	if v == "" {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		r.Fault(name, "is not a positive duration like 10m")
		return def
	}
	return d
}

// Int is an integer between lo and hi.
func (r *Reader) Int(name string, def, lo, hi int) int {
	v := r.getenv(name)
	if v == "" {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		r.Fault(name, "is not an integer from %d to %d", lo, hi)
		return def
	}
	return n
}

// Bool is "1", "true", "on" or their opposites.
func (r *Reader) Bool(name string, def bool) bool {
	switch r.getenv(name) {
	case "":
		return def
	case "1", "true", "on", "yes":
		return true
	case "0", "false", "off", "no":
		return false
	}
	r.Fault(name, "is neither on nor off")
	return def
}
