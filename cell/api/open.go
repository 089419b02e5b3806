package api

import (
	"errors"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/checkout"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
)

// A mailed link is /v1/open#TOKEN. A browser sends nobody what stands behind the #, so no
// log, proxy or referrer ever holds the token; the page posts it, and gets a cookie that
// scripts cannot read and that admits to reading alone.

const (
	linkCookiePrefix = "__Secure-guichet-"
	linkCookieLife   = 24 * time.Hour
	maxLinkCookies   = 20 // of one request that are looked at
	foundCookie      = linkCookiePrefix + "found"
)

var openPage = template.Must(template.New("open").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>Your tickets</title>
<script src="/v1/open.js" defer></script></head>
<body><h1>Your tickets</h1>
<form method="post" action="/v1/open"><p><label for="token">The part of the link behind the # sign</label><br>
<input id="token" name="token" required autocomplete="off" maxlength="2048"></p><p><button>Open</button></p></form>
</body></html>
`))

// openScript moves the token out of the address and sends it.
const openScript = `"use strict";
(function () {
  var token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  document.getElementById("token").value = token;
  document.forms[0].submit();
})();
`

func (s *Server) openLink(c *gin.Context) error {
	c.Header("Referrer-Policy", "no-referrer")
	c.Header("Content-Security-Policy", "default-src 'none'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(http.StatusOK)
	return openPage.Execute(c.Writer, nil)
}

func (s *Server) openLinkScript(c *gin.Context) error {
	c.Data(http.StatusOK, "text/javascript; charset=utf-8", []byte(openScript))
	return nil
}

// exchangeLink turns the token of a mailed link into a cookie and goes on to what it
// opens. Whether it admits is judged there, by the home of what it names.
func (s *Server) exchangeLink(c *gin.Context) error {
	if site := c.GetHeader("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errForbidden.With("another site cannot open a link for its visitors")
	}
	token, err := formToken(c)
	if err != nil {
		return err
	}
	scope, object, finds := access.Opens(token)
	set := func(name, path string) {
		http.SetCookie(c.Writer, &http.Cookie{
			Name: name, Value: token, Path: path, MaxAge: int(linkCookieLife.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		})
	}
	var to string
	ref, known := topology.ParseRef(object)
	switch {
	case finds:
		set(foundCookie, "/v1/tickets")
		to = "/v1/tickets/found?cell=" + object
	case scope == access.Order && known && ref.Kind == "ord":
		set(linkCookiePrefix+ref.Own, "/v1/orders/"+object)
		set(linkCookiePrefix+ref.Own, "/v1/tickets")
		to = "/v1/orders/" + object
	case scope == access.Ticket && known && ref.Kind == "tkt":
		set(linkCookiePrefix+ref.Own, "/v1/tickets")
		to = "/v1/tickets/" + object
	default:
		return access.ErrLink.With("the link is damaged; ask for a new one")
	}
	c.Header("Referrer-Policy", "no-referrer")
	c.Header("Location", to)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
	return nil
}

// maxForm bounds the form that a link is sent in.
const maxForm = 8 << 10

func formToken(c *gin.Context) (string, error) {
	media, _, _ := strings.Cut(c.GetHeader("Content-Type"), ";")
	if strings.TrimSpace(media) != "application/x-www-form-urlencoded" {
		return "", httpd.ErrContentType.With("send the token as a form")
	}
	if err := httpd.Uncoded(c.Writer, c.Request); err != nil {
		return "", err
	}
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxForm)
	if err := c.Request.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return "", httpd.ErrBodyTooLarge.With("the form is larger than %d bytes", maxForm)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", httpd.ErrJSON.With("the form ended early")
		}
		return "", access.ErrLink.With("the form cannot be read")
	}
	return c.Request.PostForm.Get("token"), nil
}

// linkTokens are the tokens of opened links that may admit to the object: its own, and
// for a ticket those of orders of the same event. Cookies come with requests that other
// sites caused too, so they are believed only where nothing can be changed.
func (s *Server) linkTokens(c *gin.Context, object string) (tokens []string) {
	if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		return nil
	}
	ref, _ := topology.ParseRef(object)
	for _, cookie := range c.Request.Cookies() {
		if !strings.HasPrefix(cookie.Name, linkCookiePrefix) || len(tokens) == maxLinkCookies {
			continue
		}
		scope, about, _ := access.Opens(cookie.Value)
		of, known := topology.ParseRef(about)
		if known && (about == object || scope == access.Order && of.Key == ref.Key) {
			tokens = append(tokens, cookie.Value)
		}
	}
	return tokens
}

// foundToken is the token of a mailed search: as a bearer, or as the cookie of its link.
func foundToken(c *gin.Context) (string, bool) {
	if c.GetHeader("Authorization") != "" {
		return bearer(c)
	}
	cookie, err := c.Request.Cookie(foundCookie)
	if err != nil {
		return "", false
	}
	return cookie.Value, true
}

// asPage reports whether a browser asks that wants to show a page.
func asPage(c *gin.Context) bool {
	return c.NegotiateFormat(gin.MIMEJSON, gin.MIMEHTML) == gin.MIMEHTML
}

// foundHash is whose tickets the link of a search shows that was opened in this browser.
func (s *Server) foundHash(c *gin.Context) (hash string, ok bool) {
	cookie, err := c.Request.Cookie(foundCookie)
	if err == nil {
		hash, _, err = access.VerifyFind(cookie.Value, s.Access.Keys(nil), s.Now())
	}
	return hash, err == nil
}

// foundAdmits says whether the link of a search, opened in this browser, shows the
// ticket: the address reached its order, or was given it.
func (s *Server) foundAdmits(c *gin.Context, object string) (bool, error) {
	hash, ok := s.foundHash(c)
	if !ok || c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
		return false, nil
	}
	t, err := id.ParseTicket(object)
	if err != nil {
		return false, err
	}
	given, err := s.Mails.Queue.TicketsReached(c.Request.Context(), hash, notify.MaxFound)
	if err != nil || slices.Contains(given, t) {
		return err == nil, err
	}
	order, err := s.Checkout.Store.OrderOfTicket(c.Request.Context(), t)
	if errors.Is(err, checkout.ErrTicketNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	orders, err := s.Mails.Queue.OrdersReached(c.Request.Context(), hash, notify.MaxFound)
	return slices.Contains(orders, order), err
}
