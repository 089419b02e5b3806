package api

import (
	"context"

	"github.com/gin-gonic/gin"

	"guichet/cell/audit"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/money"
	"guichet/cell/payment"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

var errPayment = kind.Invalid.New("invalid_payment_settings")

// Books are what the ledger and the settings around it say.
type Books interface {
	AccountsOf(ctx context.Context, org id.Organizer) ([]payment.Sum, error)
	PayeeOf(ctx context.Context, tx txn.Tx, org id.Organizer) (payment.Payee, bool, error)
	SetPayee(ctx context.Context, tx txn.Tx, org id.Organizer, p payment.Payee) error
	PolicyOf(ctx context.Context, tx txn.Tx, event id.Event) (payment.Policy, error)
	SetPolicy(ctx context.Context, tx txn.Tx, event id.Event, p payment.Policy) error
}

// booksOf is the organizer in the path, when it is he who asks and this is a cell
// of the region that he names.
func (s *Server) booksOf(c *gin.Context) (id.Organizer, error) {
	org, err := s.ownAccount(c)
	if err != nil {
		return org, err
	}
	return org, s.inRegionOf(org, c.Query("home_region"))
}

// getPayouts is what this cell owes the organizer. Each home of his events keeps
// books of its own.
func (s *Server) getPayouts(c *gin.Context) error {
	org, err := s.booksOf(c)
	if err != nil {
		return err
	}
	sums, err := s.Reports.AccountsOf(c.Request.Context(), org)
	if err != nil {
		return err
	}
	out := client.Payouts{OrganizerID: org.String(), Cell: s.Cell.String(), Balances: []client.Balance{}}
	for _, b := range payment.Balances(sums) {
		m := func(amount int64) money.Money { return money.Money{Amount: amount, Currency: b.Currency} }
		out.Balances = append(out.Balances, client.Balance{
			Currency: b.Currency, Sold: m(b.Sold), Refunded: m(b.Refunded), Lost: m(b.Lost), PaidOut: m(b.PaidOut), Owed: m(b.Owed), Tax: m(b.Tax),
		})
	}
	payee, ok, err := s.Reports.PayeeOf(c.Request.Context(), txn.None, org)
	if err != nil {
		return err
	}
	if ok {
		out.Account = accountView(payee)
		for i := range out.Balances {
			if b := &out.Balances[i]; payee.Currency != "" && payee.Currency != b.Currency {
				b.SettledIn = payee.Currency
			}
		}
	}
	c.JSON(200, out)
	return nil
}

func accountView(p payment.Payee) *client.PaymentAccount {
	return &client.PaymentAccount{StripeAccount: p.Account, Country: p.Country, Currency: p.Currency}
}

// putPaymentAccount connects the organizer's own account: the provider is asked
// whether it is connected to this cell's and may take payments. Orders made before
// keep what they had.
func (s *Server) putPaymentAccount(c *gin.Context) error {
	org, err := s.booksOf(c)
	if err != nil {
		return err
	}
	var in client.NewPaymentAccount
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	if in.StripeAccount == nil {
		if err := s.setPayee(c, org, payment.Payee{}); err != nil {
			return err
		}
		c.JSON(200, client.PaymentAccount{})
		return nil
	}
	payees, ok := s.Checkout.Processor.(payment.Payees)
	if !ok {
		return errPayment.At("/stripe_account", "this cell's payment provider has no accounts for organizers")
	}
	payee, err := payees.Payee(c.Request.Context(), *in.StripeAccount)
	if err != nil {
		return err
	}
	if !payee.Charges {
		return payment.ErrUnusablePayee.With("the provider does not let this account take payments yet")
	}
	if err := s.setPayee(c, org, payee); err != nil {
		return err
	}
	c.JSON(200, accountView(payee))
	return nil
}

func (s *Server) setPayee(c *gin.Context, org id.Organizer, payee payment.Payee) error {
	return s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		was, _, err := s.Reports.PayeeOf(ctx, tx, org)
		if err != nil {
			return err
		}
		audit.Of(ctx).Changed(accountView(was), accountView(payee))
		return s.Reports.SetPayee(ctx, tx, org, payee)
	})
}

// putPaymentPolicy sets what becomes of the event's tickets while they are disputed.
func (s *Server) putPaymentPolicy(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	var in client.PaymentPolicy
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	var policy payment.Policy
	if in.OnDispute != nil {
		var ok bool
		if policy, ok = payment.ParsePolicy(*in.OnDispute); !ok {
			return errPayment.At("/on_dispute", "must be block, keep or null")
		}
	}
	err = s.onEvent(c, e.ID, func(ctx context.Context, tx txn.Tx) error {
		was, err := s.Reports.PolicyOf(ctx, tx, e.ID)
		if err != nil {
			return err
		}
		audit.Of(ctx).Changed(object{"on_dispute": was}, object{"on_dispute": policy})
		return s.Reports.SetPolicy(ctx, tx, e.ID, policy)
	})
	if err != nil {
		return err
	}
	c.JSON(200, in)
	return nil
}
