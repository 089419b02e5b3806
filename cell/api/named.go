package api

import (
	"slices"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

// A PUT replaces what it names. An optional member that it leaves out stays as it is, so
// that nothing goes back to a default without a word; null or empty takes it away.

var (
	errUnexpectedBody = kind.Invalid.New("unexpected_body")
	errQuotasFixed    = kind.Conflict.New("quotas_fixed")
)

// namedBody is the body of a PUT with what it names.
type namedBody[T any] struct {
	Body  T
	names map[string]bool
}

type naming interface {
	into() any
	named(names map[string]bool)
}

func (b *namedBody[T]) into() any                   { return &b.Body }
func (b *namedBody[T]) named(names map[string]bool) { b.names = names }

// decodeNamed is httpd.DecodeJSON that remembers what a namedBody names.
func decodeNamed(c *gin.Context, in any) ([]byte, error) {
	n, ok := in.(naming)
	if !ok {
		return httpd.DecodeJSON(c, in)
	}
	body, err := httpd.DecodeJSON(c, n.into())
	if err == nil {
		n.named(httpd.Names(body))
	}
	return body, err
}

// typeAsNamed is a ticket type as a PUT wants it: what the body leaves out is as it was,
// what it says is null is not there.
func typeAsNamed(in *namedBody[client.NewTicketType], was *booking.TicketType) booking.DraftType {
	d := typeOf(in.Body)
	keep(in.names, "fees", &d.Fees, &was.Fees)
	keep(in.names, "min_per_order", &d.Min, was.MinPerOrder)
	keep(in.names, "max_per_order", &d.Max, was.MaxPerOrder)
	keep(in.names, "sales_start", &d.SalesStart, was.SalesStart)
	keep(in.names, "sales_end", &d.SalesEnd, was.SalesEnd)
	drop(in.names, "tiers", &d.Terms.Tiers) // what is nil here stays
	drop(in.names, "hidden", &d.Terms.Hidden)
	drop(in.names, "tax", &d.Terms.Tax)
	drop(in.names, "requires", &d.Terms.Requires)
	drop(in.names, "max_per_buyer", &d.Terms.MaxPerBuyer)
	return d
}

// codeAsNamed is the same for a code, which may not be there yet. Of what a promo code
// takes off exactly one is named.
func codeAsNamed(in *namedBody[client.NewCode], code, was *booking.Code) {
	if was == nil {
		return
	}
	keep(in.names, "max_uses", &code.MaxUses, was.MaxUses)
	keep(in.names, "budget", &code.Budget, was.Budget)
	keep(in.names, "starts_at", &code.Terms.StartsAt, was.Terms.StartsAt)
	keep(in.names, "ends_at", &code.Terms.EndsAt, was.Terms.EndsAt)
	keep(in.names, "ticket_types", &code.Terms.Types, was.Terms.Types)
}

// formAsNamed is the same for an order form.
func formAsNamed(in *namedBody[client.NewOrderForm], was checkout.Form) checkout.Form {
	f := formOf(in.Body)
	keep(in.names, "seller", &f.Seller, was.Seller)
	keep(in.names, "questions", &f.Questions, was.Questions)
	keep(in.names, "consents", &f.Consents, was.Consents)
	return f
}

// keep lets a member that is not named be as it was.
func keep[T any](names map[string]bool, name string, to *T, was T) {
	if !names[name] {
		*to = was
	}
}

// drop turns a term that is named as null into none.
func drop[T any](names map[string]bool, name string, to **T) {
	if names[name] && *to == nil {
		*to = new(T)
	}
}

// drawsOn says whether the quotas, by name or id, are those that a ticket type draws on.
func drawsOn(e *booking.Event, t *booking.TicketType, quotas []string) bool {
	named := map[string]bool{}
	for _, text := range quotas {
		for _, q := range e.Quotas {
			if q.Name == text || q.ID.String() == text {
				text = q.ID.String()
			}
		}
		named[text] = true
	}
	return len(named) == len(t.Quotas) && !slices.ContainsFunc(t.Quotas, func(q id.Quota) bool { return !named[q.String()] })
}

// noBody refuses a body on a call that takes none: who sent it meant something by it.
func noBody(c *gin.Context, r *route) error {
	sent, err := httpd.HasBody(c.Request)
	switch {
	case err != nil:
		return httpd.ErrJSON.With("the body could not be read to its end")
	case !sent:
		return nil
	case r.instead != "":
		return errUnexpectedBody.With("this call takes no body: %s", r.instead)
	}
	return errUnexpectedBody.With("this call takes no body")
}
