package account

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"

	"guichet/cell/access"
)

// view is what the one template shows.
type view struct {
	Title      string
	Words      string
	Code       string
	Person     *access.Person // nil: nobody is signed in
	Until      string
	Elsewhere  string // the cell that knows who the browser is
	Again      bool   // offer to begin again
	Configured bool
	Mails      bool   // offer to sign in by mail
	Sent       bool   // nothing to offer: a mail is on its way
	Token      string // of a mailed link
	Script     bool   // takes an invitation's token out of the address
	Invitation *invitationView
}

func (p *Pages) view(title string) view {
	return view{Title: title, Configured: p.cfg.Identity.Configured(), Mails: p.cfg.Identity.MailsLinks()}
}

// style is the only style; the policy names it by its hash.
const style = `:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:0 auto;padding:1.5rem 1rem;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem}dt{font-weight:600}dd{margin:0}
input{font:inherit;padding:.6rem;width:100%;max-width:24rem;box-sizing:border-box}
a.button,button{font:inherit;display:inline-block;padding:.6rem 1rem;border:1px solid;border-radius:.4rem;background:none;color:inherit;text-decoration:none;cursor:pointer;min-height:2.75rem;box-sizing:border-box}
small{opacity:.85}`

var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}()

var pageTemplate = template.Must(template.New("account").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} – Guichet</title>
<style>` + style + `</style>
{{if .Script}}<script src="/account/invitation.js" defer></script>
{{end}}</head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Words}}<p>{{.}}</p>
{{end}}{{if .Invitation}}{{template "invitation" .}}{{else if .Person}}<p>You are signed in.</p>
<dl>
{{with .Person.Name}}<dt>Name</dt><dd>{{.}}</dd>
{{end}}<dt>E-mail</dt><dd>{{.Person.Email}}</dd>
{{range .Person.Roles}}<dt>Role</dt><dd>{{.}} of this platform</dd>
{{end}}{{with .Until}}<dt>Until</dt><dd>{{.}}</dd>
{{end}}</dl>
<form method="post" action="/account/sign-out"><button>Sign out</button></form>
{{else if .Token}}<form method="post" action="/account/link"><input type="hidden" name="token" value="{{.Token}}"><button>Sign in</button></form>
{{else if .Sent}}<p><a href="/account">Your account</a></p>
{{else}}{{if .Again}}{{else if .Elsewhere}}<p>You are signed in at the cell {{.Elsewhere}}, which cannot be reached at the moment. You can sign in here instead.</p>
{{else}}<p>You are not signed in.</p>
{{end}}{{if .Configured}}<p><a class="button" href="/account/sign-in">{{if .Again}}Sign in again{{else}}Sign in{{end}}</a></p>
{{end}}{{if .Mails}}<form method="post" action="/account/mail-link"><p><label for="email">Or let us mail you a link that signs you in</label><br>
<input id="email" name="email" type="email" required autocomplete="email" maxlength="254"></p><p><button>Mail me a link</button></p></form>
{{end}}{{if not (or .Configured .Mails)}}<p>No way to sign in is set up here.</p>
{{end}}{{if .Again}}<p><a href="/account">Your account</a></p>
{{end}}{{end}}{{with .Code}}<p><small>Code: {{.}}</small></p>
{{end}}</main>
</body>
</html>
` + invitationTemplate))

func (p *Pages) render(w http.ResponseWriter, status int, v view) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, v) // the reader is gone
}
