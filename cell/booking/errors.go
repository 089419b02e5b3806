package booking

import "guichet/internal/kind"

// What the desk can say. The codes are part of the API.
var (
	ErrEventNotFound     = kind.NotFound.New("event_not_found")
	ErrOrganizerNotFound = kind.NotFound.New("organizer_not_found")
	ErrHoldNotFound      = kind.NotFound.New("hold_not_found")
	ErrTicketType        = kind.Unprocessable.New("unknown_ticket_type")
	ErrQuotaNotFound     = kind.NotFound.New("quota_not_found")
	ErrMoved             = kind.Moved.New("moved")
	ErrSoldOut           = kind.Conflict.New("sold_out")
	ErrNotOnSale         = kind.Conflict.New("not_on_sale")
	ErrTooMany           = kind.Unprocessable.New("too_many")
	ErrTooFew            = kind.Unprocessable.New("too_few")
	ErrQuantity          = kind.Invalid.New("invalid_quantity")
	ErrExtendLimit       = kind.Conflict.New("extend_limit")
	ErrHoldExpired       = kind.Conflict.New("hold_expired")
	ErrHoldInCheckout    = kind.Conflict.New("hold_in_checkout")
	ErrEventExists       = kind.Conflict.New("event_exists")
	ErrInvalidEvent      = kind.Invalid.New("invalid_event")
	ErrState             = kind.Conflict.New("invalid_state")
	ErrStale             = kind.Stale.New("version_mismatch")
	ErrQuotaTooSmall     = kind.Conflict.New("quota_too_small")
	ErrNoSeating         = kind.Unprocessable.New("no_seating")
	ErrPromoCode         = kind.Unprocessable.New("unknown_promo_code")
	ErrInvalidOrganizer  = kind.Invalid.New("invalid_organizer")
)
