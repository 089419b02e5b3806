package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/letter"
	"guichet/cell/ticket/wallet"
	"guichet/internal/txn"
)

// Wallets are the wallets for which the operator has keys.
type Wallets struct {
	Apple interface {
		File(p wallet.Pass) ([]byte, error)
	}
	Google interface {
		Link(p wallet.Pass, now time.Time) (string, error)
	}
}

// applePass is the ticket as a file for Apple's wallet.
func (s *Server) applePass(c *gin.Context, t checkout.Ticket, o checkout.Order) error {
	if s.Wallets.Apple == nil {
		return wallet.ErrNotConfigured.With("this cell makes no passes for Apple's wallet")
	}
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, t.ID.Event())
	if err != nil {
		return err
	}
	out, err := s.Wallets.Apple.File(letter.Pass(t, o, e))
	if err != nil {
		return fmt.Errorf("make pass: %w", err)
	}
	return file(c, wallet.AppleMedia, out)
}

// googleWallet answers where a visitor saves his ticket in Google's wallet.
func (s *Server) googleWallet(c *gin.Context) error {
	tid, err := id.ParseTicket(c.Param("ticket_id"))
	if err != nil {
		return err
	}
	t, o, err := s.Checkout.Ticket(c.Request.Context(), tid)
	if err != nil {
		return err
	}
	if s.Wallets.Google == nil {
		return wallet.ErrNotConfigured.With("this cell makes no passes for Google's wallet")
	}
	if err := usable(t); err != nil {
		return err
	}
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, tid.Event())
	if err != nil {
		return err
	}
	link, err := s.Wallets.Google.Link(letter.Pass(t, o, e), s.Now())
	if err != nil {
		return fmt.Errorf("make pass: %w", err)
	}
	c.JSON(http.StatusOK, client.WalletLink{URL: link})
	return nil
}
