package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"guichet/cell/account"
)

func TestParseOrigins_takesSchemeHostAndPortAsBrowsersSpellThem(t *testing.T) {
	t.Parallel()
	got, err := account.ParseOrigins([]string{"https://www.example.org", "https://WWW.example.org:443", "https://example.org:8443", "http://localhost:3000", "http://127.0.0.1", "https://xn--caf-dma.example", "https://192.0.2.7"})
	want := []string{"https://www.example.org", "https://example.org:8443", "http://localhost:3000", "http://127.0.0.1", "https://xn--caf-dma.example", "https://192.0.2.7"}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%q %v", got, err)
	}
}

// What is taken stands in a Content-Security-Policy and is given to postMessage.
func TestParseOrigins_refusesWhatWidensAPolicy(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "*", "null", "https:", "https://", "https://*", "https://*.example.org", "https://example.org/", "https://example.org/shop", "https://example.org?", "https://example.org#", "https://example.org#a",
		"https://a@example.org", "https://example.org;", "https://example.org; script-src *", "https://example.org https://evil.example", "https://example.org,https://evil.example", "https://example.org'self'",
		"http://example.org", "http://localhost.example.org", "ftp://example.org", "javascript:alert(1)", "data:text/html,x", "//example.org", "example.org", "https://café.example", "https://[::1]", "https://example.org:", "https://example.org:0",
		"https://example.org:65536", "https://example.org:0443", "https://example.org:80a", "https://example.org.", "https://-example.org", "https://exa_mple.org", "https://example.org\n", " https://example.org", "https://example.org%0a", "https:example.org",
		"https://" + strings.Repeat("a", 254), "https://" + strings.Repeat("a.", 200) + "org",
	} {
		if got, err := account.ParseOrigins([]string{text}); !errors.Is(err, account.ErrInvalidOrigin) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	if _, err := account.ParseOrigins(make([]string, account.MaxOrigins+1)); !errors.Is(err, account.ErrInvalidOrigin) {
		t.Error(err)
	}
}
