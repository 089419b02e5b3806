package checkout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/mailaddr"
	"guichet/cell/notify"
	"guichet/cell/ticket"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// MaxTransfers bounds how often one ticket may be given on: each time costs a key's
// signature, two mails and a line of every gate's list of revocations.
const MaxTransfers = 5

// What a transfer can be refused for, beside what every call can say.
var (
	ErrTransferred        = kind.Conflict.New("ticket_transferred")
	ErrEventOver          = kind.Conflict.New("event_over")
	ErrTransferNotAllowed = kind.Forbidden.New("transfer_not_allowed")
	ErrTransferLimit      = kind.Unprocessable.New("transfer_limit")
	ErrTransferPolicy     = kind.Invalid.New("invalid_transfer_policy")
)

// TransferPolicy is what an organizer lets holders do with an event's tickets.
type TransferPolicy string

// The policies; an event without one allows it.
const (
	TransfersAllowed   TransferPolicy = "allowed"
	TransfersForbidden TransferPolicy = "forbidden"
)

// ParseTransferPolicy reads a policy.
func ParseTransferPolicy(s string) (TransferPolicy, error) {
	if p := TransferPolicy(s); p == TransfersAllowed || p == TransfersForbidden {
		return p, nil
	}
	return "", ErrTransferPolicy.At("/transfers", "must be allowed or forbidden")
}

// Holder is who has a ticket by transfer; zero while it is the buyer's.
type Holder struct {
	Email, Locale string
	By            string // the name of whom he has it from
}

// Given is what is told of a ticket to whoever gave it away.
type Given struct {
	ID id.Ticket // under which he had it
	To string    // a name
	At time.Time
}

// Recipient is who a ticket is given to.
type Recipient struct {
	Name, Email, Locale string
}

// TransferStore keeps who was given which ticket.
type TransferStore interface {
	// TransferTicket puts another ticket in the place of one that is valid, revokes the
	// old barcode and remembers the old id; the caller holds the event's lock.
	// ErrTransferred when the old one is not there to be given.
	TransferTicket(ctx context.Context, tx txn.Tx, old id.Ticket, now Ticket, at time.Time) error
	// TransferPolicy is TransfersAllowed where the organizer said nothing.
	TransferPolicy(ctx context.Context, tx txn.Tx, event id.Event) (TransferPolicy, error)
	SetTransferPolicy(ctx context.Context, tx txn.Tx, event id.Event, p TransferPolicy) error
}

// Owned reports that a ticket is its buyer's own: nobody was given it.
func (t *Ticket) Owned() bool { return t.Transfers == 0 }

// Dead reports that this id of a ticket was given away: its right is another's.
func (t *Ticket) Dead() bool { return t.Gone.ID == t.ID && !t.ID.IsZero() }

// Transfer gives a ticket to another person, at the wish of who has it: with a new id
// and a new barcode at the same place of its order, while the old barcode dies. The
// place stays sold, and the money stays the buyer's.
func (s *Service) Transfer(ctx context.Context, tx txn.Tx, from id.Ticket, to Recipient) (Given, error) {
	if err := to.check(); err != nil {
		return Given{}, err
	}
	before, err := s.Store.Ticket(ctx, tx, from) // only for its order, which never changes
	if err != nil {
		return Given{}, fmt.Errorf("read ticket: %w", err)
	}
	var given Given
	err = s.onOrder(ctx, tx, before.Order, func(ctx context.Context, tx txn.Tx, stock *booking.Stock, _ *booking.Hold, o *Order) (err error) {
		given, err = s.transfer(ctx, tx, stock, o, from, to)
		return err
	})
	if err != nil {
		return Given{}, fmt.Errorf("transfer %s: %w", from, err)
	}
	return given, nil
}

func (s *Service) transfer(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, from id.Ticket, to Recipient) (Given, error) {
	at := slices.IndexFunc(o.Tickets, func(t Ticket) bool { return t.ID == from })
	if at < 0 {
		return Given{}, ErrTransferred.With("the ticket was given to somebody else")
	}
	old := o.Tickets[at]
	if err := s.mayTransfer(ctx, tx, stock, o, &old); err != nil {
		return Given{}, err
	}
	if err := s.allow(ctx, tx, to.Email); err != nil {
		return Given{}, err
	}
	giver := old.holder(o)
	if mailaddr.Key(giver.Email) == mailaddr.Key(to.Email) {
		return Given{}, ErrInvalidOrder.At("/to/email", "has the ticket already")
	}
	if to.Locale == "" {
		to.Locale = giver.Locale
	}
	now := old
	now.ID, now.Attendee, now.Transfers = id.NewTicket(stock.ID), to.Name, old.Transfers+1
	now.Consented = time.Time{} // who gave it on cannot agree for who has it now
	now.Holder = Holder{Email: to.Email, Locale: to.Locale, By: giver.Name}
	now.Barcode = s.Signer.Barcode(ticket.Claims{Ticket: now.ID, Type: now.Type, IssuedAt: stock.Now})
	if err := s.Store.TransferTicket(ctx, tx, from, now, stock.Now); err != nil {
		return Given{}, err
	}
	if err := s.Store.Note(ctx, tx, o.ID, stock.Now, "ticket_transferred"); err != nil {
		return Given{}, err
	}
	if err := s.tellTransfer(ctx, tx, o, giver, from, &now); err != nil {
		return Given{}, err
	}
	return Given{ID: from, To: to.Name, At: stock.Now}, nil
}

// mayTransfer decides whether a ticket can be given on now.
func (s *Service) mayTransfer(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, t *Ticket) error {
	if err := s.undisputed(ctx, tx, o); err != nil {
		return err
	}
	if o.State != Paid || t.State != TicketValid {
		return ErrState.With("the ticket is %s", t.State).Field("state", string(t.State))
	}
	if stock.Over(stock.Now) {
		return ErrEventOver.With("the event is over, or was canceled")
	}
	if t.Transfers >= MaxTransfers {
		return ErrTransferLimit.With("a ticket is given on at most %d times", MaxTransfers).Field("limit", MaxTransfers)
	}
	policy, err := s.Store.TransferPolicy(ctx, tx, stock.ID)
	if err != nil {
		return err
	}
	if policy == TransfersForbidden {
		return ErrTransferNotAllowed.With("the organizer does not let tickets of this event be given on")
	}
	return nil
}

// holder is who has a ticket: by transfer, or as its buyer.
func (t *Ticket) holder(o *Order) Buyer {
	if t.Owned() {
		return o.Buyer
	}
	return Buyer{Email: t.Holder.Email, Name: t.Attendee, Locale: t.Holder.Locale}
}

func (r *Recipient) check() error {
	if err := email("/to/email", r.Email); err != nil {
		return err
	}
	if err := personal("/to/name", r.Name); err != nil {
		return err
	}
	return plain("/to/locale", r.Locale, 0)
}

// tellTransfer tells the new holder with the ticket, and who had it before, each once.
func (s *Service) tellTransfer(ctx context.Context, tx txn.Tx, o *Order, giver Buyer, old id.Ticket, now *Ticket) error {
	if err := s.tellPerson(ctx, tx, o, giver, notify.TicketGiven, old.String()); err != nil || s.Notifier == nil {
		return err
	}
	m := toPerson(o, now.holder(o), notify.TicketReceived, now.ID.String())
	m.Caused = true // by the giver, to any address
	return s.Notifier.Enqueue(ctx, tx, m)
}

// tellHolders tells those who were given some tickets of an order that they are void.
func (s *Service) tellHolders(ctx context.Context, tx txn.Tx, o *Order, void []id.Ticket) error {
	for i := range o.Tickets {
		t := &o.Tickets[i]
		if t.Owned() || !slices.Contains(void, t.ID) {
			continue
		}
		if err := s.tellPerson(ctx, tx, o, t.holder(o), notify.TicketVoid, t.ID.String()); err != nil {
			return err
		}
	}
	return nil
}

// tellReissued sends tickets with new barcodes to who has them: the order's own to its
// buyer, others to their holders. cause tells it apart from other times.
func (s *Service) tellReissued(ctx context.Context, tx txn.Tx, o *Order, again []Ticket, cause string) error {
	own := false
	for i := range again {
		t := &again[i]
		if own = own || t.Owned(); t.Owned() {
			continue
		}
		part := t.ID.String() + "."
		part += cause[max(0, len(cause)-notify.MaxPart+len(part)):] // the end is what tells ids of one kind apart
		if err := s.tellPerson(ctx, tx, o, t.holder(o), notify.TicketReceived, part); err != nil {
			return err
		}
	}
	if !own {
		return nil
	}
	return s.tell(ctx, tx, o, notify.OrderPaid, cause[:min(len(cause), notify.MaxPart)])
}

func (s *Service) tellPerson(ctx context.Context, tx txn.Tx, o *Order, who Buyer, k notify.Kind, part string) error {
	if s.Notifier == nil {
		return nil
	}
	return s.Notifier.Enqueue(ctx, tx, toPerson(o, who, k, part))
}

func toPerson(o *Order, who Buyer, k notify.Kind, part string) notify.Message {
	return notify.Message{Kind: k, Order: o.ID, Part: part, To: who.Email, Name: who.Name, Locale: who.Locale}
}
