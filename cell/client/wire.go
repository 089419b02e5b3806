// Package client is the wire contract of a cell: the JSON shapes of api.md as Go
// types, and a typed HTTP client over them. Handlers encode these very types, so
// the contract is written once. It knows no rooms but money.
package client

import (
	"encoding/json"
	"strconv"
	"time"

	"guichet/cell/money"
)

// Availability is what the public sees of stock.
type Availability string

// The public availabilities. Unknown whenever the home cell cannot be asked (P9).
const (
	Available Availability = "available"
	Few       Availability = "few"
	None      Availability = "none"
	Unknown   Availability = "unknown"
)

// Location is a point in degrees.
type Location struct {
	Lat float64 `json:"lat"`
	Lon float64 `json:"lon"`
}

// Venue is the place of an event. Capacity 0 means unsaid.
type Venue struct {
	Name     string    `json:"name"`
	Address  string    `json:"address,omitempty"`
	City     string    `json:"city"`
	Country  string    `json:"country"` // ISO 3166-1 alpha-2
	Location *Location `json:"location" in:"optional"`
	Capacity int64     `json:"capacity,omitempty"`
}

// Home is where an event's inventory is decided.
type Home struct {
	Cell   string `json:"cell"`
	Region string `json:"region"`
	Epoch  int64  `json:"epoch,omitempty"`
}

// Listing is an event as a search result.
type Listing struct {
	ID              string       `json:"id"`
	Name            string       `json:"name"`
	Summary         string       `json:"summary"`
	Category        string       `json:"category"`
	Venue           Venue        `json:"venue"`
	StartsAt        time.Time    `json:"starts_at"`
	EndsAt          *time.Time   `json:"ends_at"`
	TimeZone        string       `json:"time_zone"`
	PriceFrom       *money.Money `json:"price_from"`
	Availability    Availability `json:"availability"`
	AvailabilityAge *float64     `json:"availability_age_s"` // seconds; null when unknown
	DistanceKM      *float64     `json:"distance_km"`        // null without near
	Home            Home         `json:"home"`
	Source          *Source      `json:"source,omitempty"`
	SeriesID        string       `json:"series_id,omitempty"` // of an occurrence
	Slot            string       `json:"slot,omitempty"`      // its time slot
	Rescheduled     bool         `json:"rescheduled,omitempty"`
}

// Source credits where a listing's facts come from.
type Source struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Licence string `json:"licence,omitempty"`
	Credit  string `json:"credit,omitempty"`
	URL     string `json:"url,omitempty"`
	Shifted bool   `json:"shifted,omitempty"` // the date was moved ahead by whole weeks
}

// Facet is one value of a facet with its count.
type Facet struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Listings is one page of search results.
type Listings struct {
	Items      []Listing          `json:"items"`
	Facets     map[string][]Facet `json:"facets,omitempty"`
	Total      int                `json:"total"`
	NextCursor *string            `json:"next_cursor"`
}

// Suggestions are completions of what was typed.
type Suggestions struct {
	Items []Suggestion `json:"items"`
}

// Suggestion is one completion.
type Suggestion struct {
	Text string `json:"text"`
	Kind string `json:"kind"`         // event, venue, city or category
	ID   string `json:"id,omitempty"` // of an event
}

// Event is an event with what can be bought.
type Event struct {
	ID          string       `json:"id"`
	OrganizerID string       `json:"organizer_id"`
	Name        string       `json:"name"`
	Summary     string       `json:"summary"`
	Category    string       `json:"category"`
	Venue       Venue        `json:"venue"`
	StartsAt    time.Time    `json:"starts_at"`
	EndsAt      *time.Time   `json:"ends_at"`
	TimeZone    string       `json:"time_zone"`
	Currency    string       `json:"currency"`
	State       string       `json:"state"`
	TicketTypes []TicketType `json:"ticket_types"`
	Quotas      []Quota      `json:"quotas,omitempty"` // for the organizer only
	Home        Home         `json:"home"`
	Version     int64        `json:"version"`
	Source      *Source      `json:"source,omitempty"`
	Seated      bool         `json:"seated,omitempty"`    // its plan is at …/seats
	SeriesID    string       `json:"series_id,omitempty"` // of an occurrence
	Slot        string       `json:"slot,omitempty"`      // its time slot

	RefundPolicy RefundPolicy `json:"refund_policy"`         // of orders that are made now
	Rescheduled  *Rescheduled `json:"rescheduled,omitempty"` // beside the state rescheduled
}

// TicketType is what can be bought.
type TicketType struct {
	ID           string       `json:"id"`
	Name         string       `json:"name"`
	Price        money.Money  `json:"price"`
	Fees         money.Money  `json:"fees"`
	PriceAllIn   money.Money  `json:"price_all_in"`
	Availability Availability `json:"availability"`
	MinPerOrder  int64        `json:"min_per_order"`
	MaxPerOrder  int64        `json:"max_per_order"`
	SalesStart   *time.Time   `json:"sales_start"`
	SalesEnd     *time.Time   `json:"sales_end"`
	Quotas       []string     `json:"quotas,omitempty"` // ids; for the organizer only
	Categories   []string     `json:"seat_categories,omitempty"`
	Terms
}

// Quota is a limit on how many may be sold, with its counters.
type Quota struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
	Allocated int64  `json:"allocated"`
	Free      int64  `json:"free"`
}

// NewEvent is the body that drafts an event.
type NewEvent struct {
	Name        string          `json:"name"`
	Summary     string          `json:"summary,omitempty"`
	Category    string          `json:"category,omitempty"`
	Venue       Venue           `json:"venue"`
	StartsAt    time.Time       `json:"starts_at"`
	EndsAt      *time.Time      `json:"ends_at,omitempty"`
	TimeZone    string          `json:"time_zone"`
	Currency    string          `json:"currency"`
	Quotas      []NewQuota      `json:"quotas"`
	TicketTypes []NewTicketType `json:"ticket_types"`
	Source      *Source         `json:"source,omitempty"`
	Publish     bool            `json:"publish,omitempty"` // publish at once, for importers
	Seating     *Seating        `json:"seating,omitempty"`

	RefundPolicy *RefundPolicy `json:"refund_policy,omitempty"` // default: until 24 hours before the start, without a fee
}

// NewQuota is a quota of a new event; its name is unique within the event.
type NewQuota struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// NewTicketType is a ticket type of a new event; Quotas are names of its quotas.
// Price may be given as an amount in the event's currency.
type NewTicketType struct {
	Name        string       `json:"name"`
	Price       money.Money  `json:"price"`
	Quotas      []string     `json:"quotas"`
	Fees        *money.Money `json:"fees,omitempty"`          // mandatory, on top of the price; default none
	MinPerOrder int64        `json:"min_per_order,omitempty"` // default 1
	MaxPerOrder int64        `json:"max_per_order,omitempty"` // default 10
	SalesStart  *time.Time   `json:"sales_start,omitempty"`
	SalesEnd    *time.Time   `json:"sales_end,omitempty"`

	// What is left out stays as it is, or is not there.
	Tiers       *[]NewTier `json:"tiers,omitempty"`
	Hidden      *bool      `json:"hidden,omitempty"` // only an access code opens it
	Tax         *Tax       `json:"tax,omitempty"`
	Requires    *string    `json:"requires,omitempty"`      // an add-on: name of the ticket type of which there must be as many in the same hold; "" for none
	MaxPerBuyer *int64     `json:"max_per_buyer,omitempty"` // in all holds and orders of the event; 0 for no limit
}

// HoldItem is one line of a hold.
type HoldItem struct {
	TicketTypeID string       `json:"ticket_type_id"`
	Quantity     int64        `json:"quantity,omitempty"`
	SeatIDs      []string     `json:"seat_ids,omitempty"`
	Section      string       `json:"section,omitempty"`      // of the best available seats; requests only
	Accessible   bool         `json:"accessible,omitempty"`   // the best available with an accessible seat; requests only
	Name         string       `json:"name,omitempty"`         // answers only
	PriceAllIn   *money.Money `json:"price_all_in,omitempty"` // answers only, each

	// Answers only: what price_all_in is made of, each; left out when that is all there is.
	Price    *money.Money `json:"price,omitempty"` // face value, less what a promo code took off
	Fees     *money.Money `json:"fees,omitempty"`
	Tax      *money.Money `json:"tax,omitempty"`
	TaxOnTop bool         `json:"tax_on_top,omitempty"` // tax is beside price and fees; otherwise they include it
	Saved    *money.Money `json:"saved,omitempty"`      // by the promo code, of the all-in price
	Tier     string       `json:"tier,omitempty"`       // name of the price step
	Seats    []Seat       `json:"seats,omitempty"`      // answers only
}

// NewHold asks for tickets to be kept aside.
type NewHold struct {
	Items      []HoldItem `json:"items"`
	PromoCode  string     `json:"promo_code,omitempty"`
	AccessCode string     `json:"access_code,omitempty"` // opens hidden ticket types
	BuyerKey   string     `json:"buyer_key,omitempty"`   // an e-mail address or any other key of the buyer
}

// Hold is a short reservation.
type Hold struct {
	ID        string      `json:"id"`
	EventID   string      `json:"event_id"`
	State     string      `json:"state"`
	ExpiresAt time.Time   `json:"expires_at"`
	Items     []HoldItem  `json:"items"`
	Total     money.Money `json:"total"`
	PromoCode string      `json:"promo_code,omitempty"`
	// AccessToken admits to the hold and to ordering from it; in the answer that made it.
	AccessToken string `json:"access_token,omitempty"`
}

// Buyer pays.
type Buyer struct {
	Email  string `json:"email"`
	Name   string `json:"name"`
	Locale string `json:"locale,omitempty"`
}

// Attendee is the person on a ticket.
type Attendee struct {
	Name    string   `json:"name"`
	Email   string   `json:"email,omitempty"`
	Answers []Answer `json:"answers,omitempty"` // to what the event asks each attendee
}

// NewOrder turns a hold into an order.
type NewOrder struct {
	HoldID     string       `json:"hold_id"`
	Buyer      Buyer        `json:"buyer"`
	Attendees  []Attendee   `json:"attendees,omitempty"`
	ShownTotal *money.Money `json:"shown_total,omitempty"`
	Answers    []Answer     `json:"answers,omitempty"` // to what the event asks of the order
	Consents   []Consented  `json:"consents,omitempty"`
}

// PaymentHandle is what a buyer's browser needs to pay.
type PaymentHandle struct {
	Provider       string `json:"provider"`
	ClientSecret   string `json:"client_secret"`
	PublishableKey string `json:"publishable_key"`
}

// Order is one purchase.
type Order struct {
	ID           string         `json:"id"`
	Code         string         `json:"code"`
	EventID      string         `json:"event_id"`
	HoldID       string         `json:"hold_id"`
	State        string         `json:"state"`
	PaymentState string         `json:"payment_state"`
	RefundStatus string         `json:"refund_status"`
	Total        money.Money    `json:"total"`
	Buyer        *Buyer         `json:"buyer,omitempty"`
	Items        []OrderItem    `json:"items"`
	Tickets      []Ticket       `json:"tickets"`
	Timeline     []Moment       `json:"timeline"`
	Answers      []Answer       `json:"answers,omitempty"`
	Consents     []Consented    `json:"consents,omitempty"`
	Payment      *PaymentHandle `json:"payment,omitempty"`
	ExpiresAt    *time.Time     `json:"expires_at,omitempty"`
	CreatedAt    time.Time      `json:"created_at"`

	RefundPolicy RefundPolicy `json:"refund_policy"` // that was stated when it was made
	// Of a paid order by itself: until when its buyer may give it back, left out for never,
	// and what would be given back now.
	RefundableUntil *time.Time   `json:"refundable_until,omitempty"`
	Refundable      *money.Money `json:"refundable,omitempty"`
	Kept            *money.Money `json:"kept,omitempty"` // of the prices of what was given back

	UpdatedAt   *time.Time `json:"updated_at,omitempty"`   // of its state, refunds or tickets; in the organizer's list
	AccessToken string     `json:"access_token,omitempty"` // admits to the order; in the answer that made it
	Refund      *Refund    `json:"refund,omitempty"`       // the one that was made, in the answer that made it
}

// Access is a new token of an order.
type Access struct {
	AccessToken string `json:"access_token"`
}

// OrderItem is one line of an order.
type OrderItem struct {
	TicketTypeID string      `json:"ticket_type_id"`
	Name         string      `json:"name"`
	Quantity     int64       `json:"quantity"`
	PriceAllIn   money.Money `json:"price_all_in"`
	Seats        []Seat      `json:"seats,omitempty"`
	ItemPrice
}

// Moment is one entry of an order's timeline.
type Moment struct {
	At       time.Time    `json:"at"`
	What     string       `json:"what"`
	RefundID string       `json:"refund_id,omitempty"` // where what is "refund"
	Amount   *money.Money `json:"amount,omitempty"`    // of that refund
}

// Ticket is a right of admission.
type Ticket struct {
	ID           string       `json:"id"`
	OrderID      string       `json:"order_id,omitempty"` // in the order's own lists only: a ticket does not lead to its order
	EventID      string       `json:"event_id"`
	TicketTypeID string       `json:"ticket_type_id"`
	Name         string       `json:"name"`     // of the ticket type
	Attendee     string       `json:"attendee"` // may be empty
	State        string       `json:"state"`
	Barcode      string       `json:"barcode,omitempty"`      // none when it was given away
	Seat         *Seat        `json:"seat,omitempty"`         // none for general admission
	Transferred  *Transferred `json:"transferred,omitempty"`  // to whom it was given
	AccessToken  string       `json:"access_token,omitempty"` // admits to the ticket; for its order's buyer
}

// Organizer is an account that sells.
type Organizer struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	HomeRegion string `json:"home_region"`
	HomeCell   string `json:"home_cell"`
	APIKey     string `json:"api_key,omitempty"` // shown once
}

// JWKSet is the published set of ticket keys (RFC 7517, RFC 8037).
type JWKSet struct {
	Keys []JWK `json:"keys"`
}

// JWK is one Ed25519 public key.
type JWK struct {
	KeyType string `json:"kty"` // "OKP"
	Curve   string `json:"crv"` // "Ed25519"
	Use     string `json:"use"` // "sig"
	Alg     string `json:"alg"` // "EdDSA"
	KeyID   string `json:"kid"`
	X       string `json:"x"`
}

// Problem is an RFC 9457 problem document with its stable code.
type Problem struct {
	Type       string       `json:"type"`
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail,omitempty"`
	Code       string       `json:"code"`
	Instance   string       `json:"instance,omitempty"`
	RetryAfter int          `json:"retry_after,omitempty"` // seconds
	Errors     []FieldError `json:"errors,omitempty"`
	OwnHolds   []OwnHold    `json:"own_holds,omitempty"` // with sold_out and buyer_limit: what the buyer holds of it already

	// What helps besides, where there is such a thing.
	Left         json.RawMessage `json:"left,omitempty"`
	Limit        json.RawMessage `json:"limit,omitempty"`
	LimitOf      string          `json:"limit_of,omitempty"` // what is limited: an address, a mailbox, a guesser
	Seats        json.RawMessage `json:"seats,omitempty"`
	State        string          `json:"state,omitempty"` // in which it is
	Total        *money.Money    `json:"total,omitempty"` // what it costs now
	Parameter    string          `json:"parameter,omitempty"`
	Permission   string          `json:"permission,omitempty"` // that is missing
	RequiredACR  string          `json:"required_acr,omitempty"`
	OrderID      string          `json:"order_id,omitempty"`
	TicketTypeID string          `json:"ticket_type_id,omitempty"`
	Step         int64           `json:"step,omitempty"` // minor units in which can be charged
}

// FieldError points at what is wrong in a body.
type FieldError struct {
	Pointer string `json:"pointer"` // RFC 6901
	Detail  string `json:"detail"`
}

// PatchEvent changes what is set; the event's currency and stock stay.
type PatchEvent struct {
	Name     *string             `json:"name,omitempty" in:"notnull"`
	Summary  *string             `json:"summary,omitempty" in:"notnull"`
	Category *string             `json:"category,omitempty" in:"notnull"`
	Venue    *PatchVenue         `json:"venue,omitempty" in:"notnull"`
	StartsAt *time.Time          `json:"starts_at,omitempty" in:"notnull"`
	EndsAt   Nullable[time.Time] `json:"ends_at,omitzero"`
	TimeZone *string             `json:"time_zone,omitempty" in:"notnull"`

	RefundPolicy *RefundPolicy `json:"refund_policy,omitempty" in:"notnull"` // of orders that are made from now on
}

// PatchVenue changes what is set of a venue. A location is one value: it is replaced.
type PatchVenue struct {
	Name     *string            `json:"name,omitempty" in:"notnull"`
	Address  Nullable[string]   `json:"address,omitzero"`
	City     *string            `json:"city,omitempty" in:"notnull"`
	Country  *string            `json:"country,omitempty" in:"notnull"` // ISO 3166-1 alpha-2
	Location Nullable[Location] `json:"location,omitzero"`
	Capacity Nullable[int64]    `json:"capacity,omitzero"`
}

// Nullable is a member of a merge patch (RFC 7396) that may be cleared: left out it
// changes nothing, null clears it.
type Nullable[T any] struct {
	Set   bool // whether it was named
	Value *T   // nil clears
}

// To is a Nullable that sets a value.
func To[T any](v T) Nullable[T] { return Nullable[T]{Set: true, Value: &v} }

// Cleared is a Nullable that clears.
func Cleared[T any]() Nullable[T] { return Nullable[T]{Set: true} }

// Named is where to read the value to, for who reads requests: it counts as named then.
func (n *Nullable[T]) Named() any {
	n.Set = true
	return &n.Value
}

// MarshalJSON writes the value, or null. What is not set is left out by omitzero.
func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.Value) }

// UnmarshalJSON reads a value or null.
func (n *Nullable[T]) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, n.Named()) }

// Moved is the problem of a cell that is not the home: where to go instead, where
// that is known. Of an event that is on its way it is not yet.
type Moved struct {
	Problem
	HomeCell string `json:"home_cell,omitempty"`
	Epoch    int64  `json:"epoch,omitempty"`
}

// Stats is what an organizer sees of an event's sale.
type Stats struct {
	Quotas      []Quota          `json:"quotas"`
	TicketTypes []TicketTypeSold `json:"ticket_types"`
	Orders      map[string]int64 `json:"orders"` // by state
	Revenue     money.Money      `json:"revenue"`
	CheckedIn   int64            `json:"checked_in"`
}

// TicketTypeSold is how a ticket type sells.
type TicketTypeSold struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Held int64  `json:"held"`
	Sold int64  `json:"sold"`
}

// Region is a place an organizer can choose as home.
type Region struct {
	Code     string       `json:"code"` // "eu-west-3"
	City     string       `json:"city"`
	Country  string       `json:"country"`
	Location *Location    `json:"location"`
	Cells    []RegionCell `json:"cells"`
}

// RegionCell is a cell of a region.
type RegionCell struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Residency string `json:"residency"` // where its rows live, for people
	// Proof is what the cell's database last said of that. Each cell tells its own; it is null of other
	// cells, and where the engine cannot say (PostgreSQL).
	Proof *ResidencyProof `json:"residency_proof"`
}

// ResidencyProof is where the replicas of a cell's rows are, as its database says.
type ResidencyProof struct {
	AtHome   bool       `json:"at_home"`   // all in the region, when it was last asked
	AskedAt  time.Time  `json:"asked_at"`  // of the counts below
	ProvedAt *time.Time `json:"proved_at"` // when they were last all in the region; null is never since the process started

	Ranges         int `json:"ranges"`          // parts that the rows are kept in
	LeasesAbroad   int `json:"leases_abroad"`   // of these, served outside of the region or nobody knows where
	ReplicasAbroad int `json:"replicas_abroad"` // of these, with a replica outside of the region
	FewVoters      int `json:"few_voters"`      // of these, with fewer than three voters
}

// LedgerSeal is the last line of a ledger.
type LedgerSeal struct {
	Seal Seal `json:"seal"`
}

// Seal is a cell's signature on the last row of an event's ledger.
type Seal struct {
	EventID   string `json:"event_id"`
	Last      int64  `json:"last"` // first entry of the last row
	Hash      string `json:"hash"` // of the last row
	KeyID     string `json:"kid"`
	Signature string `json:"signature"` // Ed25519, base64url without padding
}

// Text is what the signature is about.
func (s Seal) Text() string {
	return s.EventID + "\n" + strconv.FormatInt(s.Last, 10) + "\n" + s.Hash
}
