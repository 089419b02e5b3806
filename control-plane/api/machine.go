package api

import (
	"crypto/ed25519"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/mtls"
	"guichet/internal/signed"
	"guichet/internal/signed/request"
)

// heard checks that a cell says this: its certificate, where there is TLS, and its
// signature with one of the keys; nothing is heard twice.
func (a *API) heard(c *gin.Context, cell topology.CellID, urls []string, keys []topology.Key, body []byte) (kid string, at time.Time, err error) {
	if peer, known := mtls.PeerOf(c.Request.TLS); known && peer != (mtls.Peer{Kind: mtls.Cell, Name: string(cell)}) {
		return "", time.Time{}, ErrOtherCell.With("the certificate is that of %s, and it speaks for %s", peer, cell)
	}
	kid, at, err = request.Open(c.GetHeader(request.Header), c.Request.Method, c.Request.URL.Path, body, finder(keys), a.Now())
	if err != nil {
		return "", time.Time{}, err
	}
	process := ""
	if len(urls) > 0 {
		process = urls[0]
	}
	if !a.said.fresh(string(cell)+" "+process, at, a.Now()) {
		return "", time.Time{}, registry.ErrReplayed.With("%s has said something at %s or later already", cell, at.UTC().Format(time.RFC3339Nano))
	}
	return kid, at, nil
}

// finder finds a cell's key by its name.
func finder(keys []topology.Key) signed.Keys {
	return func(kid string) (ed25519.PublicKey, bool) {
		for _, k := range keys {
			if k.ID == kid {
				return signed.ParsePublic(k.X)
			}
		}
		return nil, false
	}
}

// maxSpeakers bounds how many processes' times are remembered: more than the register
// has room for.
const maxSpeakers = 2 * registry.MaxCells * registry.MaxProcesses

// replays remembers when each process spoke last, by its own clock. What it forgets is
// too old to be heard anyway.
type replays struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (r *replays) fresh(who string, at, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.last[who]; ok && !at.After(last) {
		return false
	}
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	if _, ok := r.last[who]; !ok && len(r.last) >= maxSpeakers {
		for k, last := range r.last {
			if now.Sub(last) > 2*request.MaxSkew {
				delete(r.last, k)
			}
		}
		if len(r.last) >= maxSpeakers {
			return false
		}
	}
	r.last[who] = at
	return true
}

// Watch counts and logs cells that were refused.
type Watch struct {
	refused *prometheus.CounterVec

	mu   sync.Mutex
	last map[string]time.Time // by cell and reason: when it was logged
}

// Bounds of what refusals write to the log.
const (
	sayAgain  = 10 * time.Second
	mostNoted = 512
)

// NewWatch registers the counter.
func NewWatch(reg prometheus.Registerer) *Watch {
	w := &Watch{last: map[string]time.Time{}, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_join_refused_total", Help: "Joins and beats of cells that were refused, by reason. join_token_used or token_bad_signature: somebody replays or forges; statement_stale: a clock is wrong; the log names the cell.",
	}, []string{"reason"})}
	reg.MustRegister(w.refused)
	return w
}

// refuse answers a cell that was not believed; that is counted, and logged with the
// cell's name.
func (a *API) refuse(c *gin.Context, cell topology.CellID, err error) {
	k := kind.Of(err)
	if k == kind.Unauthorized || k == kind.Forbidden || kind.As(err) != nil && kind.As(err).Is(registry.ErrReplayed) {
		if _, bad := topology.ParseCell(string(cell)); bad != nil {
			cell = "?"
		}
		a.Watch.note(c, cell, kind.As(err).Code, err, a.Now())
	}
	httpd.Fail(c, err)
}

func (w *Watch) note(c *gin.Context, cell topology.CellID, reason string, err error, now time.Time) {
	w.refused.WithLabelValues(reason).Inc()
	key := string(cell) + " " + reason
	w.mu.Lock()
	at, known := w.last[key]
	quiet := known && now.Sub(at) < sayAgain
	if !known && len(w.last) >= mostNoted {
		clear(w.last)
	}
	if !quiet {
		w.last[key] = now
	}
	w.mu.Unlock()
	if quiet {
		return
	}
	peer, _ := mtls.PeerOf(c.Request.TLS)
	slog.WarnContext(c.Request.Context(), "a cell was refused", slog.String("cell", string(cell)), slog.String("reason", reason),
		slog.String("peer", peer.String()), slog.String("address", c.Request.RemoteAddr), slog.Any("error", err))
}

// Invite asks for an invitation.
type Invite struct {
	Cell   topology.CellID `json:"cell"`
	Region string          `json:"region"`
	TTL    int             `json:"ttl_seconds,omitempty"` // 0 is an hour
}

// Invitation is an invitation with its token, which is told this once.
type Invitation struct {
	Cell      topology.CellID `json:"cell"`
	Region    string          `json:"region"`
	Token     string          `json:"join_token"`
	ExpiresAt time.Time       `json:"expires_at"`
}

func (a *API) invite(c *gin.Context) {
	var i Invite
	if _, err := httpd.DecodeJSON(c, &i); err != nil {
		httpd.Fail(c, err)
		return
	}
	if _, err := topology.ParseCell(string(i.Cell)); err != nil {
		httpd.Fail(c, err)
		return
	}
	life := registry.DefaultInvitation
	if i.TTL != 0 {
		life = time.Duration(max(-1, min(i.TTL, 1<<30))) * time.Second
	}
	inv, token, err := a.Registry.Invite(c.Request.Context(), i.Cell, i.Region, by(c).Name, life)
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	slog.InfoContext(c.Request.Context(), "a cell is invited", slog.String("cell", string(inv.Cell)), slog.String("operator", inv.By), slog.Time("until", inv.ExpiresAt))
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusCreated, Invitation{Cell: inv.Cell, Region: inv.Region, Token: token, ExpiresAt: inv.ExpiresAt.UTC()})
}

func (a *API) expel(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	m, err := a.Registry.Expel(c.Request.Context(), cell)
	if err == nil {
		slog.WarnContext(c.Request.Context(), "a cell is expelled", slog.String("cell", string(cell)), slog.String("operator", by(c).Name))
	}
	answerCell(c, m, err)
}

// Revocation makes an operator's token worth nothing.
type Revocation struct {
	ID    string    `json:"id"`    // "op:" and the token's id
	Until time.Time `json:"until"` // when the token would have ended
}

func (a *API) revoke(c *gin.Context) {
	var r Revocation
	if _, err := httpd.DecodeJSON(c, &r); err != nil {
		httpd.Fail(c, err)
		return
	}
	if err := a.Registry.Revoke(c.Request.Context(), r.ID, by(c).Name, r.Until); err != nil {
		httpd.Fail(c, err)
		return
	}
	slog.WarnContext(c.Request.Context(), "an operator's token is revoked", slog.String("id", r.ID), slog.String("operator", by(c).Name))
	c.JSON(http.StatusOK, r)
}
