package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/access"
	"guichet/cell/api"
	"guichet/cell/client"
	"guichet/cell/converge"
	"guichet/cell/id"
	"guichet/cell/identity"
	"guichet/cell/identity/oidc"
	"guichet/cell/notify"
	"guichet/cell/store"
	"guichet/cell/web/account"
	"guichet/control-plane/topology"
	"guichet/internal/config"
	"guichet/internal/mtls"
	"guichet/internal/signed"
)

// peerDeadline bounds a call to another cell.
const peerDeadline = 5 * time.Second

// peopleSettings say where people sign in.
type peopleSettings struct {
	issuer string // GUICHET_OIDC_ISSUER; empty: nobody can sign in
	client string // GUICHET_OIDC_CLIENT_ID
	secret string // GUICHET_OIDC_CLIENT_SECRET
	cli    string // GUICHET_OIDC_CLI_CLIENT_ID
	roles  string // GUICHET_OIDC_ROLES_CLAIM
}

func configurePeople(r *config.Reader) peopleSettings {
	s := peopleSettings{
		issuer: r.URL("GUICHET_OIDC_ISSUER", ""), client: r.Text("GUICHET_OIDC_CLIENT_ID", "guichet-cell"),
		cli: r.Text("GUICHET_OIDC_CLI_CLIENT_ID", "guichet-cli"), roles: r.Text("GUICHET_OIDC_ROLES_CLAIM", "roles"),
	}
	if u, err := url.Parse(s.issuer); err == nil && u.Scheme != "https" && s.issuer != "" && u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() {
		r.Fault("GUICHET_OIDC_ISSUER", "is not https: whoever stands between could sign in as anybody")
	}
	if s.issuer != "" {
		s.secret = r.Required("GUICHET_OIDC_CLIENT_SECRET", "the secret of this cell's client at the issuer")
	}
	return s
}

// openPeople joins what lets people sign in: the issuer, the pages, and the calls for
// programs.
func (h *house) openPeople(reg *prometheus.Registry) error {
	set := h.cfg.People
	cfg := identity.Config{
		Cell: h.cfg.Cell, Signer: h.cfg.Access, Keys: func() signed.Keys { return h.cfg.Access.Keys(h.atlas.Current()) }, Revocations: h.server.Accounts, Mailbox: mailbox{h.server.Mails, h.store}, Now: time.Now,
	}
	if set.issuer != "" {
		h.issuer = oidc.New(oidc.Config{
			Issuer: set.issuer, ClientID: set.client, ClientSecret: set.secret, CLI: set.cli, RolesClaim: set.roles, SiteURL: h.cfg.Site, Now: time.Now,
		})
		cfg.Issuer = h.issuer
		h.server.SignIn = client.SignInPlace{Issuer: set.issuer, ClientID: set.cli}
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "guichet_issuer_reached", Help: "1 once the issuer at which people sign in was reached since the start; 0 for long: nobody can sign in here.",
		}, func() float64 {
			if h.issuer.Reached() {
				return 1
			}
			return 0
		}))
	}
	service, err := identity.New(cfg)
	if err != nil {
		return err
	}
	h.server.People = service
	h.server.Peers = (&peers{identity: h.identity, clients: map[topology.CellID]*http.Client{}}).client
	signIns := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_account_pages_total", Help: "What people did on the account's pages and how it ended. Many issuer_unavailable: the issuer is away; many logout_token_invalid: somebody forges, or the issuer's clock is wrong.",
	}, []string{"action", "result"})
	reg.MustRegister(signIns)
	h.pages, err = account.New(account.Config{
		Cell: h.cfg.Cell, Identity: service, SiteURL: h.cfg.Site, Issuer: set.issuer, Invitations: invitations{h.server},
		Watch: func(action, result string) { signIns.WithLabelValues(action, result).Inc() },
	})
	return err
}

// peers are the ways to other cells, each to the cell of its name alone.
type peers struct {
	identity *mtls.Identity // nil speaks plain HTTP

	mu      sync.Mutex
	clients map[topology.CellID]*http.Client // of cells on the signed map
}

func (p *peers) client(cell topology.CellID) *http.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients[cell] == nil {
		c := mtls.HTTP(p.identity, mtls.Only(mtls.Peer{Kind: mtls.Cell, Name: cell.String()}))
		c.Timeout = peerDeadline
		p.clients[cell] = c
	}
	return p.clients[cell]
}

// forCells says whether another cell may read a path: where it gathers a person's tickets
// with the person's own token, or an organizer's events and series with a key that the
// organizer's cell has made for that, and where cells compare their catalogues.
func forCells(path string) bool {
	if path == "/v1/me/tickets" || strings.HasPrefix(path, converge.Path) {
		return true
	}
	of, list, _ := strings.Cut(strings.TrimPrefix(path, "/v1/organizers/"), "/")
	return strings.HasPrefix(path, "/v1/organizers/") && of != "" && (list == "events" || list == "series")
}

// mailbox mails links that sign people in.
type mailbox struct {
	*notify.Service
	*store.Store
}

// invitations are those that the cell's calls know, for its pages.
type invitations struct{ server *api.Server }

// Open implements account.Invitations.
func (i invitations) Open(token string) (name string, home topology.CellID, err error) {
	of, err := i.server.OpenInvitation(token)
	if err != nil {
		return "", "", err
	}
	return of.String(), of.Key().Birth, nil
}

// Look implements account.Invitations.
func (i invitations) Look(ctx context.Context, p access.Person, token string) (account.Offer, error) {
	joined, fresh, err := i.server.LookAtInvitation(ctx, p, token)
	if err != nil {
		return account.Offer{}, err
	}
	return i.offer(ctx, joined, !fresh)
}

// Accept implements account.Invitations.
func (i invitations) Accept(r *http.Request, p access.Person, token string) (account.Offer, error) {
	joined, err := i.server.AcceptInvitation(r, p, token)
	if err != nil {
		return account.Offer{}, err
	}
	return i.offer(r.Context(), joined, true)
}

// offer names the organizer.
func (i invitations) offer(ctx context.Context, joined client.Joined, member bool) (account.Offer, error) {
	of, err := id.ParseOrganizer(joined.OrganizerID)
	if err != nil {
		return account.Offer{}, err
	}
	org, err := i.server.Booking.Store.Organizer(ctx, of)
	if err != nil {
		return account.Offer{}, fmt.Errorf("read organizer: %w", err)
	}
	return account.Offer{Organizer: org.Name, Role: joined.Member.Role, Email: joined.Member.Email, Member: member}, nil
}

// handler is all that the cell serves in public.
func (h *house) handler() http.Handler {
	calls, catalogue := h.calls, h.converging.home.Handler()
	return cellsOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/account" || strings.HasPrefix(r.URL.Path, "/account/") {
			h.pages.ServeHTTP(w, r)
			return
		}
		if h.shop.Serves(r) {
			h.shop.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, converge.Path) {
			catalogue.ServeHTTP(w, r)
			return
		}
		calls.ServeHTTP(w, r)
	}))
}

// cellsOnly keeps another cell from every call but those that are for cells.
func cellsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, ok := mtls.PeerOf(r.TLS); ok && peer.Kind == mtls.Cell && (r.Method != http.MethodGet || !forCells(r.URL.Path)) {
			http.Error(w, "cells ask cells only for what they gather and compare", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
