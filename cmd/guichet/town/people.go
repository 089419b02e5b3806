package town

import (
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Where a town's people sign in.
const (
	identityOwn      = "own"      // the town's own issuer, which asks for no password
	identityKeycloak = "keycloak" // a real Keycloak, if this machine can run one
	identityNone     = "none"
)

const nameIdentity = "issuer"

// parseIdentity takes also the URL of an issuer that somebody else runs; the
// environment then holds GUICHET_OIDC_CLIENT_SECRET.
func parseIdentity(text string) error {
	switch text {
	case identityOwn, identityKeycloak, identityNone:
		return nil
	}
	if u, err := url.Parse(text); err != nil || u.Host == "" {
		return errors.New("--identity is own, keycloak, none or the URL of an issuer")
	}
	return nil
}

// addIdentity plans the issuer, unless somebody else runs it.
func (t *Town) addIdentity() {
	port, site := t.ports.identity(), httpURL(t.ports.router())
	p := &part{rank: rankSandbox, name: nameIdentity, where: t.state.path(nameIdentity)}
	var args []string
	switch t.opts.Identity {
	case identityOwn:
		p.url = httpURL(port)
		args = []string{"issuer", "--listen", local(port), "--site", site}
	case identityKeycloak: // has no url: nobody waits the minute that it takes, and cells say meanwhile that it is away
		args = []string{"keycloak", "--port", strconv.Itoa(port), "--site", site}
	default:
		return
	}
	t.program(p, "guichet", args, func() map[string]string {
		return map[string]string{"GUICHET_OIDC_CLIENT_SECRET": t.clientSecret(), "GUICHET_DEMO_PASSWORD": demoPassword}
	})
	t.add(p, port)
}

// demoPassword is what the demo people of a Keycloak on this machine know.
const demoPassword = "demo-demo-demo" //nolint:gosec // G101: of demo people, and documented

// issuer is the issuer's URL, empty for none.
func (t *Town) issuer() string {
	switch t.opts.Identity {
	case identityOwn:
		return httpURL(t.ports.identity())
	case identityKeycloak:
		return httpURL(t.ports.identity()) + "/realms/guichet"
	case identityNone, "":
		return ""
	}
	return t.opts.Identity
}

// addIssuer tells a cell where people sign in.
func (t *Town) addIssuer(env map[string]string) {
	if issuer := t.issuer(); issuer != "" {
		env["GUICHET_OIDC_ISSUER"] = issuer
		env["GUICHET_OIDC_CLIENT_ID"] = "guichet-cell"
		env["GUICHET_OIDC_CLIENT_SECRET"] = t.clientSecret()
	}
}

// clientSecret is what the cells show the issuer; the town makes it up when it runs the
// issuer itself.
func (t *Town) clientSecret() string {
	if strings.Contains(t.opts.Identity, "://") {
		return os.Getenv("GUICHET_OIDC_CLIENT_SECRET")
	}
	return t.state.record.ClientSecret
}

// completePeople makes the secret that cells share with the town's issuer.
func (r *record) completePeople() {
	if r.ClientSecret == "" {
		r.ClientSecret = rand.Text()
	}
}
