package api

import (
	"maps"
	"reflect"
	"strings"

	"guichet/cell/access"
	"guichet/cell/account"
	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/money"
)

// What a schema says of values beside their type stands here, by "Type.member" of the wire
// types. The rules themselves are the domain's, which also says more than a schema can:
// what is here is only ever true of every value that the domain takes.

func text(least, most int) object { return object{"minLength": least, "maxLength": most} }

func number(least, most int64) object {
	return object{"minimum": least, "maximum": most}
}

func list(least, most int) object { return object{"minItems": least, "maxItems": most} }

func pattern(p string) object { return object{"pattern": p} }

func oneOf[T ~string](values ...T) object {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = string(v)
	}
	return object{"enum": names}
}

// idOf is the pattern of an id: kind, cell and an event's or organizer's key, and for what
// belongs to one its own part.
func idOf(kind string, parts int) object {
	return pattern("^" + kind + "_[a-z]{2,4}[0-9]{1,2}" + strings.Repeat("_[0-9a-z]{8,32}", parts) + "$")
}

// idKinds are the ids in paths and bodies.
var idKinds = map[string]object{
	"event_id": idOf("evt", 1), "organizer_id": idOf("org", 1), "series_id": idOf("ser", 1), "quota_id": idOf("quo", 2), "ticket_type_id": idOf("typ", 2), "hold_id": idOf("hld", 2),
	"order_id": idOf("ord", 2), "ticket_id": idOf("tkt", 2), "allocation_id": idOf("alc", 2), "member_id": idOf("mbr", 2), "invitation_id": idOf("inv", 2), "key_id": idOf("key", 2),
}

// requestFacets are about requests.
var requestFacets = map[string]object{
	"Money.amount": number(0, money.Max), "Money.currency": pattern("^[A-Z]{3}$"),
	"Location.lat": number(-90, 90), "Location.lon": number(-180, 180),
	"Venue.name": text(1, booking.MaxName), "Venue.address": text(0, booking.MaxName), "Venue.city": text(1, booking.MaxName), "Venue.country": text(2, booking.MaxName), "Venue.capacity": number(0, booking.MaxQuotaSize),
	"PatchVenue.name": text(1, booking.MaxName), "PatchVenue.city": text(1, booking.MaxName), "PatchVenue.country": text(2, booking.MaxName),
	"NewEvent.name": text(0, booking.MaxName), "NewEvent.summary": text(0, booking.MaxSummary), "NewEvent.category": text(0, booking.MaxCategory), "NewEvent.currency": pattern("^[A-Z]{3}$"), "NewEvent.time_zone": text(1, 64),
	"NewEvent.quotas": list(1, booking.MaxQuotas), "NewEvent.ticket_types": list(1, booking.MaxTypes),
	"PatchEvent.name": text(1, booking.MaxName), "PatchEvent.summary": text(0, booking.MaxSummary), "PatchEvent.category": text(0, booking.MaxCategory), "PatchEvent.time_zone": text(1, 64),
	"NewQuota.name": text(1, booking.MaxName), "NewQuota.size": number(0, booking.MaxQuotaSize),
	"NewTicketType.name": text(1, booking.MaxName), "NewTicketType.quotas": list(1, booking.MaxQuotas),
	"NewTicketType.min_per_order": number(0, booking.MaxTicketsPerOrder), "NewTicketType.max_per_order": number(0, booking.MaxPerOrder), "NewTicketType.max_per_buyer": number(0, booking.MaxPerBuyer),
	"Tax.basis_points": number(0, 10_000), "NewTier.name": text(1, booking.MaxName), "NewTier.quantity": number(0, booking.MaxQuotaSize),
	"newHold.items": list(1, booking.MaxLines), "newHoldItem.ticket_type_id": idKinds["ticket_type_id"], "newHoldItem.quantity": number(0, booking.MaxPerOrder),
	"NewOrder.hold_id": idKinds["hold_id"], "NewOrder.attendees": list(0, booking.MaxTicketsPerOrder), "Buyer.email": text(3, 254), "Buyer.name": text(1, 200),
	"NewRefund.items": list(1, booking.MaxTicketsPerOrder), "NewRefund.reason": text(0, 200), "RefundItem.ticket_id": idKinds["ticket_id"],
	"NewCode.kind": oneOf(booking.PromoCode, booking.AccessCode), "NewCode.basis_points": number(0, 10_000), "NewCode.max_uses": number(0, booking.MaxQuotaSize), "NewCode.ticket_types": list(0, booking.MaxTypes),
	"Question.kind": oneOf("text", "choice"), "Question.per": oneOf("order", "attendee"), "Question.id": pattern("^[a-z0-9_]{1,40}$"), "NewConsent.id": pattern("^[a-z0-9_]{1,40}$"),
	"NewOrderForm.questions": list(0, checkout.MaxQuestions), "NewOrderForm.consents": list(0, checkout.MaxConsents),
	"TransferPolicy.transfers": oneOf("allowed", "forbidden"), "PaymentPolicy.on_dispute": oneOf("block", "keep"),
	"Recipient.name": text(1, 200), "Recipient.email": text(3, 254), "FindTickets.email": text(3, 254),
	"NewAllocation.quota_id": idKinds["quota_id"], "NewAllocation.quantity": number(1, booking.MaxQuotaSize), "ReleaseAllocation.quantity": {"minimum": 1},
	"NewNamedHold.ticket_type_id": idKinds["ticket_type_id"], "NewNamedHold.quantity": {"minimum": 1},
	"KillSeats.seat_ids": list(1, booking.MaxSeatsPerCall), "HouseSeats.seat_ids": list(1, booking.MaxSeatsPerCall),
	"TimeSlot.at": pattern("^([01][0-9]|2[0-3]):[0-5][0-9]$"), "TimeSlot.minutes": number(0, 24*60), "NewSeries.name": text(1, booking.MaxName),
	"PutMember.role": oneOf(access.Roles...), "NewInvitation.role": oneOf(access.Roles...), "NewInvitation.email": text(3, 254),
	"NewAPIKey.name": text(1, account.MaxName), "NewAPIKey.role": oneOf(append([]access.Role{""}, access.Roles...)...), "RotateAPIKey.grace_s": number(0, int64(account.MaxGrace.Seconds())),
	"Security.required_acr": text(0, account.MaxACR), "Embedding.origins": list(0, account.MaxOrigins), "newOrganizer.name": text(1, 200),
}

// answerFacets are about answers.
var answerFacets = map[string]object{
	"Hold.state": oneOf(booking.HoldActive, booking.HoldConverted, booking.HoldExpired, booking.HoldReleased), "Ticket.state": oneOf(checkout.TicketValid, checkout.TicketCheckedIn, checkout.TicketCanceled, checkout.TicketRevoked),
	"Order.state": oneOf(checkout.Pending, checkout.Paid, checkout.Expired, checkout.Canceled), "Series.state": oneOf(booking.SeriesMaking, booking.SeriesDraft, booking.SeriesPublishing, booking.SeriesPublished),
	"Allocation.state": oneOf("open", "closed"), "Invitation.state": oneOf(account.Open, account.Accepted, account.Withdrawn, account.Expired), "APIKey.state": oneOf(account.KeyLive, account.KeyReplaced, account.KeyRevoked, account.KeyExpired),
	"Member.role": oneOf(access.Roles...), "MembershipToken.role": oneOf(access.Roles...), "Saga.status": oneOf("running", "succeeded", "failed"),
	"JWK.kty": oneOf("OKP"), "JWK.crv": oneOf("Ed25519"), "JWK.use": oneOf("sig"), "JWK.alg": oneOf("EdDSA"),
	"Quota.size": {"minimum": 0}, "Quota.held": {"minimum": 0}, "Quota.sold": {"minimum": 0}, "Quota.allocated": {"minimum": 0},
	"Problem.status": number(400, 599), "Problem.code": pattern("^[a-z0-9_]+$"), "Problem.retry_after": {"minimum": 1},
	"Problem.left":  {"anyOf": []object{{"type": "integer"}, {"type": "array", "items": object{"type": "object", "properties": object{"ticket_type_id": object{"type": "string"}, "left": object{"type": "integer"}}, "required": []string{"ticket_type_id", "left"}}}}, "description": "how many there still are, of what was asked for"},
	"Problem.limit": {"type": "integer", "description": "the bound that was met"}, "Problem.seats": {"type": "array", "items": object{"type": "string"}, "description": "ids of the seats that are why"},
}

// enumOf is what a named text type can be, nil for any text.
func enumOf(t reflect.Type) object {
	if t == reflect.TypeFor[client.Availability]() {
		return oneOf(client.Available, client.Few, client.None, client.Unknown)
	}
	return nil
}

// faceted adds what is said of a member to its schema.
func faceted(facets map[string]object, t reflect.Type, member string, s object) object {
	f := facets[t.Name()+"."+member]
	if f == nil {
		return s
	}
	if alternatives, ok := s["anyOf"].([]object); ok {
		both := append([]object{}, alternatives...)
		both[0] = maps.Clone(both[0])
		maps.Copy(both[0], f)
		return object{"anyOf": both}
	}
	s = maps.Clone(s)
	maps.Copy(s, f)
	return s
}
