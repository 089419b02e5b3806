package checkout

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/notify"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// pageOfTold bounds how many orders' buyers one transaction tells of a move.
const pageOfTold = 25

// RescheduleEvent starts what follows when an event was moved in time or place, in the
// transaction that moves it.
func (s *Service) RescheduleEvent(ctx context.Context, tx txn.Tx, event id.Event, r booking.Reschedule) error {
	what := map[string]any{"event": event.String(), "number": r.Number, "at": r.At.UTC().Format(time.RFC3339Nano)}
	_, err := s.Runs.Start(ctx, tx, saga.New{
		ID: fmt.Sprintf("%s:%s:%d", RescheduleFlow, event, r.Number), Name: RescheduleFlow, Event: event.String(), Input: what, Result: what,
	})
	return err
}

// ReschedulePart tells mails of one kind about different moves apart.
func ReschedulePart(number int64) string { return "reschedule-" + strconv.FormatInt(number, 10) }

// tellRescheduled tells the buyers of a page of an event's orders, and those who were given
// tickets of them, that the event was moved. Who ordered after that knows it, and who pays
// after that is told the new time and place with his tickets.
func (s *Service) tellRescheduled(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) {
	var in struct {
		Event  string    `json:"event"`
		Number int64     `json:"number"`
		At     time.Time `json:"at"`
		Page   struct {
			After string `json:"after"`
			Told  int    `json:"told"`
		} `json:"page"`
	}
	if err := c.Read(&in); err != nil {
		return nil, err
	}
	event, err := id.ParseEvent(in.Event)
	if err != nil {
		return nil, err
	}
	orders, err := s.Store.OrdersOf(ctx, tx, event, in.Page.After, pageOfTold)
	if err != nil {
		return nil, err
	}
	after := ""
	for i := range orders {
		o := &orders[i]
		if len(orders) == pageOfTold {
			after = o.ID.String()
		}
		if o.State != Paid || !o.CreatedAt.Before(in.At) {
			continue
		}
		if err := s.tellReschedule(ctx, tx, o, in.Number); err != nil {
			return nil, err
		}
		in.Page.Told++
	}
	return map[string]any{"after": after, "told": in.Page.Told}, nil
}

func (s *Service) tellReschedule(ctx context.Context, tx txn.Tx, o *Order, number int64) error {
	part := ReschedulePart(number)
	for _, i := range o.live() {
		if t := &o.Tickets[i]; !t.Owned() {
			if err := s.tellPerson(ctx, tx, o, t.holder(o), notify.TicketRescheduled, t.ID.String()+"."+part); err != nil {
				return err
			}
		}
	}
	return s.tell(ctx, tx, o, notify.EventRescheduled, part)
}
