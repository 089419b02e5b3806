package town

import (
	"context"
	"fmt"
	"maps"
	"time"

	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
)

// renewEvery is how often certificates are looked at while the town is open; they
// are made anew when half of their day is over.
const renewEvery = 10 * time.Minute

const tlsName = "tls" // directory of the certificates

// Who is there besides the cells.
var (
	controlPlanePeer = mtls.Peer{Kind: mtls.ControlPlane}
	hubPeer          = mtls.Peer{Kind: mtls.Hub}
	routerPeer       = mtls.Peer{Kind: mtls.Router, Name: "edge"}
	operatorPeer     = mtls.Peer{Kind: mtls.Operator, Name: "town"}
)

func cellPeer(c Cell) mtls.Peer { return mtls.Peer{Kind: mtls.Cell, Name: string(c.ID)} }

// identify makes the town's own authority, which no other town knows, and a
// certificate for each of its machines.
func (t *Town) identify() (err error) {
	if t.authority, err = devca.Open(t.state.path(tlsName), now()); err != nil {
		return err
	}
	return t.certify()
}

// certify sees to it that everybody has a certificate for hours to come.
func (t *Town) certify() error {
	peers := []mtls.Peer{controlPlanePeer, hubPeer, routerPeer, operatorPeer}
	for _, c := range t.opts.Cells {
		peers = append(peers, cellPeer(c))
	}
	for _, p := range peers {
		if _, err := t.authority.Issue(p, now()); err != nil {
			return fmt.Errorf("certificate of %s: %w", p, err)
		}
	}
	return nil
}

// renew keeps the certificates fresh until ctx ends; the programs read them again by
// themselves.
func (t *Town) renew(ctx context.Context) {
	for pause(ctx, renewEvery) == nil {
		if err := t.certify(); err != nil {
			t.out.sayf("renewing the certificates: %v", err)
		}
	}
}

// as is what a program is told of who it is.
func (t *Town) as(p mtls.Peer, env map[string]string) map[string]string {
	f := t.authority.Files(p)
	maps.Copy(env, map[string]string{"GUICHET_TLS_CERT": f.Cert, "GUICHET_TLS_KEY": f.Key, "GUICHET_TLS_CA": f.CA})
	return env
}
