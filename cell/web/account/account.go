// Package account is the pages on which people sign in and out. They are plain HTML,
// work without JavaScript, ask nothing of a third party, and keep nothing: who somebody
// is stands in an encrypted cookie. What they do is cell/identity's; this package knows
// browsers.
package account

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// The cookies. A browser takes one that begins with __Host- only from this very host,
// over a connection that it holds to be secure, for all paths.
const (
	SessionCookie = "__Host-guichet_session"
	attemptCookie = "__Host-guichet_signin"
)

const (
	deadline = 20 * time.Second
	maxBody  = 32 << 10
)

// Config is what the pages need.
type Config struct {
	Cell     topology.CellID
	Identity *identity.Service
	SiteURL  string // where browsers reach the town
	Issuer   string // its URL; forms may lead there
	// Invitations make people members of organizers; nil leaves their page out.
	Invitations Invitations
	// Watch is told what was done and how it ended: "ok" or a problem's code.
	Watch func(action, result string)
}

// Pages serve everything under /account.
type Pages struct {
	cfg     Config
	site    *url.URL
	csp     string
	handler http.Handler
}

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	site, err := url.Parse(cfg.SiteURL)
	if err != nil || site.Host == "" {
		return nil, errors.New("account pages: the site has no URL")
	}
	if cfg.Watch == nil {
		cfg.Watch = func(string, string) {}
	}
	forms := "'self'"
	if issuer, err := url.Parse(cfg.Issuer); err == nil && issuer.Host != "" {
		forms += " " + issuer.Scheme + "://" + issuer.Host // signing out goes on there
	}
	p := &Pages{cfg: cfg, site: site, csp: "default-src 'none'; style-src '" + styleHash + "'; form-action " + forms + "; frame-ancestors 'none'; base-uri 'none'"}
	own := http.NewServeMux()
	own.HandleFunc("GET /account", p.show)
	own.HandleFunc("GET /account/sign-in", p.signIn)
	own.HandleFunc("GET /account/callback", p.callback)
	own.HandleFunc("POST /account/sign-out", p.signOut)
	own.HandleFunc("POST /account/mail-link", p.mailLink)
	own.HandleFunc("GET /account/link", p.showLink)
	own.HandleFunc("POST /account/link", p.openLink)
	if cfg.Invitations != nil {
		own.HandleFunc("GET /account/invitation", p.showInvitation)
		own.HandleFunc("GET /account/invitation.js", p.invitationScript)
		own.HandleFunc("POST /account/invitation", p.holdInvitation)
		own.HandleFunc("POST /account/invitation/accept", p.acceptInvitation)
	}
	// A form on another site must not act for who is signed in here.
	guard := http.NewCrossOriginProtection()
	if err := guard.AddTrustedOrigin(site.Scheme + "://" + site.Host); err != nil { // the router's address is not ours
		return nil, err
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fail(w, r, "form", errForeignForm.With("this form was sent from another site, and was not heeded"))
	}))
	all := http.NewServeMux()
	all.HandleFunc("POST /account/backchannel-logout", p.backChannel) // from the issuer itself, not from a page
	all.Handle("/", guard.Handler(own))
	p.handler = all
	return p, nil
}

var errForeignForm = kind.Forbidden.New("cross_origin_form")

// ServeHTTP serves a page.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	h := w.Header()
	h.Set(httpd.HeaderCell, p.cfg.Cell.String())
	h.Set("Cache-Control", "no-store")
	csp := p.csp
	if strings.HasPrefix(r.URL.Path, invitationPath) { // the only pages with a script, and that is our file
		csp += "; script-src 'self'"
	}
	h.Set("Content-Security-Policy", csp)
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a form would name no origin
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Cookie")
	p.handler.ServeHTTP(w, r.WithContext(ctx))
}

// Session is who is signed in with this request; identity.ErrNoSession when nobody is.
func (p *Pages) Session(r *http.Request) (identity.Session, error) {
	return p.cfg.Identity.Session(r.Context(), cookieOf(r, SessionCookie))
}

func cookieOf(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request) {
	v := p.view("Your account")
	s, err := p.Session(r)
	if err != nil && !errors.Is(err, identity.ErrNoSession) {
		p.fail(w, r, "show", err)
		return
	}
	if err != nil {
		if cell, _, named := strings.Cut(cookieOf(r, SessionCookie), "."); named && cell != p.cfg.Cell.String() {
			if other, err := topology.ParseCell(cell); err == nil {
				v.Elsewhere = other.String()
			}
		}
		p.render(w, http.StatusOK, v)
		return
	}
	v.Person = &s.Person
	v.Until = s.Person.Expires.UTC().Format("2 January 2006, 15:04 MST")
	p.render(w, http.StatusOK, v)
}

// signIn sends the browser to the issuer.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if host := hostOf(r); host != p.site.Host && q.Get("at") == "" {
		// The issuer sends the browser back to the site's own name, and a cookie of another
		// name would not be there. Once only: a proxy may hide what the browser asked for.
		q.Set("at", "site")
		http.Redirect(w, r, p.site.Scheme+"://"+p.site.Host+"/account/sign-in?"+q.Encode(), http.StatusSeeOther) //nolint:gosec // G710: our own site
		return
	}
	location, cookie, err := p.cfg.Identity.Begin(r.Context(), q.Get("next"), q.Get("acr"))
	if err != nil {
		p.fail(w, r, "sign_in", err)
		return
	}
	setCookie(w, attemptCookie, cookie, identity.AttemptLife)
	http.Redirect(w, r, location, http.StatusSeeOther) //nolint:gosec // G710: the issuer, or our own page
}

// hostOf is the host that the browser asked for, as the router says it.
func hostOf(r *http.Request) string {
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" {
		return forwarded
	}
	return r.Host
}

// callback takes what the issuer sent back.
func (p *Pages) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	session, next, err := p.cfg.Identity.Complete(r.Context(), cookieOf(r, attemptCookie), identity.Answer{
		State: q.Get("state"), Code: q.Get("code"), Error: q.Get("error"), Issuer: q.Get("iss"),
	})
	if !errors.Is(err, identity.ErrAttempt) { // a stranger's answer leaves the sign-in that goes on alone
		setCookie(w, attemptCookie, "", 0)
	}
	if err != nil {
		p.fail(w, r, "sign_in", err)
		return
	}
	p.begin(w, r, "sign_in", session, next)
}

// begin begins a session.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request, action, session, next string) {
	setCookie(w, SessionCookie, session, access.PersonLife)
	p.cfg.Watch(action, "ok")
	http.Redirect(w, r, next, http.StatusSeeOther) //nolint:gosec // G710: identity.LocalPath let it pass, and it comes out of a sealed cookie
}

// signOut ends the session here, then at the issuer.
func (p *Pages) signOut(w http.ResponseWriter, r *http.Request) {
	location := ""
	s, err := p.Session(r)
	if err == nil {
		location, err = p.cfg.Identity.SignOut(r.Context(), s)
	}
	if err != nil && !errors.Is(err, identity.ErrNoSession) { // a session that goes on must not look ended
		p.fail(w, r, "sign_out", err)
		return
	}
	setCookie(w, SessionCookie, "", 0)
	setCookie(w, access.DeviceCookie, "", 0) // whoever uses this browser next sees no tickets
	w.Header().Set("Clear-Site-Data", access.ClearDevice)
	if location == "" {
		location = "/account"
	}
	p.cfg.Watch("sign_out", "ok")
	http.Redirect(w, r, location, http.StatusSeeOther) //nolint:gosec // G710: the issuer, or our own page
}

// backChannel ends sessions that the issuer says are over. Its answers are those of
// OpenID Connect Back-Channel Logout 1.0, section 2.8.
func (p *Pages) backChannel(w http.ResponseWriter, r *http.Request) {
	err := identity.ErrLogout.With("a form with logout_token is wanted")
	if r.ParseForm() == nil && len(r.PostForm["logout_token"]) == 1 {
		if err := p.cfg.Identity.BackChannel(r.Context(), r.PostForm.Get("logout_token")); err != nil {
			p.fail(w, r, "back_channel_logout", err)
			return
		}
		p.cfg.Watch("back_channel_logout", "ok")
		w.WriteHeader(http.StatusOK)
		return
	}
	p.fail(w, r, "back_channel_logout", err)
}

// setCookie sets a cookie that only this host gets back, or takes it away.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
	if value == "" || life <= 0 {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
}

// fail shows a refusal as a page. What an error says beyond its own detail may come
// from the issuer, so it goes to the log alone.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, action string, err error) {
	e := kind.As(err)
	if e == nil {
		e = kind.Internal.New("internal").With("something went wrong here; it is in our log")
	}
	p.cfg.Watch(action, e.Code)
	level := slog.LevelInfo
	if e.Kind == kind.Internal {
		level = slog.LevelError
	}
	slog.LogAttrs(r.Context(), level, "account page refused", slog.String("action", action), slog.String("code", e.Code), slog.Any("error", err), slog.String("request_id", r.Header.Get(httpd.HeaderRequestID)))
	if e.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.Retry.Seconds()))))
	}
	v := p.view(titleOf(e))
	v.Words, v.Code, v.Again = e.Detail, e.Code, true
	v.Script = action == actionInvitation // the link of another one may be opened here
	if action == "sign_in" || action == "form" || action == actionInvitation {
		if s, err := p.Session(r); err == nil {
			v.Person, v.Again = &s.Person, false
		}
	}
	p.render(w, e.Kind.Status(), v)
}

func titleOf(e *kind.Error) string {
	switch {
	case errors.Is(e, identity.ErrIssuerAway):
		return "Signing in is not possible at the moment"
	case errors.Is(e, identity.ErrNotConfigured):
		return "Nobody can sign in here"
	case errors.Is(e, identity.ErrUnverified):
		return "Your e-mail address is not verified"
	case errors.Is(e, identity.ErrAttempt), errors.Is(e, identity.ErrRefused):
		return "You were not signed in"
	case e.Code == "invitation_not_found", e.Code == "other_address", e.Code == "too_many_members":
		return "This invitation cannot be accepted"
	}
	return "This did not work"
}
