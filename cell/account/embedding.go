package account

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"guichet/internal/kind"
)

// The bounds of an organizer's list of origins.
const (
	MaxOrigins = 20
	MaxOrigin  = 300 // bytes of one
)

// ErrInvalidOrigin refuses what is not an origin on whose pages a shop may be shown.
var ErrInvalidOrigin = kind.Invalid.New("invalid_origin")

// hostPattern is a name or an IPv4 address. It leaves out all that means something in a
// Content-Security-Policy: spaces, semicolons, commas, quotes and wildcards.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// ParseOrigins reads the origins of the pages on which an organizer's events may be shown
// in a frame, such as https://www.example.org. An origin has a scheme and a host, perhaps a
// port, and nothing else: no path and no wildcard. The scheme is https, because who can
// change a page on its way could put another one around the shop; http is for a developer's
// own machine. The answer has each origin once, as browsers spell it. It fails with
// ErrInvalidOrigin.
func ParseOrigins(list []string) ([]string, error) {
	if len(list) > MaxOrigins {
		return nil, ErrInvalidOrigin.At("/origins", "at most %d origins can be allowed", MaxOrigins)
	}
	out := make([]string, 0, len(list))
	for i, text := range list {
		origin, why := parseOrigin(text)
		if why != "" {
			return nil, ErrInvalidOrigin.At("/origins/"+strconv.Itoa(i), "%s", why)
		}
		if !slices.Contains(out, origin) {
			out = append(out, origin)
		}
	}
	return out, nil
}

// parseOrigin gives an origin as browsers spell it, or why it is none.
func parseOrigin(text string) (origin, why string) {
	if len(text) > MaxOrigin {
		return "", "an origin is shorter"
	}
	u, err := url.Parse(strings.ToLower(text))
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#") {
		return "", "must be an origin like https://www.example.org: a scheme and a host, without a path or a slash at the end"
	}
	host := u.Hostname()
	if len(host) > 253 || !hostPattern.MatchString(host) {
		return "", "the host must be a name or an IPv4 address, without wildcards; a name of other letters is written as xn--"
	}
	own := host == "localhost" || host == "127.0.0.1"
	if u.Scheme != "https" && (u.Scheme != "http" || !own) {
		return "", "the scheme must be https; http is for localhost"
	}
	port := u.Port()
	if strings.HasSuffix(u.Host, ":") {
		return "", "the port is missing"
	}
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port) {
		return "", "the port must be a number from 1 to 65535"
	}
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		port = ""
	}
	if port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + host, ""
}
