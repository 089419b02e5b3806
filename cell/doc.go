// Package cell is one region's booking house: everything needed to sell, check in
// and refund the tickets of the events that are at home here, and nothing that
// belongs to another cell. This file is the map; it holds no code.
//
// # The promises
//
// They are cited by number wherever they are kept, and every drill asserts them.
//
//	P1 One home.         For each event at most one cell accepts writes in an epoch; the epoch never decreases.
//	P2 No oversell.      For each quota held + sold + allocated <= size; for each seat at most one live hold or ticket.
//	P3 Kept.             Every acknowledged hold and order is durable and exists exactly once, at exactly one home.
//	P4 Books balance.    Postings sum to zero; captured − refunded = value of valid orders + what a refund policy kept
//	                     of the others; every payment ends within 60 s of the provider being reachable in a ticket or
//	                     in a refund.
//	P5 Once.             The same idempotency key gives the same answer; every outbox fact reaches every consumer;
//	                     effects happen once.
//	P6 Local.            No inventory decision waits for the control plane, the hub, or another cell.
//	P7 Blast radius.     A fault in one cell leaves the others' errors at zero and their p99 within 10 %.
//	P8 Static stability. With the control plane, the hub and every other cell gone, everything that worked keeps
//	                     working, cold starts included.
//	P9 Honest.           "Cannot ask" is unknown, never "sold out"; every refusal says whether and when to retry.
//
// # The rooms
//
//	id, money   identities that carry the route; integer money
//	access      what a token admits to: capabilities, persons, memberships, roles
//	identity    who somebody is: sign-in at an issuer, sessions, their end; oidc speaks to the issuer
//	walltime    what a clock on a wall shows, as an instant: zones, skipped and repeated hours, recurrence
//	country     the countries of ISO 3166-1, by code and name
//	legible     which characters a name may have
//	mailaddr    e-mail addresses, and when two spellings are one person's
//	account     members, invitations, API keys of an organizer: pure decisions about who is what
//	audit       who changed what, written with the change
//	booking     events, ticket types, quotas, seats, holds: pure decisions about stock
//	payment     charges, refunds, disputes, the ledger; ports.go is the door to a provider
//	notify      mails: a durable queue, their words in five languages, when to try again
//	checkout    orders: the only room that joins booking, payment and notify
//	saga        runs Amazon States Language durably; knows no domain
//	ticket      barcodes that prove themselves; render draws them, ical dates them, wallet packs them for telephones
//	letter      gathers what a mail tells; smtp carries it, smtp/sink stands for a mail server
//	search      query, document, indexer; bleve is its index on disk, cityname knows cities by other names
//	converge    compares this cell's copy of the catalogue with each home's, and mends it
//	catalog     foreign event formats, and the catalogue the project brings along
//	bus         subjects, envelopes and ports of what travels; leaf carries it
//	store       SQL and nothing else, one file per schema
//	stripe      payment.Processor by stripe-go; sandbox speaks Stripe's HTTP API
//	atlas, join the newest map of the town, and being on it
//	api         gin routes, one file per resource; routes.go is the contract
//	web         pages for browsers: shop for attendees, account
//	client      wire types and a typed HTTP client
//
// # A request's way
//
// A hold comes in at api/holds.go, which reads it strictly and takes it, with its
// idempotency key, to booking.Service. At the event's desk (booking/desk.go) it waits
// with everybody else's until the batch before it has committed. store/booking_batch.go
// then locks the event row, reads quotas, keys and the database's clock, and hands
// them to booking.Stock.Grant, which decides without any I/O. What was decided is
// written with the ledger's row in the same transaction; then the answers go out.
// What the town is to hear (the catalogue) has a row of the outbox there. cmd/cell/wire.go joins the rooms.
package cell
