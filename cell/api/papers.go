package api

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/letter"
	"guichet/cell/ticket/render"
)

// maxCreditNote bounds the number of a credit note in a path.
const maxCreditNote = 100_000

func (s *Server) invoicePDF(c *gin.Context) error { return s.paperPDF(c, checkout.Invoice, 1) }

// creditNotePDF is an order's nth credit note, from 1.
func (s *Server) creditNotePDF(c *gin.Context) error {
	if _, err := orderID(c); err != nil {
		return err
	}
	text, isPDF := strings.CutSuffix(c.Param("n"), ".pdf")
	n, err := strconv.Atoi(text)
	if !isPDF || err != nil || n < 1 || n > maxCreditNote || strconv.Itoa(n) != text {
		return checkout.ErrPaperNotFound.With("credit notes are 1.pdf, 2.pdf and so on")
	}
	return s.paperPDF(c, checkout.CreditNote, n)
}

func (s *Server) paperPDF(c *gin.Context, k checkout.PaperKind, n int) error {
	order, err := orderID(c)
	if err != nil {
		return err
	}
	if _, err := s.Checkout.Look(c.Request.Context(), order); err != nil { // an order that is not here may be elsewhere
		return err
	}
	p, err := s.Checkout.Paper(c.Request.Context(), order, k, n)
	if err != nil {
		return err
	}
	out, err := render.BillPDF(letter.Bill(p))
	if err != nil {
		return fmt.Errorf("print %s: %w", p.Title(), err)
	}
	return file(c, "application/pdf", out)
}
