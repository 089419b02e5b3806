package issuer

import (
	"html/template"
	"net/http"
	"net/url"
)

// page is what the one template shows.
type page struct {
	Title  string
	Words  string
	Action string
	Hidden string // name of the field that is carried along
	Value  string
	Code   bool // ask for the code first
	People []Person
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}
button{font:inherit;display:block;width:100%;text-align:left;margin:.5rem 0;padding:.6rem .8rem}</style></head>
<body><main><h1>{{.Title}}</h1>
{{with .Words}}<p>{{.}}</p>{{end}}
{{if .Code}}<form method="get" action="/device"><p><label>The code that the program shows <input name="user_code" autocomplete="off" required></label></p><button>Continue</button></form>{{end}}
{{if .People}}<form method="post" action="{{.Action}}"><input type="hidden" name="{{.Hidden}}" value="{{.Value}}">
{{range .People}}<button name="subject" value="{{.Subject}}"><strong>{{.Name}}</strong>, {{.Email}}<br><small>{{.About}}</small></button>
{{end}}</form>{{end}}
</main></body></html>
`))

func show(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p) // the reader is gone
}

const whoWords = "This is the issuer of a town on this machine: nobody needs a password. Choose who you are."

func (i *Issuer) loginPage(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	if _, ok := i.waiting(id); !ok {
		show(w, http.StatusNotFound, page{Title: "This sign-in is over", Words: "Go back to where you came from and sign in again."})
		return
	}
	show(w, http.StatusOK, page{Title: "Who are you?", Words: whoWords, Action: "/login", Hidden: "id", Value: id, People: i.cfg.People})
}

func (i *Issuer) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id, subject := r.PostFormValue("id"), r.PostFormValue("subject")
	person, known := i.person(func(p Person) bool { return p.Subject == subject })
	q, waits := i.waiting(id)
	if !known || !waits {
		show(w, http.StatusNotFound, page{Title: "This sign-in is over", Words: "Go back to where you came from and sign in again."})
		return
	}
	i.mu.Lock()
	q.subject, q.acr, q.at, q.done = subject, person.ACR, i.cfg.Now(), true
	q.sid = i.begin(subject, q.clientID)
	i.mu.Unlock()
	http.Redirect(w, r, "/authorize/callback?"+url.Values{"id": {id}}.Encode(), http.StatusSeeOther)
}

func (i *Issuer) devicePage(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("user_code")
	if code == "" {
		show(w, http.StatusOK, page{Title: "Sign in a program", Code: true})
		return
	}
	if !i.asked(code) {
		show(w, http.StatusNotFound, page{Title: "This code is not known", Words: "It may be over. Start again in the program.", Code: true})
		return
	}
	show(w, http.StatusOK, page{Title: "Who signs in there?", Words: "A program with the code " + code + " asks to act for you. " + whoWords, Action: "/device", Hidden: "user_code", Value: code, People: i.cfg.People})
}

func (i *Issuer) allowDevice(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	code, subject := r.PostFormValue("user_code"), r.PostFormValue("subject")
	if _, known := i.person(func(p Person) bool { return p.Subject == subject }); !known || !i.allow(code, subject) {
		show(w, http.StatusNotFound, page{Title: "This code is not known", Code: true})
		return
	}
	show(w, http.StatusOK, page{Title: "Done", Words: "Go back to the program."})
}
