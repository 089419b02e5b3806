package checkout

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/cell/payment"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// The flows, in Amazon States Language: what happens in which order, what is tried
// again and what makes good of a failure is said there and nowhere else. The
// tasks that they name are in tasks*.go.
//
//go:embed *.asl.json
var flows embed.FS

// Names of the flows.
const (
	PurchaseFlow     = "purchase"
	CancelFlow       = "cancel"
	RefundFlow       = "refund"
	CancellationFlow = "event-cancellation"
	RescheduleFlow   = "event-reschedule"
)

// waitPayment is the task that hears of a payment.
const waitPayment = "wait-payment"

// firstPause is when the provider is first asked by ourselves, in seconds; the
// webhook is usually there long before. longestPause keeps P4: three looks fit in 60 s.
// longestCall is the most that the provider is waited for.
const (
	firstPause   = 5
	longestPause = 20
	longestCall  = 5
)

// Flow is the text of a flow.
func Flow(name string) ([]byte, error) { return flows.ReadFile(name + ".asl.json") }

// Register joins the checkout and the runner of its flows.
func (s *Service) Register() error {
	r := s.Runs
	r.AtDesk = func(run string) bool { return !boughtBy(run).IsZero() }
	r.Desk = func(ctx context.Context, run, event string, do func(ctx context.Context, tx txn.Tx) error) error {
		if order := boughtBy(run); !order.IsZero() {
			return s.shared(ctx, order, do)
		}
		at, err := id.ParseEvent(event)
		if err != nil {
			return fmt.Errorf("the event of a saga: %w", err)
		}
		return s.atDesk(ctx, at, do)
	}
	for _, byCaller := range []string{"extend-hold", "end-order", "decide-refund", "cancel-event", "reschedule-event"} {
		r.Handle(byCaller, saga.Handler{Caller: true})
	}
	r.Handle("create-intent", saga.Handler{Outside: s.createIntent, Note: s.noteIntent, Ready: s.ready}) // of flows from before make-intent
	r.Handle("make-intent", saga.Handler{Outside: s.makeIntent, Note: s.noteIntent, Ready: s.ready})
	r.Handle(waitPayment, saga.Handler{Await: true, Hurry: true}) // only Prepare drives a purchase
	r.Handle("look", saga.Handler{Within: s.lookAt})
	r.Handle("look-at-clock", saga.Handler{Within: s.lookAtClock})
	r.Handle("let-go", saga.Handler{Within: s.letGo, Desk: true})
	r.Handle("read-intent", saga.Handler{Outside: s.readIntent, Ask: true, Ready: s.ready})
	r.Handle("cancel-intent", saga.Handler{Outside: s.cancelIntent, Ready: s.ready})
	r.Handle("withdraw-intent", saga.Handler{Outside: s.withdrawIntent, Ready: s.ready})
	r.Handle("settle", saga.Handler{Within: s.settle, Desk: true})
	r.Handle("capture", saga.Handler{Outside: s.capture, Ready: s.ready})
	r.Handle("issue-tickets", saga.Handler{Within: s.issueTickets, Desk: true})
	r.Handle("give-stock-back", saga.Handler{Within: s.giveStockBack, Desk: true})
	r.Handle("start-refund", saga.Handler{Within: s.startRefund})
	r.Handle("stop-purchase", saga.Handler{Within: s.stopPurchase, Desk: true})
	r.Handle("send-refund", saga.Handler{Outside: s.sendRefund, Ready: s.ready})
	r.Handle("book-refund", saga.Handler{Within: s.bookRefund, Desk: true})
	r.Handle("refund-refused", saga.Handler{Within: s.refundRefused, Desk: true})
	r.Handle("end-orders", saga.Handler{Within: s.endOrders, Desk: true, Alone: true})
	r.Handle("tell-rescheduled", saga.Handler{Within: s.tellRescheduled, Alone: true})
	for task, what := range notices {
		r.Handle(task, saga.Handler{Within: func(ctx context.Context, tx txn.Tx, c saga.Call) (any, error) { return s.notify(ctx, tx, c, what) }})
	}
	for _, name := range []string{PurchaseFlow, CancelFlow, RefundFlow, CancellationFlow, RescheduleFlow} {
		text, err := Flow(name)
		if err == nil {
			err = r.Define(name, text)
		}
		if err != nil {
			return fmt.Errorf("register %s: %w", name, err)
		}
	}
	return nil
}

// atDesk runs do when it is its turn at the event's desk; a Service without desks,
// of a tool or a test, relies on the row locks alone (P2).
func (s *Service) atDesk(ctx context.Context, event id.Event, do func(ctx context.Context, tx txn.Tx) error) error {
	if s.Desks == nil {
		return do(ctx, txn.None)
	}
	return s.Desks.Turn(ctx, event, do)
}

// shared runs do at the desk of an order's event, in a transaction that it shares with
// what others do there; of one order, one after the other.
func (s *Service) shared(ctx context.Context, order id.Order, do func(ctx context.Context, tx txn.Tx) error) error {
	if s.Desks == nil {
		return do(ctx, txn.None)
	}
	err := s.Desks.Share(ctx, order.Event(), order.String(), nil, do)
	if errors.Is(err, booking.ErrEventNotFound) { // there is no stock to share: another's order, or an event that has left
		return s.Desks.Turn(ctx, order.Event(), do)
	}
	return err
}

// boughtBy is the order of a purchase's run, zero for runs of other flows.
func boughtBy(run string) id.Order {
	text, purchase := strings.CutPrefix(strings.TrimPrefix(run, late), PurchaseFlow+":")
	if !purchase {
		return id.Order{}
	}
	text, _, _ = strings.Cut(text, ":")
	order, err := id.ParseOrder(text)
	if err != nil {
		return id.Order{}
	}
	return order
}

// late begins the id of a run that money began which came when the purchase was over.
const late = "late-"

func purchaseOf(order id.Order) string { return PurchaseFlow + ":" + order.String() }

// begin starts a purchase's run in the transaction at hand.
func (s *Service) begin(ctx context.Context, tx txn.Tx, run string, order id.Order, result map[string]any, soon bool) error {
	result["order"] = order.String()
	result["look"] = map[string]any{"pause": firstPause, "patience": longestCall, "tries": 0}
	_, err := s.Runs.Start(ctx, tx, saga.New{
		ID: run, Name: PurchaseFlow, Event: order.Event().String(), Input: map[string]any{"order": order.String()}, Result: result, Soon: soon,
	})
	return err
}

// said is what the provider says of a payment, as it is kept in a run: without the
// client's secret, and nothing personal.
type said struct {
	ID       string        `json:"id,omitempty"`
	State    payment.State `json:"state"`
	Received int64         `json:"received,omitempty"`
	Decline  string        `json:"decline,omitempty"`
}

// stop is what a canceled order says to its purchase, in place of a payment's state.
const stop = "stop"

func saidOf(i payment.Intent) said { return said{i.ID, i.State, i.Received, i.Decline} }

func (d said) intent() payment.Intent {
	return payment.Intent{ID: d.ID, State: d.State, Received: d.Received, Decline: d.Decline}
}

// heard lets a purchase know what the provider says, in the transaction at hand.
// notice is the provider's id of it, for once-only (P5). Money that comes when the
// purchase is over begins it anew at that point ("Paid but expired", rule 3).
func (s *Service) heard(ctx context.Context, tx txn.Tx, order id.Order, i payment.Intent, notice string) error {
	err := s.Runs.Signal(ctx, tx, saga.Signal{Run: purchaseOf(order), Handler: waitPayment, ID: notice, Payload: saidOf(i)})
	if !errors.Is(err, saga.ErrOver) && !errors.Is(err, saga.ErrRunNotFound) {
		return err
	}
	o, lookErr := s.Store.Brief(ctx, tx, order)
	if lookErr != nil {
		return lookErr
	}
	if o.Payment == nil {
		return nil
	}
	was := o.Payment.State
	if o.Payment.See(i); o.Payment.State == was {
		return nil // no news
	}
	run := purchaseOf(order)
	if errors.Is(err, saga.ErrOver) {
		run = late + run + ":" + notice
	}
	return s.begin(ctx, tx, run, order, map[string]any{"said": saidOf(i)}, false)
}

// driveIn carries an order's purchase on in the caller's time; when somebody else
// is at it, that is waited for.
func (s *Service) driveIn(ctx context.Context, order id.Order) error {
	ctx, cancel := context.WithTimeout(ctx, drivePatience)
	defer cancel()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := s.Runs.Drive(ctx, purchaseOf(order))
		if !errors.Is(err, saga.ErrElsewhere) {
			return err
		}
		if o, err := s.Store.Brief(ctx, txn.None, order); err == nil && o.Payment != nil && o.Payment.IntentID != "" {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return payment.ErrProviderAway.With("the payment is being prepared").After(time.Second)
		}
	}
}

// drivePatience bounds how long a buyer waits for his payment to be prepared.
const drivePatience = 10 * time.Second

// refusal is the provider's last word on an order whose payment it does not make;
// nil while it may still come.
func (s *Service) refusal(ctx context.Context, order id.Order) error {
	run, _, err := s.Runs.Run(ctx, txn.None, purchaseOf(order))
	if err != nil {
		return err
	}
	data, _ := run.At.Data.(map[string]any)
	refused, ok := data["refused"].(map[string]any)
	if !ok {
		return payment.ErrProviderAway.With("the payment is not prepared yet").After(time.Second)
	}
	cause, _ := refused["Cause"].(string)
	_, detail, found := strings.Cut(cause, payment.ErrRefusedByProvider.Code+": ")
	if !found {
		return payment.ErrRefusedByProvider
	}
	return payment.ErrRefusedByProvider.With("%s", detail)
}
