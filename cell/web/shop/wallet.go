package shop

import (
	"encoding/json"
	"strings"

	"guichet/cell/access"
	"guichet/cell/client"
)

// A browser keeps tickets so that they open without a network: wallet.js stores what
// …/wallet answers, and the pictures of the codes, in the browser's own cache; sw.js
// serves them from there. No cache that people share has any of it.

// kept is a ticket as a browser keeps it, in the reader's language.
type kept struct {
	ID       string `json:"id"`
	Event    string `json:"event"`
	When     string `json:"when"`
	Starts   string `json:"starts"` // RFC 3339
	Venue    string `json:"venue"`
	Type     string `json:"type"`
	Attendee string `json:"attendee,omitempty"`
	Code     string `json:"code"` // where its picture is
	Page     string `json:"page"` // where it is shown
}

func (v *visit) keptTicket(e client.Event, t client.Ticket, base, page string) kept {
	k := kept{
		ID: t.ID, Event: e.Name, When: v.l.dateTime(e.StartsAt, e.TimeZone), Starts: stamp(e.StartsAt), Venue: place(v.l, e.Venue), Type: t.Name,
		Attendee: t.Attendee, Code: base + ".png", Page: page,
	}
	if t.Seat != nil {
		k.Type += " · " + seatName(v.l, *t.Seat)
	}
	return k
}

// orderWallet are an order's tickets that open a door.
func (v *visit) orderWallet() (answer, error) {
	o, _, err := v.readOrder()
	if err != nil {
		return answer{}, err
	}
	e, _, err := v.api("").Event(v.ctx(), o.EventID)
	if err != nil {
		return answer{}, err
	}
	list := []kept{}
	for _, t := range o.Tickets {
		if o.State == "paid" && t.State == "valid" && t.Transferred == nil && t.Barcode != "" {
			list = append(list, v.keptTicket(e, t, "/orders/"+o.ID+"/tickets/"+t.ID, "/orders/"+o.ID))
		}
	}
	return jsonAnswer(list)
}

// ticketWallet is the same of a ticket that was given to its holder.
func (v *visit) ticketWallet() (answer, error) {
	t, e, err := v.readTicket()
	if err != nil {
		return answer{}, err
	}
	list := []kept{}
	if t.State == "valid" && t.Transferred == nil && t.Barcode != "" {
		list = append(list, v.keptTicket(e, t, "/tickets/"+t.ID, "/tickets/"+t.ID))
	}
	return jsonAnswer(list)
}

func jsonAnswer(value any) (answer, error) {
	body, err := json.Marshal(value)
	return answer{raw: body, media: "application/json"}, err
}

// wallet is the page that shows what this browser keeps. It is the same for everybody.
func (v *visit) wallet() (answer, error) {
	m := v.meta(v.l.T("wallet_title"))
	m.private, m.bare, m.scripts = true, true, []string{"wallet.js"}
	return answer{page: walletPage(m)}, nil
}

// forget lets the browser forget all tickets: what wallet.js keeps, and the key without
// which the cookies of orders and tickets admit to nothing. Signing out does the same.
func (v *visit) forget() (answer, error) {
	v.set(access.DeviceCookie, "", "/", 0)
	v.w.Header().Set("Clear-Site-Data", access.ClearDevice)
	return answer{to: "/wallet"}, nil
}

// worker is the service worker, with the names of the files that it keeps.
func (v *visit) worker() (answer, error) {
	files, err := json.Marshal([]string{assetURL("shop.css"), assetURL("shop.js"), assetURL("wallet.js"), assetURL("icon.svg"), "/wallet"})
	if err != nil {
		return answer{}, err
	}
	return answer{raw: []byte(strings.Replace(string(assets["sw.js"].plain), `["FILES"]`, string(files), 1)), media: mediaTypes[".js"]}, nil
}

// manifest lets a telephone keep the shop beside its programs.
func (v *visit) manifest() (answer, error) {
	type icon struct {
		Src     string `json:"src"`
		Sizes   string `json:"sizes"`
		Type    string `json:"type"`
		Purpose string `json:"purpose,omitempty"`
	}
	body, err := json.Marshal(map[string]any{
		"name": "Guichet", "short_name": "Guichet", "description": v.l.T("tagline"), "lang": v.l.Code, "id": "/", "start_url": "/wallet", "scope": "/", "display": "standalone",
		"background_color": "#faf8f3", "theme_color": "#a3290f",
		"icons": []icon{
			{assetURL("icon-192.png"), "192x192", "image/png", ""},
			{assetURL("icon-512.png"), "512x512", "image/png", ""},
			{assetURL("icon-512.png"), "512x512", "image/png", "maskable"},
			{assetURL("icon.svg"), "any", "image/svg+xml", ""},
		},
	})
	return answer{raw: body, media: mediaTypes[".webmanifest"]}, err
}
