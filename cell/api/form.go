package api

import (
	"context"
	"net/http"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/txn"
)

// getForm is what a buyer is asked, before he orders.
func (s *Server) getForm(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	if err := s.known(c, event); err != nil {
		return err
	}
	f, err := s.Checkout.Store.Form(c.Request.Context(), txn.None, event)
	if err != nil {
		return err
	}
	return show(c, formView(f))
}

// putForm replaces the form; orders that were made keep what was answered.
func (s *Server) putForm(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	var in namedBody[client.NewOrderForm]
	body, err := decodeNamed(c, &in)
	if err != nil {
		return err
	}
	answer, err := s.once(c, e.ID, false, e.Organizer.String(), body, http.StatusOK, func(ctx context.Context, tx txn.Tx) (any, error) {
		was, err := s.Checkout.Store.Form(ctx, tx, e.ID)
		if err != nil {
			return nil, err
		}
		f := formAsNamed(&in, was)
		if err := s.Checkout.SetForm(ctx, tx, e.ID, &f); err != nil {
			return nil, err
		}
		audit.Of(ctx).Changed(formView(was), formView(f))
		return formView(f), nil
	})
	if err != nil {
		return err
	}
	send(c, http.StatusOK, answer)
	return nil
}

func formOf(in client.NewOrderForm) checkout.Form {
	var f checkout.Form
	if in.Seller != nil {
		f.Seller = checkout.Seller{Name: in.Seller.Name, Address: in.Seller.Address, TaxID: in.Seller.TaxID}
	}
	for _, q := range in.Questions {
		f.Questions = append(f.Questions, checkout.Question{
			ID: q.ID, Label: q.Label, Kind: checkout.QuestionKind(q.Kind), Choices: q.Choices, Required: q.Required, Per: checkout.Asked(q.Per),
		})
	}
	for _, k := range in.Consents {
		f.Consents = append(f.Consents, checkout.Consent{ID: k.ID, Text: k.Text, Required: k.Required})
	}
	return f
}

func formView(f checkout.Form) client.OrderForm {
	v := client.OrderForm{
		Version: f.Version, Seller: client.Seller{Name: f.Seller.Name, Address: f.Seller.Address, TaxID: f.Seller.TaxID},
		Questions: make([]client.Question, 0, len(f.Questions)), Consents: make([]client.Consent, 0, len(f.Consents)),
	}
	for _, q := range f.Questions {
		v.Questions = append(v.Questions, client.Question{
			ID: q.ID, Label: q.Label, Kind: string(q.Kind), Choices: q.Choices, Required: q.Required, Per: string(q.Per),
		})
	}
	for _, k := range f.Consents {
		v.Consents = append(v.Consents, client.Consent{NewConsent: client.NewConsent{ID: k.ID, Text: k.Text, Required: k.Required}, Version: k.Version})
	}
	return v
}

// answersOf reads a person's answers; whose they are, their place says.
func answersOf(in []client.Answer) (out []checkout.Answer) {
	for _, a := range in {
		out = append(out, checkout.Answer{Question: a.QuestionID, Value: a.Value})
	}
	return out
}

// replyTo reads what a buyer answered and agreed to into the request.
func replyTo(req *checkout.Request, in client.NewOrder) {
	req.Answers = answersOf(in.Answers)
	for i, a := range in.Attendees {
		req.Attendees[i].Answers = answersOf(a.Answers)
	}
	for _, k := range in.Consents {
		req.Consents = append(req.Consents, checkout.Consented{ID: k.ID, Version: k.Version})
	}
}

// withReplies adds what was answered to an order's view.
func withReplies(v *client.Order, r checkout.Replies) {
	for _, a := range r.Answers {
		v.Answers = append(v.Answers, client.Answer{QuestionID: a.Question, Value: a.Value, Attendee: a.Attendee})
	}
	for _, k := range r.Consents {
		v.Consents = append(v.Consents, client.Consented{ID: k.ID, Version: k.Version})
	}
}
