package shop

import "strings"

// publicRoutes are the pages that are the same for everybody, by their paths behind the
// language. They answer GET and HEAD.
var publicRoutes []route

// privateRoutes are all other pages: what a form posts to, and pages about a person.
var privateRoutes []route

func init() { // the handlers use what is made from these lists
	publicRoutes = []route{
		{"/{$}", (*visit).start, "start"},
		{"/search", (*visit).search, "search"},
		{"/events/{event}", (*visit).event, "event"},
		{"/events/{event}/embed", (*visit).embed, "embed"},
		{"/find", (*visit).askFind, "find"},
		{"/help", (*visit).text, "help"},
		{"/privacy", (*visit).text, "privacy"},
		{"/imprint", (*visit).text, "imprint"},
		{"/credits", (*visit).text, "credits"},
	}
	privateRoutes = []route{
		{"GET /series/{series}", (*visit).seriesPage, "series"},
		{"GET /events/{event}/seats", (*visit).seats, "seats"},
		{"POST /events/{event}/hold", (*visit).hold, "hold"},
		{"GET /language/{code}", (*visit).chooseLanguage, "language"},
		{"POST /wallet/forget", (*visit).forget, "forget"},
		{"GET /holds/{hold}", (*visit).checkout, "checkout"},
		{"POST /holds/{hold}/extend", (*visit).extend, "extend"},
		{"POST /holds/{hold}/release", (*visit).release, "release"},
		{"POST /holds/{hold}/order", (*visit).order, "order"},
		{"GET /orders/{order}", (*visit).orderPage, "order_page"},
		{"GET /orders/{order}/state", (*visit).orderState, "order_state"},
		{"GET /orders/{order}/pay", (*visit).pay, "pay"},
		{"GET /orders/{order}/cancel", (*visit).askCancel, "ask_cancel"},
		{"POST /orders/{order}/cancel", (*visit).cancel, "cancel"},
		{"POST /orders/{order}/resend", (*visit).resend, "resend"},
		{"GET /orders/{order}/invoice.pdf", (*visit).invoice, "invoice"},
		{"GET /orders/{order}/tickets/{ticket}", (*visit).ticketFile, "ticket_file"},
		{"GET /orders/{order}/tickets/{ticket}/give", (*visit).askGive, "ask_give"},
		{"POST /orders/{order}/tickets/{ticket}/give", (*visit).give, "give"},
		{"GET /tickets/{ticket}", (*visit).ticketOrFile, "ticket"},
		{"GET /tickets/{ticket}/give", (*visit).askGive, "ask_give"},
		{"POST /tickets/{ticket}/give", (*visit).give, "give"},
		{"GET /orders/{order}/wallet", (*visit).orderWallet, "order_wallet"},
		{"GET /tickets/{ticket}/wallet", (*visit).ticketWallet, "ticket_wallet"},
		{"GET /wallet", (*visit).wallet, "wallet"},
		{"GET /sw.js", (*visit).worker, "worker"},
		{"GET /manifest.webmanifest", (*visit).manifest, "manifest"},
		{"POST /find", (*visit).find, "find_tickets"},
		{"GET /found", (*visit).found, "found"},
		{"POST /found", (*visit).openFound, "open_found"},
		{"GET /open", (*visit).open, "open"},
		{"POST /open", (*visit).exchange, "exchange"},
	}
	for _, r := range append(publicRoutes, privateRoutes...) {
		_, path, ok := strings.Cut(r.pattern, " ")
		if !ok {
			path = r.pattern
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if first != "" && first != "{$}" {
			ownSegments[first] = true
		}
	}
	ownSegments["assets"], ownSegments["widget.js"] = true, true
}
