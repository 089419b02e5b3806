package letter

import (
	"strings"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/money"
	"guichet/cell/notify"
	"guichet/cell/ticket/ical"
)

// tellRefunds says in a mail with tickets until when its reader may give them back.
func tellRefunds(f *notify.Facts, o *checkout.Order, e *booking.Event) {
	if o.Total.Amount == 0 {
		return
	}
	right, policy := o.RightOf(e, e.SeenAt), o.Policy.Stated()
	switch {
	case e.SeenAt.Before(right.Until) && right.Whole:
		f.RefundUntil = right.Until
	case e.SeenAt.Before(right.Until):
		f.RefundUntil, f.RefundBasisPoints = right.Until, policy.FeeBasisPoints
		f.RefundFee = &money.Money{Amount: policy.FeeAmount, Currency: o.Total.Currency}
	case policy.Kind == booking.RefundNone || policy.Kind == booking.RefundOrganizer:
		f.Refunds = string(policy.Kind)
	}
}

// rescheduled says what a mail about an event's new time or place says of the old one. A
// mail that waited until the event was moved again, or canceled, is not sent: another
// tells the same reader.
func rescheduled(f *notify.Facts, part string, e *booking.Event) error {
	last := e.Rescheduled
	if e.State != booking.Published || last == nil || !strings.HasSuffix("."+part, "."+checkout.ReschedulePart(last.Number)) {
		return notify.ErrObsolete.With("the event was moved again, or does not take place")
	}
	if from := last.From; from.StartsAt != e.StartsAt || from.TimeZone != e.TimeZone {
		f.WasAt, f.WasTimeZone = from.StartsAt, from.TimeZone
	}
	if was := address(last.From.Venue); was != address(e.Venue) {
		f.WasVenue = was
	}
	return nil
}

// dateFile is an entry as a file of a mail.
func dateFile(o checkout.Order, entry ical.Entry) notify.Attachment {
	return notify.Attachment{Name: "event-" + o.Code + ".ics", Media: ical.Media, Content: ical.File(entry)}
}
