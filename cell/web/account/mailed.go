package account

import (
	"net/http"
	"strings"

	"guichet/cell/access"
)

const maxTag = 35 // bytes; as long as language tags are in practice (RFC 5646, 4.4.1)

// mailLink mails a link that signs in whoever reads the address's mail in this browser.
// The answer is the same whether a mail could be sent to the address.
func (p *Pages) mailLink(w http.ResponseWriter, r *http.Request) {
	cookie, err := p.cfg.Identity.BeginMail(r.Context(), r.PostFormValue("email"), language(r), r.PostFormValue("next"))
	if err != nil {
		p.fail(w, r, "mail_link", err)
		return
	}
	setCookie(w, attemptCookie, cookie, access.MailedLife)
	p.cfg.Watch("mail_link", "ok")
	v := p.view("Look at your mail")
	v.Words = "If the address can be reached, a mail with a link is on its way. Open the link in this browser, within 15 minutes. If none comes, too many were sent to the address in the last hour."
	v.Sent = true
	p.render(w, http.StatusOK, v)
}

// language is the first that the browser prefers.
func language(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	tag, _, _ := strings.Cut(first, ";")
	return tag[:min(len(tag), maxTag)]
}

// showLink is where the mailed link leads. Looking at it changes nothing: programs that
// read mails look at links too.
func (p *Pages) showLink(w http.ResponseWriter, r *http.Request) {
	v := p.view("Sign in")
	v.Token = r.URL.Query().Get("token")
	if v.Token == "" || len(v.Token) > maxBody/2 {
		p.fail(w, r, "mail_link", access.ErrLink.With("the link is damaged; ask for a new one"))
		return
	}
	p.render(w, http.StatusOK, v)
}

func (p *Pages) openLink(w http.ResponseWriter, r *http.Request) {
	session, next, err := p.cfg.Identity.CompleteMail(r.Context(), cookieOf(r, attemptCookie), r.PostFormValue("token"))
	if err != nil {
		p.fail(w, r, "mail_sign_in", err)
		return
	}
	setCookie(w, attemptCookie, "", 0)
	p.begin(w, r, "mail_sign_in", session, next)
}
