package shop

import (
	"encoding/json"
	"time"

	"guichet/cell/client"
	"guichet/cell/money"
)

// ld is an object of JSON-LD.
type ld map[string]any

// eventLD tells search engines of an event (schema.org/Event). encoding/json escapes <, >
// and &, so no name can end the script element that it stands in.
func (v *visit) eventLD(e client.Event) string {
	address := ld{"@type": "PostalAddress", "addressLocality": e.Venue.City, "addressCountry": e.Venue.Country}
	if e.Venue.Address != "" {
		address["streetAddress"] = e.Venue.Address
	}
	where := ld{"@type": "Place", "name": orElse(e.Venue.Name, e.Venue.City), "address": address}
	if at := e.Venue.Location; at != nil {
		where["geo"] = ld{"@type": "GeoCoordinates", "latitude": at.Lat, "longitude": at.Lon}
	}
	page := v.p.cfg.SiteURL + "/" + v.l.Code + "/events/" + e.ID
	doc := ld{
		"@context": "https://schema.org", "@type": "Event", "name": e.Name, "url": page, "startDate": in(e.StartsAt, e.TimeZone).Format(time.RFC3339),
		"location": where, "image": v.p.cfg.SiteURL + "/" + v.l.Code + "/events/" + e.ID + ".png", "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
		"eventStatus": "https://schema.org/EventScheduled",
	}
	if e.Rescheduled != nil {
		doc["eventStatus"] = "https://schema.org/EventRescheduled"
		doc["previousStartDate"] = e.Rescheduled.From.StartsAt.Format(time.RFC3339)
	}
	if e.State == "canceled" {
		doc["eventStatus"] = "https://schema.org/EventCancelled"
	}
	if e.Summary != "" {
		doc["description"] = e.Summary
	}
	if e.EndsAt != nil {
		doc["endDate"] = in(*e.EndsAt, e.TimeZone).Format(time.RFC3339)
	}
	var offers []ld
	for _, t := range e.TicketTypes {
		if t.AddOn {
			continue
		}
		offer := ld{"@type": "Offer", "name": t.Name, "price": decimal(t.PriceAllIn), "priceCurrency": t.PriceAllIn.Currency, "url": page}
		switch t.Availability { // unknown is not said: it is neither in stock nor sold out
		case client.Available:
			offer["availability"] = "https://schema.org/InStock"
		case client.Few:
			offer["availability"] = "https://schema.org/LimitedAvailability"
		case client.None:
			offer["availability"] = "https://schema.org/SoldOut"
		case client.Unknown:
		}
		if t.SalesStart != nil {
			offer["validFrom"] = t.SalesStart.UTC().Format(time.RFC3339)
		}
		offers = append(offers, offer)
	}
	if offers != nil {
		doc["offers"] = offers
	}
	text, err := json.Marshal(doc)
	if err != nil { // strings and numbers can always be written, but for NaN
		return ""
	}
	return string(text)
}

// decimal is an amount as machines read it: "42.50".
func decimal(m money.Money) json.Number {
	exp, err := money.Exponent(m.Currency)
	if err != nil {
		return "0"
	}
	unit := int64(1)
	for range exp {
		unit *= 10
	}
	text := json.Number(itoa(m.Amount / unit))
	if exp > 0 {
		digits := itoa(m.Amount % unit)
		for len(digits) < exp {
			digits = "0" + digits
		}
		text += json.Number("." + digits)
	}
	return text
}
