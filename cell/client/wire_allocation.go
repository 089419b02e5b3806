package client

import "time"

// Allocation is stock of one quota that staff set aside (a house hold).
type Allocation struct {
	ID        string    `json:"id"`
	EventID   string    `json:"event_id"`
	QuotaID   string    `json:"quota_id"`
	Name      string    `json:"name"`
	State     string    `json:"state"`    // open or closed
	Asked     int64     `json:"asked"`    // how much was set aside at first
	Quantity  int64     `json:"quantity"` // how much still is
	CreatedAt time.Time `json:"created_at"`
}

// AllocationDetail is an allocation with the holds made from it, newest first.
type AllocationDetail struct {
	Allocation
	Holds []NamedHold `json:"holds"`
}

// NewAllocation sets stock of a quota aside.
type NewAllocation struct {
	QuotaID  string `json:"quota_id"`
	Quantity int64  `json:"quantity"`
	Name     string `json:"name"` // what it is for: "press", "sponsor"
}

// ReleaseAllocation gives part of an allocation back to the public.
type ReleaseAllocation struct {
	Quantity int64 `json:"quantity"`
}

// NamedBuyer is for whom staff keep tickets.
type NamedBuyer struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
}

// NewNamedHold turns part of an allocation into a hold for a named buyer.
type NewNamedHold struct {
	TicketTypeID string     `json:"ticket_type_id"`
	Quantity     int64      `json:"quantity"`
	Buyer        NamedBuyer `json:"buyer"`
	ExpiresAt    *time.Time `json:"expires_at,omitempty"` // default: as any hold; at most 14 days ahead
}

// NamedHold is a hold that staff made for a named buyer.
type NamedHold struct {
	Hold
	Buyer NamedBuyer `json:"buyer"`
}
