// Package shop is the pages on which people find an event, buy tickets and keep them.
// It knows the wire contract of a cell (cell/client) and nothing of its rooms: each page
// asks the cell's own calls, in this process, with the bearer that the browser's cookie
// holds. So a page may do what a program with the same token may do, and nothing else.
//
// # Where a page is served
//
// The router decides by the address alone (router/route, Aim):
//
//   - A public page begins with its language: /fr/events/evt_…. Its reader gets it from
//     the nearest cell, from that cell's copy, with availability unknown where the event
//     has its home elsewhere; shop.js asks the home. With ?at=home the home serves the
//     page itself: this is what a link without JavaScript leads to, and where a cell
//     sends the reader of an event that it has no copy of.
//   - What decides names in its path the object that it is about: POST /fr/events/evt_…/hold,
//     everything under /holds/hld_…, /orders/ord_… and /tickets/tkt_…. The router sends
//     these to the event's home, so a decision is made there and no cell asks another one.
//   - A page about a person (/holds, /orders, /tickets) has no language in its address;
//     the language comes from the cookie guichet_lang or from Accept-Language.
//
// # Tokens
//
// An id names, a token admits. A hold's token is the cookie of the path /holds/hld_…, an
// order's of /orders/ord_…, a ticket's of /tickets/tkt_…; all are HttpOnly, Secure and
// SameSite=Lax, and no page shows one. A form that another site sends is refused by
// its Origin (http.CrossOriginProtection), so a cookie that comes with it does nothing.
//
// # Conventions for authors of pages
//
//   - A page is three files: noun.go decides (a handler of type handler that reads with
//     v.api, and gives an answer), noun.templ shows, lang/*.json has the words.
//   - Register the handler in routes.go, in publicRoutes (a page that is the same for
//     everybody; it is cached here and by a CDN, must not read cookies or set any) or in
//     privateRoutes (never cached; noindex).
//   - A new first segment of a path needs a row in cell/client/class and a case in
//     router/route (Aim), with their tests.
//   - Every word comes from lang/*.json by T, N or the formatters of *tongue. The key is a
//     literal, so that the tests find what is missing and what is not used; keys that are
//     made at run time begin with a prefix in looseKeys (lang_test.go).
//   - The policy forbids inline scripts and inline styles, style="" too. A class is in
//     assets/shop.css; behaviour is in assets/shop.js, found by a data- attribute. A page
//     works without JavaScript up to payment.
//   - templ escapes text and attributes. Do not use templ.Raw, but for a drawing made here
//     from numbers (poster.go) and for JSON made by encoding/json (jsonld.go).
//   - A refusal of a call is an error that the handler returns: fail.go shows it as a page.
//     A refusal of a form is shown beside the field, in the form that was sent, with what
//     was typed.
//   - A missing value is not shown as zero, and availability unknown is never "sold out".
//   - After a change of a .templ file run go generate ./cell/web/shop and commit both.
package shop

//go:generate go run github.com/a-h/templ/cmd/templ@v0.3.977 generate
