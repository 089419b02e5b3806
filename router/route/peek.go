package route

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// NeedsBody reports whether a request's home is named only in its body. The
// router does not read bodies, with this one exception: POST /v1/orders is
// published with the hold in the body, so without a look inside an order could
// not find the one cell that can take it. The look is bounded, strict about
// nothing, and decides nothing but the way.
func NeedsBody(method, path string) bool {
	return method == http.MethodPost && strings.TrimPrefix(strings.Trim(path, "/"), "v1/") == "orders"
}

// PeekHoldID finds the top-level member hold_id of a JSON object, wherever it stands in
// its first PeekLimit bytes, which no body exceeds; empty if there is none, and then the nearest cell says what
// is wrong with the body. It reads tokens, so a name inside a string or an inner
// object does not mislead it; of two members the first counts here, and a cell
// refuses such a body anyway.
func PeekHoldID(body []byte) string {
	if len(body) > PeekLimit {
		body = body[:PeekLimit]
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return ""
		}
		if name != "hold_id" {
			var skipped json.RawMessage
			if dec.Decode(&skipped) != nil {
				return ""
			}
			continue
		}
		value, err := dec.Token()
		text, ok := value.(string)
		if err != nil || !ok {
			return ""
		}
		return text
	}
	return ""
}
