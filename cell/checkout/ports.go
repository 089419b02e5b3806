package checkout

import (
	"context"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/ticket"
	"guichet/internal/txn"
)

// Stock is the part of booking's store that checkout needs.
type Stock interface {
	WithStock(ctx context.Context, tx txn.Tx, event id.Event, ttl time.Duration, holds []id.Hold, decide func(s *booking.Stock) error) error
	// KnowBuyer reads what a buyer has of the stock, within WithStock.
	KnowBuyer(ctx context.Context, tx txn.Tx, stock *booking.Stock, who booking.Buyer) error
	// EndHolds makes every hold of an event that no order is paid from due at once, in
	// the transaction that holds the event's lock; the sweeper gives the stock back.
	EndHolds(ctx context.Context, tx txn.Tx, event id.Event) error
}

// Store keeps orders and money. Calls that are given the tx of InTx are one
// transaction; with txn.None they stand alone.
type Store interface {
	Stock
	InTx(ctx context.Context, do func(ctx context.Context, tx txn.Tx) error) error
	// Clock is the database's: the one clock that decides about expiry.
	Clock(ctx context.Context, tx txn.Tx) (time.Time, error)

	// InsertOrder answers ErrCodeTaken, in a transaction that can go on, when another
	// order of the event has the code.
	InsertOrder(ctx context.Context, tx txn.Tx, o Order) error
	// OrdersOf lists an event's orders behind an id, in the order of their ids.
	OrdersOf(ctx context.Context, tx txn.Tx, event id.Event, after string, limit int) ([]Order, error)
	// Locked says whether the transaction at hand holds the event's lock, with a stock
	// that is shared: what belongs to the event stays as it is read.
	Locked(tx txn.Tx, event id.Event) bool
	// Brief reads an order with its payment, and nothing else of it.
	Brief(ctx context.Context, tx txn.Tx, order id.Order) (Order, error)
	// Order reads an order with its payment, items, tickets and timeline.
	Order(ctx context.Context, tx txn.Tx, order id.Order) (Order, error)
	// SetOrder stores state, refund status and a moment of the timeline.
	SetOrder(ctx context.Context, tx txn.Tx, o Order, at time.Time, what string) error
	// Note adds a moment to the timeline, once per word.
	Note(ctx context.Context, tx txn.Tx, order id.Order, at time.Time, what string) error
	InsertTickets(ctx context.Context, tx txn.Tx, tickets []Ticket, at time.Time) error
	CancelTickets(ctx context.Context, tx txn.Tx, order id.Order) error
	// CancelSome voids single tickets of an order.
	CancelSome(ctx context.Context, tx txn.Tx, order id.Order, tickets []id.Ticket) error
	// Ticket reads a ticket; of an id that was given away, what is left to be told.
	Ticket(ctx context.Context, tx txn.Tx, ticket id.Ticket) (Ticket, error)
	AccessStore

	InsertPayment(ctx context.Context, tx txn.Tx, p payment.Payment) error
	// SetIntent remembers what the provider made; the first one stays.
	SetIntent(ctx context.Context, tx txn.Tx, p payment.Payment) error
	SetPayment(ctx context.Context, tx txn.Tx, p payment.Payment) error
	// ClaimPayments leases up to limit unsettled payments whose time has come, by
	// the database's clock, so that peers do not work on the same one.
	ClaimPayments(ctx context.Context, limit int, lease time.Duration) ([]id.Order, error)

	Notices
	DisputeStore
	TransferStore
	ConsentStore
	FeeStore
	RecallStore
	Post(ctx context.Context, tx txn.Tx, e payment.Entry) error

	InsertRefund(ctx context.Context, tx txn.Tx, r payment.Back) error
	Refunds(ctx context.Context, tx txn.Tx, order id.Order) ([]payment.Back, error)
	ClaimRefunds(ctx context.Context, limit int, lease time.Duration) ([]payment.Back, error)
	SetRefund(ctx context.Context, tx txn.Tx, r payment.Back) error

	// IssuePaper gives a paper the next number of its organizer, kind and series, and
	// stores it; one that is there for the same cause stays as it is and takes none.
	IssuePaper(ctx context.Context, tx txn.Tx, p Paper) error
	// Paper reads an order's nth paper of a kind, from 1; ErrPaperNotFound beyond.
	Paper(ctx context.Context, tx txn.Tx, order id.Order, k PaperKind, n int) (Paper, error)
	// Papers reads an order's papers of a kind, in the order of their numbers.
	Papers(ctx context.Context, tx txn.Tx, order id.Order, k PaperKind) ([]Paper, error)
	// SellerOf is who sells an event: what its form says, else the organizer's name.
	SellerOf(ctx context.Context, tx txn.Tx, event id.Event, org id.Organizer) (Seller, error)

	// Form reads what an event asks of its buyers; the zero Form asks nothing.
	Form(ctx context.Context, tx txn.Tx, event id.Event) (Form, error)
	// SetForm stores a form with the texts that are new in it, unless its version is
	// there already: then ErrFormChanged.
	SetForm(ctx context.Context, tx txn.Tx, event id.Event, f Form) error
	InsertReplies(ctx context.Context, tx txn.Tx, order id.Order, r Replies, at time.Time) error
	// Replies reads what the buyer answered; zero when nothing was asked.
	Replies(ctx context.Context, order id.Order) (Replies, error)
}

// Signer makes barcodes.
type Signer interface {
	Barcode(c ticket.Claims) string
}

// AccessStore says which tokens are not withdrawn.
type AccessStore interface {
	// OrderGeneration and TicketGeneration are what tokens must have.
	OrderGeneration(ctx context.Context, order id.Order) (int64, error)
	TicketGeneration(ctx context.Context, ticket id.Ticket) (int64, error)
	// OrderOfTicket is the order whose buyer has, or had, the ticket under this id.
	OrderOfTicket(ctx context.Context, ticket id.Ticket) (id.Order, error)
	// RenewAccess withdraws all links to an order and to its buyer's tickets.
	RenewAccess(ctx context.Context, tx txn.Tx, order id.Order) (generation int64, err error)
}
