package checkout

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"guichet/cell/booking"
	"guichet/internal/txn"
)

// replies reads the event's form and holds what the buyer said to it.
func (s *Service) replies(ctx context.Context, tx txn.Tx, r Request) (Replies, error) {
	f, err := s.Store.Form(ctx, tx, r.Hold.Event())
	if err != nil {
		return Replies{}, fmt.Errorf("read form: %w", err)
	}
	return f.Hear(r)
}

// keep stores replies with their order. When attendees are asked something that is
// required, every ticket has one who answered.
func (s *Service) keep(ctx context.Context, tx txn.Tx, stock *booking.Stock, o *Order, r Replies) error {
	if r.None() && !r.everyone {
		return nil
	}
	answered := map[int]bool{}
	for _, a := range r.Answers {
		answered[a.Attendee] = a.Attendee > 0
	}
	delete(answered, 0)
	if r.everyone && int64(len(answered)) < ticketsIn(o.Items) {
		return ErrAnswer.At("/attendees", "must be one for each of the %d tickets: the event asks each of them", ticketsIn(o.Items))
	}
	return s.Store.InsertReplies(ctx, tx, o.ID, r, stock.Now)
}

// Hear holds a buyer's answers and consents to the form. Errors point at the JSON
// field of POST /v1/orders.
func (f *Form) Hear(r Request) (Replies, error) {
	var out Replies
	if err := f.hear(PerOrder, "", 0, r.Answers, &out); err != nil {
		return Replies{}, err
	}
	for i, a := range r.Attendees {
		if err := f.hear(PerAttendee, "/attendees/"+strconv.Itoa(i), i+1, a.Answers, &out); err != nil {
			return Replies{}, err
		}
	}
	out.everyone = slices.ContainsFunc(f.Questions, func(q Question) bool { return q.Per == PerAttendee && q.Required })
	if len(r.Consents) > MaxConsents {
		return Replies{}, ErrInvalidOrder.At("/consents", "must be at most %d", MaxConsents)
	}
	for i, c := range r.Consents {
		at := "/consents/" + strconv.Itoa(i)
		known := slices.IndexFunc(f.Consents, func(k Consent) bool { return k.ID == c.ID })
		switch {
		case known < 0 || slices.ContainsFunc(out.Consents, func(k Consented) bool { return k.ID == c.ID }):
			return Replies{}, ErrInvalidOrder.At(at+"/id", "is no consent that the event asks for, or is there twice")
		case f.Consents[known].Version != c.Version:
			return Replies{}, ErrFormChanged.At(at+"/version", "the text is in version %d by now", f.Consents[known].Version)
		}
		out.Consents = append(out.Consents, c)
	}
	for _, k := range f.Consents {
		if k.Required && !slices.ContainsFunc(out.Consents, func(c Consented) bool { return c.ID == k.ID }) {
			return Replies{}, ErrConsent.At("/consents", "must have %s in version %d", k.ID, k.Version)
		}
	}
	return out, nil
}

// hear holds one person's answers to the questions he is asked.
func (f *Form) hear(who Asked, at string, attendee int, answers []Answer, out *Replies) error {
	if len(answers) > MaxQuestions {
		return ErrInvalidOrder.At(at+"/answers", "must be at most %d", MaxQuestions)
	}
	said := map[string]bool{}
	for i, a := range answers {
		here := at + "/answers/" + strconv.Itoa(i)
		n := slices.IndexFunc(f.Questions, func(q Question) bool { return q.ID == a.Question && q.Per == who })
		if n < 0 || said[a.Question] {
			return ErrInvalidOrder.At(here+"/question_id", "is no question that is asked here, or is there twice")
		}
		q := f.Questions[n]
		switch {
		case !writable(a.Value, 1, maxAnswer):
			return ErrAnswer.At(here+"/value", "must have 1 to %d characters; leave an answer out rather than empty", maxAnswer)
		case q.Kind == ChoiceQuestion && !slices.Contains(q.Choices, a.Value):
			return ErrAnswer.At(here+"/value", "must be one of the choices")
		}
		said[a.Question] = true
		out.Answers = append(out.Answers, Answer{Question: a.Question, Value: a.Value, Attendee: attendee})
	}
	for _, q := range f.Questions {
		if q.Per == who && q.Required && !said[q.ID] {
			return ErrAnswer.At(at+"/answers", "must answer %s", q.ID)
		}
	}
	return nil
}

func ticketsIn(items []booking.HoldItem) (n int64) {
	for _, i := range items {
		n += i.Quantity
	}
	return n
}
