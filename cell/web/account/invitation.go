package account

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"guichet/cell/access"
	"guichet/cell/identity"
	"guichet/control-plane/topology"
	"guichet/internal/kind"
	"guichet/internal/signed"
)

const (
	invitationPath   = "/account/invitation"
	invitationCookie = "__Host-guichet_invitation"
	invitationLife   = time.Hour // of its cookie: long enough to sign in, or to open an account at the issuer
	actionInvitation = "invitation"
)

// Invitations make people members of the organizers whose home this cell is.
type Invitations interface {
	// Open says which invitation a token is of, and which cell can accept it.
	Open(token string) (name string, home topology.CellID, err error)
	// Look says what Accept would make of a person, or why it would not.
	Look(ctx context.Context, p access.Person, token string) (Offer, error)
	// Accept makes a person a member. r is what the browser sent, for the audit log.
	Accept(r *http.Request, p access.Person, token string) (Offer, error)
}

// Offer is what an invitation is to.
type Offer struct {
	Organizer, Role, Email string
	Member                 bool // accepted by the person who asks
}

var errElsewhere = kind.Unavailable.New("home_unavailable")

// invitationView is what an invitation's page shows. The token is never on it.
type invitationView struct {
	Cell   topology.CellID
	Name   string // its id; empty while no token is held
	Offer  *Offer // nil: nobody is signed in, and nothing is said
	SignIn string
}

//go:embed invitation.js
var invitationJS []byte

func (p *Pages) invitationScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write(invitationJS) // the reader is gone
}

func invitationPage(cell topology.CellID) string {
	return invitationPath + "?" + url.Values{"cell": {cell.String()}}.Encode()
}

// showInvitation is where an invitation's mail leads. Looking at it changes nothing.
func (p *Pages) showInvitation(w http.ResponseWriter, r *http.Request) {
	token, name, ok := p.heldInvitation(w, r)
	if !ok {
		return
	}
	v := p.view("You are invited")
	v.Script, v.Invitation = true, &invitationView{Cell: p.cfg.Cell, Name: name}
	if name == "" {
		v.Words = "Open the link in the mail, or enter what stands in it behind the # sign."
		p.render(w, http.StatusOK, v)
		return
	}
	s, err := p.Session(r)
	if errors.Is(err, identity.ErrNoSession) {
		v.Words = "Sign in with the address that the invitation was mailed to. Then you see what it is to."
		v.Invitation.SignIn = "/account/sign-in?" + url.Values{"cell": {p.cfg.Cell.String()}, "next": {invitationPage(p.cfg.Cell)}}.Encode()
		p.render(w, http.StatusOK, v)
		return
	}
	var offer Offer
	if err == nil {
		offer, err = p.cfg.Invitations.Look(r.Context(), s.Person, token)
	}
	if err != nil {
		p.refuseInvitation(w, r, err)
		return
	}
	if offer.Member {
		p.joined(w, offer)
		return
	}
	v.Invitation.Offer = &offer
	p.render(w, http.StatusOK, v)
}

// holdInvitation keeps the token of a link for a while, where no script, log or address
// has it, and goes on to the page of the cell that can accept it.
func (p *Pages) holdInvitation(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimSpace(r.PostFormValue("token"))
	if _, behind, whole := strings.Cut(token, "#"); whole { // somebody entered all of the link
		token = behind
	}
	_, home, err := p.openInvitation(token)
	if err != nil {
		p.refuseInvitation(w, r, err)
		return
	}
	setCookie(w, invitationCookie, token, invitationLife)
	http.Redirect(w, r, invitationPage(home), http.StatusSeeOther)
}

func (p *Pages) openInvitation(token string) (name string, home topology.CellID, err error) {
	return p.cfg.Invitations.Open(token[:min(len(token), signed.MaxLength+1)])
}

// heldInvitation is the invitation whose token this browser holds; the name is empty when
// it holds none. ok is false when the answer was given.
func (p *Pages) heldInvitation(w http.ResponseWriter, r *http.Request) (token, name string, ok bool) {
	if token = cookieOf(r, invitationCookie); token == "" {
		return "", "", true
	}
	name, home, err := p.openInvitation(token)
	switch {
	case err != nil:
		p.refuseInvitation(w, r, err)
	case home == p.cfg.Cell:
		return token, name, true
	case r.URL.Query().Get("cell") != home.String():
		http.Redirect(w, r, invitationPage(home), http.StatusSeeOther)
	default:
		p.refuseInvitation(w, r, errElsewhere.With("this invitation can be accepted at the cell %s alone, which cannot be reached at the moment", home))
	}
	return "", "", false
}

// acceptInvitation makes who is signed in a member by the invitation that the page showed.
func (p *Pages) acceptInvitation(w http.ResponseWriter, r *http.Request) {
	token, name, ok := p.heldInvitation(w, r)
	if !ok {
		return
	}
	s, err := p.Session(r)
	if errors.Is(err, identity.ErrNoSession) || err == nil && (name == "" || name != r.PostFormValue("invitation")) {
		http.Redirect(w, r, invitationPage(p.cfg.Cell), http.StatusSeeOther) // says what is the case now
		return
	}
	var offer Offer
	if err == nil {
		offer, err = p.cfg.Invitations.Accept(r, s.Person, token)
	}
	if err != nil {
		p.refuseInvitation(w, r, err)
		return
	}
	p.joined(w, offer)
}

// joined says what the person is now.
func (p *Pages) joined(w http.ResponseWriter, offer Offer) {
	setCookie(w, invitationCookie, "", 0)
	p.cfg.Watch(actionInvitation, "ok")
	v := p.view("You are a member")
	offer.Member = true
	v.Script, v.Invitation = true, &invitationView{Cell: p.cfg.Cell, Offer: &offer}
	p.render(w, http.StatusOK, v)
}

// refuseInvitation says why not. A token that was answered for good is held no longer.
func (p *Pages) refuseInvitation(w http.ResponseWriter, r *http.Request, err error) {
	switch kind.Of(err) { //nolint:exhaustive // the others pass
	case kind.NotFound, kind.Forbidden, kind.Invalid:
		setCookie(w, invitationCookie, "", 0)
	}
	p.fail(w, r, actionInvitation, err)
}

// invitationTemplate shows a view's Invitation.
const invitationTemplate = `{{define "invitation"}}{{with .Invitation}}{{with .Offer}}<dl>
<dt>Organizer</dt><dd>{{.Organizer}}</dd>
<dt>Role</dt><dd>{{.Role}}</dd>
<dt>E-mail</dt><dd>{{.Email}}</dd>
</dl>
{{end}}{{if not .Offer}}{{if .SignIn}}{{if $.Configured}}<p><a class="button" href="{{.SignIn}}">Sign in</a></p>
{{else}}<p>No way to sign in is set up here.</p>
{{end}}{{end}}{{else if .Offer.Member}}<p><a href="/account">Your account</a></p>
{{else}}<form method="post" action="/account/invitation/accept?cell={{.Cell}}"><input type="hidden" name="invitation" value="{{.Name}}"><button>Accept</button></form>
{{end}}{{if not (and .Offer .Offer.Member)}}{{if .Name}}<details><summary>Another invitation</summary>
{{end}}<form method="post" action="/account/invitation?cell={{.Cell}}"><p><label for="token">The part of the link behind the # sign</label><br>
<input id="token" name="token" required autocomplete="off" maxlength="2048"></p><p><button>Go on</button></p></form>
{{if .Name}}</details>
{{end}}{{end}}{{end}}{{end}}`
