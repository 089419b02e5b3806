package main

import (
	"crypto/ed25519"
	"net"

	"guichet/control-plane/topology/seal"
	"guichet/internal/config"
	"guichet/internal/mtls"
)

// settings is what the environment says.
type settings struct {
	Listen     string              // GUICHET_LISTEN
	Database   string              // GUICHET_DATABASE_URL
	StateDir   string              // GUICHET_STATE_DIR: the hub's streams
	HubListen  string              // GUICHET_HUB_LISTEN: for tools and people
	HubLeaves  string              // GUICHET_HUB_LEAF_LISTEN: where the cells' leaves dial
	LeafSecret string              // GUICHET_HUB_LEAF_SECRET: leaves dial nats-leaf://leaf:<secret>@…; may be empty on a private network
	Seed       []byte              // GUICHET_CONTROL_SEED: signs the map and operators' tokens
	Previous   []ed25519.PublicKey // GUICHET_CONTROL_KEY: public halves that are believed besides, while the key is changed
	MaxConns   int                 // GUICHET_DATABASE_CONNECTIONS
	Private    string              // GUICHET_PRIVATE_LISTEN: metrics and readiness
	TLS        mtls.Files          // GUICHET_TLS_CERT, GUICHET_TLS_KEY, GUICHET_TLS_CA
}

const (
	defaultConns = 8
)

func configure(getenv func(string) string) (settings, error) {
	r := config.New(getenv)
	s := settings{
		Listen:     address(r, "GUICHET_LISTEN", "127.0.0.1:8090"),
		Database:   r.Required("GUICHET_DATABASE_URL", "the control plane's own database, postgres://…"),
		StateDir:   r.Required("GUICHET_STATE_DIR", "a directory for the hub's streams"),
		Private:    address(r, "GUICHET_PRIVATE_LISTEN", "127.0.0.1:9090"),
		TLS:        mtls.Settings(r),
		HubListen:  address(r, "GUICHET_HUB_LISTEN", "127.0.0.1:4290"),
		HubLeaves:  address(r, "GUICHET_HUB_LEAF_LISTEN", "127.0.0.1:4291"),
		LeafSecret: r.Text("GUICHET_HUB_LEAF_SECRET", ""),
		Seed:       r.Seed("GUICHET_CONTROL_SEED", "64 hex digits of the key that signs the map and operators' tokens"),
		Previous:   r.PublicKeys("GUICHET_CONTROL_KEY", seal.MaxPinned),
		MaxConns:   r.Int("GUICHET_DATABASE_CONNECTIONS", defaultConns, 2, 200),
	}
	return s, r.Err()
}

func address(r *config.Reader, name, def string) string {
	v := r.Text(name, def)
	if _, _, err := net.SplitHostPort(v); err != nil {
		r.Fault(name, "is not host:port")
	}
	return v
}
