package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/access"
	"guichet/cell/client"
	"guichet/control-plane/topology"
)

// key says whether a call takes an Idempotency-Key.
type key int

const (
	noKey key = iota
	keyOptional
	keyRequired
)

// match says whether a call takes an If-Match.
type match int

const (
	noMatch match = iota
	matchOptional
	matchRequired
)

// param is a query parameter.
type param struct{ name, kind, doc string }

// route is one call of the contract: what is served and what openapi.json says
// are made from the same row.
type route struct {
	method, path string
	handle       func(*Server, *gin.Context) error // nil: another row's handler serves it
	doc          string
	auth         auth
	need         access.Permission // what an organizer's key or member must have
	orStaff      access.Permission // a holder's call that the event's organizer may make too, with this
	mayAuth      bool              // public, but an organizer's key is heeded
	key          key
	match        match
	in           any // zero value of the body, nil for none
	out          any // zero value of the answer
	status       int
	params       []param
	ownParams    bool // the handler checks the parameters itself
	anyParams    bool // whatever a probe adds is ignored
	foreign      bool // the body is a third party's, told by its signature
	form         bool // the body is a browser's form
	quiet        bool // changes nothing at an organizer or a cell, and so stands in no log
	on503        any  // what 503 answers where it is no problem document
	media        string
	guard        guard
	instead      string // of a call without a body: what to do instead of sending one
	cached       bool   // takes If-None-Match: the ETag is of what is shown
	problems     string // codes, space-separated, besides the ones every call has
}

// compressed says that answers may be compressed: they hold no token, nor anything else
// that only a token's holder sees beside what a stranger chose.
func (r *route) compressed() bool {
	return r.method == http.MethodGet && (r.auth == public || r.auth == organizer || r.auth == operators) && r.orStaff == "" && !r.anyParams
}

// bodyless says that the call takes no body at all.
func (r *route) bodyless() bool { return r.in == nil && !r.foreign && !r.form }

func (r *route) knows(name string) bool {
	return slices.ContainsFunc(r.params, func(p param) bool { return p.name == name })
}

// ginPath turns {name} into :name.
func ginPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

var page = []param{{"cursor", "string", "where the page before ended"}, {"limit", "integer", "1 to 100, default 20"}}

// Page is a list in the contract's form.
type Page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

// routes is the contract, in its order. It is filled in init because the served
// openapi.json is made from it.
var routes []route

// allowed are the methods of the paths without a parameter.
var allowed = map[string]string{}

func init() {
	routes = slices.Concat(attendeeRoutes, personRoutes, organizerRoutes, partRoutes, ownRoutes, accountRoutes, staffRoutes, sagaRoutes, commonRoutes)
	for _, r := range routes {
		if strings.Contains(r.path, "{") {
			continue
		}
		methods := r.method
		if r.method == http.MethodGet {
			methods += ", " + http.MethodHead
		}
		if others := allowed[r.path]; others != "" {
			methods = others + ", " + methods
		}
		allowed[r.path] = methods
	}
}

var attendeeRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/events", cached: true, handle: (*Server).searchEvents, ownParams: true, out: client.Listings{}, status: 200,
		doc: "Search the whole world's published events in this cell's own index.", problems: "invalid_parameter invalid_cursor search_warming",
		params: append([]param{
			{"q", "string", "words; typos and accents are forgiven"},
			{"near", "string", "lat,lon in degrees"},
			{"radius_km", "number", "only with near"},
			{"from", "string", "RFC 3339 time, or a date of the event's own calendar; what is running then is found"},
			{"to", "string", "likewise; the last at which it may begin"},
			{"category", "string", ""},
			{"country", "string", "ISO 3166-1 alpha-2"},
			{"city", "string", "its name, in any of 28 languages for some 3,600 big cities"},
			{"currency", "string", "ISO 4217; what events are sold in"},
			{"price_max", "integer", "minor units of currency, which it needs; of what can still be bought. Nothing is converted"},
			{"occurrences", "boolean", "each event of a series by itself; otherwise the soonest that is found stands for its series"},
			{"sort", "string", "relevance, date or distance"},
			{"facets", "string", "comma-separated: category, city, country"},
		}, page...),
	},
	{
		method: http.MethodGet, path: "/v1/events/suggest", cached: true, handle: (*Server).suggest, ownParams: true, out: client.Suggestions{}, status: 200,
		doc: "Complete what was typed, at most 8 times.", params: []param{{"q", "string", "what was typed"}}, problems: "invalid_parameter search_warming",
	},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}", cached: true, handle: (*Server).getEvent, mayAuth: true, need: access.ReadEvents, out: client.Event{}, status: 200,
		doc:      "The event with its ticket types, from its home; from this cell's copy with availability unknown when this is not the home. The ETag is its version. Prices are all-in, with tax, of the current price step.",
		params:   []param{{"access_code", "string", "opens hidden ticket types"}},
		problems: "invalid_id event_not_found unknown_access_code code_not_valid code_used_up moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/holds", handle: (*Server).createHold, guard: guardHolds, key: keyRequired, in: newHold{}, out: client.Hold{}, status: 201,
		doc: "Keep tickets aside for a short while. Their prices are fixed: what is held is what is charged. Who says who he is (buyer_key) is told of his own_holds when they are why there is nothing left; one whose token is sent as the bearer is named.",
		problems: "invalid_id event_not_found sold_out not_on_sale too_many too_few invalid_quantity unknown_ticket_type no_seating " +
			"seat_taken unknown_seat unknown_section wrong_category single_seat_gap companion_alone invalid_seat " +
			"unknown_promo_code unknown_access_code code_not_valid code_used_up requires_other_ticket invalid_buyer_key buyer_required buyer_limit amount_not_chargeable moved",
	},
	{method: http.MethodGet, path: "/v1/events/{event_id}/order_form", cached: true, handle: (*Server).getForm, out: client.OrderForm{}, status: 200, doc: "What the event asks of its buyers; nothing by default.", problems: "invalid_id event_not_found moved"},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/seats", handle: (*Server).getSeats, mayAuth: true, need: access.ReadEvents, cached: true, out: client.SeatMap{}, status: 200,
		doc:      "The seating plan with where each seat stands. The ETag is of this very state, Age says how old it is; with If-None-Match 304 when nothing has changed.",
		problems: "invalid_id event_not_found no_seating moved",
	},
	{method: http.MethodGet, path: "/v1/holds/{hold_id}", handle: (*Server).getHold, auth: capHold, out: client.Hold{}, status: 200, doc: "The hold.", problems: "invalid_id hold_not_found moved"},
	{
		method: http.MethodPost, path: "/v1/holds/{hold_id}/extend", handle: (*Server).extendHold, auth: capHold, key: keyOptional, out: client.Hold{}, status: 200,
		doc: "Extend a hold; its life is capped.", problems: "invalid_id event_not_found hold_not_found hold_expired extend_limit moved",
	},
	{
		method: http.MethodDelete, path: "/v1/holds/{hold_id}", handle: (*Server).releaseHold, auth: capHold, status: 204,
		doc: "Give the stock back. Doing it again changes nothing.", problems: "invalid_id event_not_found hold_not_found hold_in_checkout invalid_state moved",
	},
	{
		method: http.MethodPost, path: "/v1/orders", handle: (*Server).createOrder, auth: capBody, guard: guardOrders, key: keyRequired, in: client.NewOrder{}, out: client.Order{}, status: 201,
		doc:      "Make an order from a hold. It answers what a browser needs to pay; a free order comes back paid.",
		problems: "invalid_id invalid_order event_not_found hold_not_found hold_expired hold_in_checkout buyer_mismatch price_changed amount_not_chargeable invalid_answer consent_required form_changed payment_provider_unavailable mail_limit moved",
	},
	{method: http.MethodGet, path: "/v1/orders/{order_id}", handle: (*Server).getOrder, auth: capOrder, orStaff: access.ReadOrders, out: client.Order{}, status: 200, doc: "The order.", problems: "invalid_id order_not_found moved"},
	{
		method: http.MethodPost, path: "/v1/orders/{order_id}/cancel", handle: (*Server).cancelOrder, auth: capOrder, orStaff: access.WriteOrders, key: keyOptional, out: client.Order{}, status: 200,
		doc:      "Cancel a whole order: unpaid, its stock goes back; paid, all that is left is refunded too, less what the order's refund_policy keeps. The organizer is bound by no policy. Single tickets are given back by refunds.",
		instead:  "it cancels the whole order; POST …/refunds with items gives single tickets back",
		problems: "invalid_id order_not_found invalid_state payment_disputed refund_not_allowed event_started ticket_transferred moved",
	},
	{
		method: http.MethodPost, path: "/v1/orders/{order_id}/refunds", handle: (*Server).refundOrder, auth: capOrder, orStaff: access.WriteOrders, key: keyRequired, in: client.NewRefund{}, out: client.Order{}, status: 201,
		doc: "Give money back. The organizer of the event may give back any amount, or single tickets at their price. Its buyer may by the order's refund_policy: single tickets, or the whole, which cancels the order. " +
			"Add-ons go along with the tickets that they require. The answer names the refund that was made.",
		problems: "invalid_id event_not_found order_not_found ticket_not_found invalid_order invalid_state refund_too_large refund_limit payment_disputed not_allowed refund_not_allowed event_started ticket_transferred too_few forbidden moved",
	},
	{method: http.MethodGet, path: "/v1/orders/{order_id}/refunds", handle: (*Server).getRefunds, auth: capOrder, orStaff: access.ReadOrders, out: Page[client.Refund]{}, status: 200, doc: "What of the order was given back, and by whom, oldest first.", problems: "invalid_id order_not_found moved"},
	{
		method: http.MethodPost, path: "/v1/orders/{order_id}/resend", handle: (*Server).resendOrder, auth: capOrder, orStaff: access.WriteOrders, out: client.Accepted{}, status: 202,
		doc: "Mail the order's tickets to its buyer again, a few times a day at most.", problems: "invalid_id order_not_found invalid_state mail_limit moved",
	},
	{
		method: http.MethodPost, path: "/v1/tickets/find", handle: (*Server).findTickets, in: client.FindTickets{}, out: client.Accepted{}, status: 202,
		doc:    "Mail a link to the tickets of an address. The answer is the same whether there are any. It covers orders, and tickets that were given to the address, of events at home in the cell that answers.",
		params: []param{{"cell", "string", "which cell is asked, for the router; default: the nearest"}}, problems: "invalid_order too_many_requests",
	},
	{
		method: http.MethodGet, path: "/v1/tickets/found", handle: (*Server).foundTickets, auth: capLink, out: client.Found{}, status: 200,
		doc:    "The orders that a mailed link opens, and tickets of others' orders that the address was given; a page for browsers.",
		params: []param{{"cell", "string", "whose link it is, for the router"}}, problems: "unauthorized link_invalid link_expired",
	},
	{
		method: http.MethodPost, path: "/v1/orders/{order_id}/access", handle: (*Server).renewAccess, auth: capOrder, out: client.Access{}, status: 200,
		doc: "Withdraw every link to the order and to the tickets that its buyer still has; the answer is the order's new token.", problems: "invalid_id order_not_found moved",
	},
	{method: http.MethodGet, path: "/v1/open", handle: (*Server).openLink, status: 200, media: "text/html", doc: "The page that a mailed link leads to. The token stands behind the # of its address, which no server sees; the page posts it."},
	{method: http.MethodGet, path: "/v1/open.js", handle: (*Server).openLinkScript, status: 200, media: "text/javascript", doc: "The script of that page."},
	{
		method: http.MethodPost, path: "/v1/open", handle: (*Server).exchangeLink, form: true, status: 303,
		doc: "Turn the token of a mailed link (form field token) into a cookie that admits to reading, and go on to what it opens.", problems: "forbidden link_invalid body_too_large unsupported_media_type invalid_json",
	},
	{method: http.MethodGet, path: "/v1/orders/{order_id}/invoice.pdf", handle: (*Server).invoicePDF, auth: capOrder, orStaff: access.ReadOrders, status: 200, media: "application/pdf", doc: "The invoice of a paid order.", problems: "invalid_id order_not_found paper_not_found moved"},
	{method: http.MethodGet, path: "/v1/orders/{order_id}/credit_notes/{n}", handle: (*Server).creditNotePDF, auth: capOrder, orStaff: access.ReadOrders, status: 200, media: "application/pdf", doc: "The credit note of an order's nth refund: 1.pdf, 2.pdf and so on.", problems: "invalid_id order_not_found paper_not_found moved"},
	{method: http.MethodGet, path: "/v1/orders/{order_id}/tickets", handle: (*Server).getTickets, auth: capOrder, orStaff: access.ReadOrders, out: Page[client.Ticket]{}, status: 200, doc: "The order's tickets.", problems: "invalid_id order_not_found moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}", handle: (*Server).getTicket, auth: capTicket, out: client.Ticket{}, status: 200, doc: "A ticket with its signed barcode. One that was given away says so, without the barcode.", problems: "invalid_id ticket_not_found moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}.pdf", auth: capTicket, status: 200, media: "application/pdf", doc: "The ticket on paper.", problems: "invalid_id ticket_not_found event_not_found invalid_state ticket_transferred moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}.png", auth: capTicket, status: 200, media: "image/png", doc: "The ticket's barcode as a QR code.", problems: "invalid_id ticket_not_found event_not_found invalid_state ticket_transferred moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}.ics", auth: capTicket, status: 200, media: "text/calendar", doc: "The ticket's date for a calendar.", problems: "invalid_id ticket_not_found event_not_found ticket_transferred moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}.pkpass", auth: capTicket, status: 200, media: "application/vnd.apple.pkpass", doc: "The ticket for Apple's wallet, where keys are configured.", problems: "invalid_id ticket_not_found event_not_found invalid_state ticket_transferred wallet_not_configured moved"},
	{
		method: http.MethodPost, path: "/v1/tickets/{ticket_id}/transfer", handle: (*Server).transferTicket, auth: capTicket, guard: guardOrders, key: keyRequired, in: client.NewTransfer{}, out: client.Transfer{}, status: 201,
		doc:      "Give a ticket to another person, who is mailed it with a new id and a new code; the old ones die. The order stays its buyer's, and so does what is refunded of it.",
		problems: "invalid_id ticket_not_found event_not_found order_not_found invalid_order invalid_state ticket_transferred event_over transfer_not_allowed transfer_limit payment_disputed mail_limit moved",
	},
	{
		method: http.MethodPost, path: "/v1/tickets/{ticket_id}/refund_consent", handle: (*Server).agreeToRefund, auth: capTicket, guard: guardOrders, key: keyOptional, out: client.RefundConsent{}, status: 200,
		doc:      "Agree, as who was given a ticket, that its buyer gives it back and gets its money. It ends when the ticket is given on.",
		problems: "invalid_id ticket_not_found event_not_found order_not_found invalid_state ticket_transferred moved",
	},
	{
		method: http.MethodDelete, path: "/v1/tickets/{ticket_id}/refund_consent", handle: (*Server).disagreeToRefund, auth: capTicket, guard: guardOrders, key: keyOptional, out: client.RefundConsent{}, status: 200,
		doc:      "Take that back.",
		problems: "invalid_id ticket_not_found event_not_found order_not_found invalid_state ticket_transferred moved",
	},
	{method: http.MethodGet, path: "/v1/events/{event_id}/transfer_policy", cached: true, handle: (*Server).getTransferPolicy, out: client.TransferPolicy{}, status: 200, doc: "Whether tickets of the event may be given on; allowed by default.", problems: "invalid_id event_not_found moved"},
	{method: http.MethodGet, path: "/v1/tickets/{ticket_id}/google_wallet", handle: (*Server).googleWallet, auth: capTicket, out: client.WalletLink{}, status: 200, doc: "Where to save the ticket in Google's wallet, where keys are configured.", problems: "invalid_id ticket_not_found event_not_found invalid_state ticket_transferred wallet_not_configured moved"},
	{
		method: http.MethodGet, path: "/v1/events/{event_id}/revocations", handle: (*Server).revocations, out: client.Revocations{}, status: 200, params: page[:1],
		doc: "Barcodes that must not be let in any more, by their marks, signed, up to 1,000 a page; a gate keeps them and asks behind the last.", problems: "invalid_id event_not_found invalid_cursor moved",
	},
	{method: http.MethodGet, path: "/v1/keys/tickets", cached: true, handle: (*Server).ticketKeys, out: client.JWKSet{}, status: 200, doc: "Public keys of all cells, with which a gate verifies barcodes offline."},
	{
		method: http.MethodPost, path: "/v1/payments/stripe/webhook", handle: (*Server).webhook, foreign: true, out: received{}, status: 200,
		doc: "The payment provider's events; 200 once stored.", params: []param{{"cell", "string", "whose account it is, for the router"}}, problems: "bad_signature",
	},
}

var organizerRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/organizers", handle: (*Server).createOrganizer, auth: operators, key: keyRequired, in: newOrganizer{}, out: client.Organizer{}, status: 201,
		doc: "Open an organizer's account in a region. The API key is shown once.", params: []param{{"home_region", "string", "the provider's name of the region"}},
		problems: "invalid_organizer unknown_region moved",
	},
	{
		method: http.MethodPost, path: "/v1/organizers/{organizer_id}/events", handle: (*Server).createEvent, auth: organizer, need: access.WriteEvents, key: keyRequired, in: client.NewEvent{}, out: client.Event{}, status: 201,
		doc: "Draft an event at a cell of the region.", params: []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id invalid_event amount_not_chargeable invalid_state event_exists unknown_region moved",
	},
	{
		method: http.MethodPatch, path: "/v1/events/{event_id}", handle: (*Server).patchEvent, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchRequired, in: client.PatchEvent{}, out: client.Event{}, status: 200,
		doc:      "Change an event's description. Another time or place of an event that has buyers moves it: its state is rescheduled, what was is kept, every buyer is told, and may give tickets back for a while.",
		problems: "invalid_id event_not_found invalid_event invalid_state event_in_past reschedule_limit version_mismatch if_match_required moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/publish", handle: (*Server).publishEvent, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchOptional, out: client.Event{}, status: 200,
		doc: "Put the event before the public.", problems: "invalid_id event_not_found invalid_state version_mismatch moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/cancel", handle: (*Server).cancelEvent, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchOptional, out: client.Event{}, status: 200,
		doc: "End the sale for good. Every order of the event is refunded or ended, page by page, and its buyer told. Doing it again changes nothing.", problems: "invalid_id event_not_found invalid_state version_mismatch moved",
	},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/quotas/{quota_id}", handle: (*Server).putQuota, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchRequired, in: client.NewQuota{}, out: client.Event{}, status: 200,
		doc: "Rename or resize a quota, never below what is held, sold and allocated.", problems: "invalid_id event_not_found invalid_event quota_not_found quota_too_small version_mismatch if_match_required moved",
	},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/ticket_types/{ticket_type_id}", handle: (*Server).putTicketType, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchRequired, in: client.NewTicketType{}, out: client.Event{}, status: 200,
		doc: "Change a ticket type. It draws on the quotas that it was made with, which are named again. An optional member that is left out stays as it is; null or empty takes it away.", problems: "invalid_id event_not_found invalid_event amount_not_chargeable unknown_ticket_type quotas_fixed tier_too_small version_mismatch if_match_required moved",
	},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/codes/{code}", handle: (*Server).putCode, auth: organizer, need: access.WriteEvents, key: keyOptional, in: client.NewCode{}, out: client.Code{}, status: 200,
		doc:      "Make a promo code or an access code, or change its terms and limits, never below what is used. Case does not count. An optional member that is left out stays as it is; null takes it away.",
		problems: "invalid_id event_not_found invalid_code code_too_small too_many_codes moved",
	},
	{method: http.MethodGet, path: "/v1/events/{event_id}/codes", handle: (*Server).listCodes, auth: organizer, need: access.ReadEvents, out: Page[client.Code]{}, status: 200, params: page, doc: "The event's codes and what is used of them.", problems: "invalid_id event_not_found invalid_cursor invalid_parameter moved"},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/order_form", handle: (*Server).putForm, auth: organizer, need: access.WriteEvents, key: keyOptional, in: client.NewOrderForm{}, out: client.OrderForm{}, status: 200,
		doc: "Say what buyers and attendees are asked, what they agree to, and who sells. A consent whose text is new has a new version. A member that is left out stays as it is; null takes it away.", problems: "invalid_id event_not_found invalid_form form_changed moved",
	},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/seating", handle: (*Server).putSeating, auth: organizer, need: access.WriteEvents, key: keyOptional, match: matchRequired, in: client.Seating{}, out: client.Event{}, status: 200,
		doc:      "Lay a seating plan out for a draft, of at most 8 MiB. A quota on which only ticket types for seats draw has as many as there are seats.",
		problems: "invalid_id event_not_found invalid_event invalid_state quota_too_small version_mismatch if_match_required moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/seats/kills", handle: (*Server).killSeats, auth: organizer, need: access.WriteEvents, key: keyOptional, in: client.KillSeats{}, out: client.SeatsChanged{}, status: 200,
		doc: "Take seats out of the sale, or bring them back.", problems: "invalid_id event_not_found no_seating unknown_seat invalid_seat seat_taken quota_too_small moved",
	},
	{
		method: http.MethodPost, path: "/v1/events/{event_id}/seats/house", handle: (*Server).houseSeats, auth: organizer, need: access.WriteEvents, key: keyOptional, in: client.HouseSeats{}, out: client.SeatsChanged{}, status: 200,
		doc: "Set seats aside for the house, or release them. They count as allocated.", problems: "invalid_id event_not_found no_seating unknown_seat invalid_seat seat_taken quota_too_small moved",
	},
	{method: http.MethodGet, path: "/v1/events/{event_id}/stats", handle: (*Server).getStats, auth: organizer, need: access.ReadStats, out: client.Stats{}, status: 200, doc: "How the event sells.", problems: "invalid_id event_not_found moved"},
	{method: http.MethodGet, path: "/v1/events/{event_id}/orders", handle: (*Server).listOrders, auth: organizer, need: access.ReadOrders, out: Page[client.Order]{}, status: 200, params: orderParams, doc: "The event's orders, newest first. With a filter a page may have fewer than limit and not be the last: next_cursor says.", problems: "invalid_id event_not_found invalid_cursor invalid_parameter moved"},
	{method: http.MethodGet, path: "/v1/events/{event_id}/attendees.csv", handle: (*Server).attendees, auth: organizer, need: access.ReadOrders, status: 200, media: "text/csv", doc: "Who comes, one line a ticket, with what was answered to each question; UTF-8 with a byte order mark. It may be of any size; a transfer that breaks off is not whole.", problems: "invalid_id event_not_found moved"},
	{method: http.MethodGet, path: "/v1/events/{event_id}/ledger", handle: (*Server).ledger, auth: organizer, need: access.ReadLedger, status: 200, media: "application/jsonl", doc: "All that was ever done to the event's stock, one row a transaction, chained by hash and sealed.", problems: "invalid_id event_not_found moved"},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/payment_policy", handle: (*Server).putPaymentPolicy, auth: organizer, need: access.WriteFinance, in: client.PaymentPolicy{}, out: client.PaymentPolicy{}, status: 200,
		doc: "What becomes of tickets while a bank has their payment in question: block, keep, or null for the cell's own policy.", problems: "invalid_id event_not_found invalid_payment_settings moved",
	},
	{
		method: http.MethodPut, path: "/v1/events/{event_id}/transfer_policy", handle: (*Server).putTransferPolicy, auth: organizer, need: access.WriteEvents, in: client.TransferPolicy{}, out: client.TransferPolicy{}, status: 200,
		doc: "Whether tickets of the event may be given on: allowed or forbidden. What was given stays given.", problems: "invalid_id event_not_found invalid_transfer_policy moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/payouts", handle: (*Server).getPayouts, auth: organizer, need: access.ReadFinance, out: client.Payouts{}, status: 200,
		doc: "What this cell owes the organizer, by currency. Each home of his events has books of its own.", params: []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id unknown_region moved",
	},
	{
		method: http.MethodPut, path: "/v1/organizers/{organizer_id}/payment_account", handle: (*Server).putPaymentAccount, auth: organizer, need: access.WriteFinance, in: client.NewPaymentAccount{}, out: client.PaymentAccount{}, status: 200,
		doc: "The organizer's own account at the payment provider, connected to this cell's: his share of new orders goes there at once. null takes it away.", params: []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id unknown_region invalid_payment_settings payment_account_unknown payment_account_unusable payment_provider_unavailable moved",
	},
	{
		method: http.MethodGet, path: "/v1/organizers/{organizer_id}/embedding", handle: (*Server).getEmbedding, auth: organizer, need: access.ReadEvents, out: client.Embedding{}, status: 200,
		doc: "On whose pages the shop of the organizer's events may be shown in a frame. Each home of his events has a list of its own.", params: []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id unknown_region moved",
	},
	{
		method: http.MethodPut, path: "/v1/organizers/{organizer_id}/embedding", handle: (*Server).putEmbedding, auth: organizer, need: access.WriteEvents, in: client.Embedding{}, out: client.Embedding{}, status: 200,
		doc: "Replace that list: up to 20 origins like https://www.example.org, without wildcards; an empty list allows none. See docs/shop.md for widget.js.", params: []param{{"home_region", "string", "default: the organizer's"}},
		problems: "invalid_id unknown_region invalid_origin moved",
	},
	{method: http.MethodGet, path: "/v1/events/{event_id}/embedding", cached: true, handle: (*Server).eventEmbedding, out: client.Embedding{}, status: 200, doc: "On whose pages the event's shop may be shown in a frame.", problems: "invalid_id event_not_found moved"},
	{
		method: http.MethodPost, path: "/v1/payments/notices/replay", handle: (*Server).replayNotices, auth: operators, in: client.NewReplay{}, out: Page[client.Replayed]{}, status: 200,
		doc: "Let stored notices of the payment provider have their effect again, at most 200 a call. What they did already they do not do twice.", params: []param{{"cell", "string", "whose notices, for the router"}},
		problems: "invalid_replay invalid_cursor notice_not_found",
	},
	{method: http.MethodGet, path: "/v1/regions", cached: true, handle: (*Server).regions, out: Page[client.Region]{}, status: 200, doc: "Regions and cells with residency text, so that an organizer can choose; of the cell that answers also when its database last proved that all rows are in the region."},
}

// sagaCell is for the router: a cell has its own sagas only.
var sagaCell = param{"cell", "string", "whose sagas, for the router; default: where an id leads, else the nearest"}

var sagaRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/sagas", handle: (*Server).listSagas, auth: operators, out: Page[client.Saga]{}, status: 200,
		doc: "Sagas of this cell, newest first.", problems: "invalid_cursor invalid_parameter saga_not_found",
		params: append([]param{sagaCell, {"status", "string", "running, succeeded or failed"}, {"name", "string", "of the flow"}, {"event_id", "string", ""}}, page...),
	},
	{method: http.MethodGet, path: "/v1/sagas/{saga_id}", handle: (*Server).getSaga, auth: operators, out: client.SagaDetail{}, status: 200, params: []param{sagaCell}, doc: "A saga with its log of what was asked of the outside.", problems: "saga_not_found"},
	{
		method: http.MethodPost, path: "/v1/sagas/{saga_id}/retry", handle: (*Server).retrySaga, auth: operators, out: client.SagaDetail{}, status: 200,
		params: []param{sagaCell}, doc: "Let a saga that failed go on where it failed.", problems: "saga_not_found saga_not_failed",
	},
}

var commonRoutes = []route{
	{method: http.MethodGet, path: "/v1/topology", handle: (*Server).topology, out: topology.Snapshot{}, status: 200, doc: "The map as this cell knows it, in the bytes that the control plane signed; X-Guichet-Signature vouches for them.", problems: "topology_unknown"},
	{method: http.MethodGet, path: "/livez", handle: (*Server).live, anyParams: true, out: Probe{}, status: 200, doc: "Whether the process can answer at all."},
	{method: http.MethodGet, path: "/readyz", handle: (*Server).ready, anyParams: true, out: Probe{}, on503: Probe{}, status: 200, doc: "Whether to send requests here; 503 with the reasons when not. A search index that is being filled is told, and no reason."},
	{method: http.MethodGet, path: "/openapi.json", cached: true, handle: (*Server).openapi, status: 200, media: "application/json", doc: "This document."},
}
