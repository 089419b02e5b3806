package limit

import (
	"net/http"
	"net/netip"
	"time"

	"guichet/cell/client/class"
	"guichet/internal/httpd"
)

// Gate stands before everything that the router serves to the public.
type Gate struct {
	Limits *Limits // nil: nobody is limited
	Client func(*http.Request) netip.Addr
	Refuse func(http.ResponseWriter, *http.Request, error)
	Now    func() time.Time
	Next   http.Handler
}

// ServeHTTP passes a request on, or refuses it before anything of its body is read.
// An operator's call is not there, whoever asks: it says nothing of its own.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := class.Of(r.Method, r.URL.Path)
	hidden := c == class.Operator
	if hidden {
		c = class.Other
	}
	if err := g.Limits.Take(c, g.Client(r), g.Now()); err != nil {
		g.Refuse(w, r, err)
		return
	}
	if hidden {
		g.Refuse(w, r, httpd.ErrNoRoute.With("there is no %.100s", r.URL.Path))
		return
	}
	g.Next.ServeHTTP(w, r)
}
