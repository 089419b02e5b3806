package httpd

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// codingMark stands in a strong ETag between its own text and the coding that the body was
// sent in.
const codingMark = "+"

// Digest is a text for an ETag that changes with what is shown.
func Digest(shown []byte) string {
	sum := sha256.Sum256(shown)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Unmarked is an ETag as the handler gave it, without what says how the body was coded.
func Unmarked(tag string) string {
	if strings.HasSuffix(tag, `"`) {
		for i := range codings {
			if own, ok := strings.CutSuffix(tag, codingMark+codings[i].name+`"`); ok {
				return own + `"`
			}
		}
	}
	return tag
}

// NoneMatch says which ETag of the request's If-None-Match is that of the answer, by the
// weak comparison of RFC 9110, 8.8.3.2; "" for none. The text of ours has no comma.
func NoneMatch(r *http.Request, etag string) string {
	for _, line := range r.Header.Values("If-None-Match") {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimSpace(item)
			if item == "*" {
				return etag
			}
			if strings.TrimPrefix(Unmarked(item), "W/") == strings.TrimPrefix(etag, "W/") {
				return item
			}
		}
	}
	return ""
}
