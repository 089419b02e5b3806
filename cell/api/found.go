package api

import "html/template"

// foundView is the page of found orders, and of single tickets: those have no code.
type foundView struct {
	Cell, Until string
	Orders      []foundOrder
}

type foundOrder struct {
	Event, When, Code, State string
	Tickets                  []foundTicket
	Given                    []foundTicket // away: a name is all that is told
}

type foundTicket struct{ Name, Attendee, ID string }

var foundTemplate = template.Must(template.New("found").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Your tickets</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;padding:0 1rem}section{border-top:1px solid #ccc;padding:.5rem 0}</style></head>
<body><h1>Your tickets</h1>
{{range .Orders}}<section><h2>{{.Event}}</h2><p>{{.When}}<br>{{if .Code}}Order {{.Code}}{{else}}A ticket that was given to you{{end}}, {{.State}}</p>
{{if .Tickets}}<ul>{{range .Tickets}}<li>{{.Name}}{{if .Attendee}}, {{.Attendee}}{{end}}:
 <a href="/v1/tickets/{{.ID}}.pdf">PDF</a>, <a href="/v1/tickets/{{.ID}}.png">code</a>, <a href="/v1/tickets/{{.ID}}.ics">calendar</a></li>{{end}}</ul>{{end}}
{{range .Given}}<p>{{.Name}}: given to {{.Attendee}}</p>{{end}}</section>
{{else}}<p>There are no orders any more.</p>{{end}}
<p>This page works in this browser until {{.Until}}; then open the link in the mail again. It shows orders of events that are at home in cell {{.Cell}}.</p>
</body></html>
`))
