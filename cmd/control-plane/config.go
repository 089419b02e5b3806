package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"guichet/control-plane/hub"
	"guichet/control-plane/topology"
	"guichet/control-plane/topology/seal"
	"guichet/internal/config"
	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/internal/natsd"
)

// settings is what the environment says.
type settings struct {
	Listen    string // GUICHET_LISTEN
	Database  string // GUICHET_DATABASE_URL
	StateDir  string // GUICHET_STATE_DIR: the hub's streams
	HubLeaves string // GUICHET_HUB_LEAF_LISTEN: where the cells' leaves dial
	// GUICHET_CELL_NKEYS: euw3=U…,use1=U…: cells whose leaves may attach before the
	// register knows them; those that joined with an nkey may as well.
	CellNKeys []hub.Identity
	Seed      []byte              // GUICHET_CONTROL_SEED: signs the map and operators' tokens
	Previous  []ed25519.PublicKey // GUICHET_CONTROL_KEY: public halves that are believed besides, while the key is changed
	MaxConns  int                 // GUICHET_DATABASE_CONNECTIONS
	Private   string              // GUICHET_PRIVATE_LISTEN: metrics and readiness
	Notice    time.Duration       // GUICHET_DRAIN_NOTICE: how long requests are still taken after readiness is gone
	TLS       mtls.Files          // GUICHET_TLS_CERT, GUICHET_TLS_KEY, GUICHET_TLS_CA
}

const (
	defaultConns = 8
)

func configure(getenv func(string) string) (settings, error) {
	r := config.New(getenv)
	s := settings{
		Listen:    address(r, "GUICHET_LISTEN", "127.0.0.1:8090"),
		Database:  r.Required("GUICHET_DATABASE_URL", "the control plane's own database, postgres://…"),
		StateDir:  r.Required("GUICHET_STATE_DIR", "a directory for the hub's streams"),
		Private:   address(r, "GUICHET_PRIVATE_LISTEN", "127.0.0.1:9090"),
		Notice:    r.Duration("GUICHET_DRAIN_NOTICE", httpd.DefaultNotice),
		TLS:       mtls.Settings(r),
		HubLeaves: address(r, "GUICHET_HUB_LEAF_LISTEN", "127.0.0.1:4291"),
		Seed:      r.Seed("GUICHET_CONTROL_SEED", "64 hex digits of the key that signs the map and operators' tokens"),
		Previous:  r.PublicKeys("GUICHET_CONTROL_KEY", seal.MaxPinned),
		MaxConns:  r.Int("GUICHET_DATABASE_CONNECTIONS", defaultConns, 2, 200),
	}
	var err error
	if s.CellNKeys, err = parseNKeys(r.Text("GUICHET_CELL_NKEYS", "")); err != nil {
		r.Fault("GUICHET_CELL_NKEYS", "is not like euw3=U…,use1=U…: %s", err.Error())
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

// parseNKeys reads cell=nkey pairs. A cell may stand there twice, while it changes its key.
func parseNKeys(text string) ([]hub.Identity, error) {
	var out []hub.Identity
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, nkey, _ := strings.Cut(pair, "=")
		cell, err := topology.ParseCell(name)
		if err != nil {
			return nil, fmt.Errorf("%.20q is not a cell", name)
		}
		if !natsd.IsPublicNKey(nkey) {
			return nil, errors.New("the nkey of " + name + " is not the public half of a user's nkey")
		}
		out = append(out, hub.Identity{Cell: cell, NKey: nkey})
	}
	return out, nil
}
