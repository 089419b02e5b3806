package shop

import (
	"net/http"
	"net/url"
	"strings"

	"guichet/cell/client"
	"guichet/cell/ticket/ical"
)

// ticketForms are the files of a ticket by the end of their names.
var ticketForms = map[string]struct {
	media string
	read  func(*visit, *client.Client, string) ([]byte, error)
}{
	".pdf": {"application/pdf", func(v *visit, c *client.Client, id string) ([]byte, error) {
		b, _, err := c.TicketPDF(v.ctx(), id)
		return b, err
	}},
	".png": {"image/png", func(v *visit, c *client.Client, id string) ([]byte, error) {
		b, _, err := c.TicketPNG(v.ctx(), id)
		return b, err
	}},
	".ics": {ical.Media, func(v *visit, c *client.Client, id string) ([]byte, error) {
		b, _, err := c.TicketICS(v.ctx(), id)
		return b, err
	}},
	".pkpass": {"application/vnd.apple.pkpass", func(v *visit, c *client.Client, id string) ([]byte, error) {
		b, _, err := c.TicketPass(v.ctx(), id)
		return b, err
	}},
}

// ticketFile is a file of a ticket, for who holds the ticket or its order.
func (v *visit) ticketFile() (answer, error) {
	name := v.r.PathValue("ticket")
	id, _, _ := strings.Cut(name, ".")
	form, ok := ticketForms[strings.TrimPrefix(name, id)]
	if !ok {
		return answer{}, errNoPage
	}
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	body, err := form.read(v, v.api(token), id)
	return answer{raw: body, media: form.media, name: name}, err
}

// ticketOrFile is the page of a single ticket, or one of its files.
func (v *visit) ticketOrFile() (answer, error) {
	if strings.Contains(v.r.PathValue("ticket"), ".") {
		return v.ticketFile()
	}
	return v.ticketPage()
}

// singleView is the page of a ticket that was given to its holder.
type singleView struct {
	meta   meta
	event  client.Event
	ticket ticketView
}

func (v *visit) ticketPage() (answer, error) {
	t, e, err := v.readTicket()
	if err != nil {
		return answer{}, err
	}
	view := singleView{meta: v.meta(v.l.T("ticket_title")), event: e, ticket: ticketView{Ticket: t, base: "/tickets/" + t.ID}}
	view.meta.private, view.meta.bare, view.meta.scripts = true, true, []string{"wallet.js"}
	if p, _, err := v.api("").TransferPolicy(v.ctx(), t.EventID); err == nil {
		view.ticket.give = p.Transfers == "allowed" && t.State == "valid" && t.Transferred == nil && v.now().Before(e.StartsAt)
	}
	return answer{page: ticketPage(view)}, nil
}

func (v *visit) readTicket() (client.Ticket, client.Event, error) {
	token, err := v.token()
	if err != nil {
		return client.Ticket{}, client.Event{}, err
	}
	t, _, err := v.api(token).Ticket(v.ctx(), v.r.PathValue("ticket"))
	if err != nil {
		return t, client.Event{}, err
	}
	e, _, err := v.api("").Event(v.ctx(), t.EventID)
	return t, e, err
}

// giveView is the form with which a ticket is given on.
type giveView struct {
	meta   meta
	event  client.Event
	ticket client.Ticket
	action string
	back   string
	faults []fault
	typed  url.Values
}

func (v *visit) askGive() (answer, error) { return v.giveForm(nil, url.Values{}) }

func (v *visit) giveForm(faults []fault, typed url.Values) (answer, error) {
	t, e, err := v.readTicket()
	if err != nil {
		return answer{}, err
	}
	g := giveView{meta: v.meta(v.l.T("give_title")), event: e, ticket: t, action: v.r.URL.Path, back: v.giveBack(), faults: faults, typed: typed}
	g.meta.private, g.meta.bare = true, true
	a := answer{page: givePage(g)}
	if faults != nil {
		a.status = http.StatusUnprocessableEntity
	}
	return a, nil
}

// giveBack is the page from which the ticket is given.
func (v *visit) giveBack() string {
	if order := v.r.PathValue("order"); order != "" {
		return "/orders/" + order
	}
	return "/tickets/" + v.r.PathValue("ticket")
}

// give gives a ticket on.
func (v *visit) give() (answer, error) {
	form, err := v.form()
	if err != nil {
		return answer{}, err
	}
	token, err := v.token()
	if err != nil {
		return answer{}, err
	}
	to := client.Recipient{Name: form.Get("name"), Email: form.Get("email"), Locale: v.l.Code}
	var faults []fault
	if to.Name == "" {
		faults = append(faults, fault{"name", v.l.T("need_name")})
	}
	if !strings.Contains(to.Email, "@") {
		faults = append(faults, fault{"email", v.l.T("bad_email")})
	}
	if faults != nil {
		return v.giveForm(faults, form)
	}
	id := v.r.PathValue("ticket")
	_, _, err = v.api(token).TransferTicket(v.ctx(), id, client.NewTransfer{To: to}, orderKey(id, form))
	if p := problemOf(err); p != nil && p.Status < http.StatusInternalServerError && p.Status != http.StatusNotFound && p.Status != http.StatusUnauthorized && p.Status != http.StatusMisdirectedRequest {
		text := v.l.known("refused_", p.Code)
		if len(p.Problem.Errors) > 0 {
			text = v.l.T("refused_field", p.Problem.Errors[0].Detail)
		}
		return v.giveForm([]fault{{text: text}}, form)
	}
	if err != nil {
		return answer{}, err
	}
	if order := v.r.PathValue("order"); order != "" {
		return answer{to: "/orders/" + order + "?done=given"}, nil
	}
	return answer{page: donePage(v.done("give_title", v.l.T("done_given")))}, nil
}

// doneView says that something was done.
type doneView struct {
	meta meta
	text string
}

func (v *visit) done(title, text string) doneView {
	d := doneView{meta: v.meta(v.l.T(title)), text: text}
	d.meta.private = true
	return d
}
