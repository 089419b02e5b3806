// Package keycloaktest gives a test binary one real Keycloak.
package keycloaktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"guichet/internal/keycloak"
)

// What the people and the client of a test's Keycloak know.
const (
	ClientSecret = "the secret of a test's client"
	Password     = "demo-demo-demo" //nolint:gosec // G101: of a test's people
)

var shared struct {
	once   sync.Once
	server *keycloak.Server
	err    error
}

// Start is the Keycloak of this test binary, started by whoever asks first. A test
// that can have none is skipped and says what was not tested. Main stops it.
func Start(t testing.TB, untested string) *keycloak.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short; not tested against a real Keycloak: " + untested)
	}
	shared.once.Do(func() {
		shared.server, shared.err = keycloak.Run(context.Background(), keycloak.Settings{
			SiteURL: "http://127.0.0.1:1", ClientSecret: ClientSecret, DemoPassword: Password, Log: os.Stderr,
		})
	})
	if errors.Is(shared.err, keycloak.ErrMissing) {
		t.Skipf("SKIPPED: %v; not tested against a real Keycloak: %s", shared.err, untested)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// Main runs a package's tests and stops its Keycloak.
func Main(m *testing.M) {
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop Keycloak:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
