package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/kind"
)

func (s *Server) createHold(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	var in newHold
	body, err := httpd.DecodeJSON(c, &in)
	if err != nil {
		return err
	}
	want, err := requestOf(event, in)
	if err != nil {
		return err
	}
	if err := s.mayTry(c, event, want.Promo+want.Access); err != nil {
		return err
	}
	key, leave, err := s.claim(c, true, "", body)
	if err != nil {
		return err
	}
	defer leave()
	op, err := s.Booking.HoldOnce(c.Request.Context(), event, want, key, holdAnswer(http.StatusCreated))
	if err != nil {
		return s.ownHolds(c, s.tried(c, event, err))
	}
	if op.Body, err = s.withHoldToken(op.Body); err != nil {
		return err
	}
	sendOp(c, op)
	return nil
}

// ownHolds names, in a refusal that tells of the buyer's own holds, the one whose token
// came with the request.
func (s *Server) ownHolds(c *gin.Context, err error) error {
	e := kind.As(err)
	if e == nil {
		return err
	}
	own, ok := e.Fields["own_holds"].([]booking.OwnHold)
	if !ok {
		return err
	}
	token, _ := bearer(c)
	told := make([]client.OwnHold, 0, len(own))
	for _, o := range own {
		view := client.OwnHold{ExpiresAt: o.ExpiresAt}
		if hold, err := id.ParseHold(o.ID); err == nil && s.Access.VerifyHold(hold, token) {
			view.ID, view.OrderID = o.ID, o.Order
		}
		told = append(told, view)
	}
	return e.Field("own_holds", told)
}

// What a hold's answer begins with, and what is put behind its last member.
const (
	holdBegins  = `{"id":"`
	tokenMember = `,"access_token":"`
)

// withHoldToken adds the hold's token to its answer. The answer is kept without it: the
// token follows from the id, for whoever repeats the request that made the hold.
func (s *Server) withHoldToken(answer []byte) ([]byte, error) {
	text, _, ok := strings.Cut(strings.TrimPrefix(string(answer[:min(len(answer), 80)]), holdBegins), `"`)
	hold, err := id.ParseHold(text)
	if !ok || err != nil || answer[len(answer)-1] != '}' {
		return nil, errors.New("read first answer: it names no hold")
	}
	out := make([]byte, 0, len(answer)+64)
	out = append(append(out, answer[:len(answer)-1]...), tokenMember...)
	return append(append(out, s.Access.HoldToken(hold)...), `"}`...), nil
}

// holdAnswer renders a hold, to be sent and kept.
func holdAnswer(status int) booking.Answer {
	return func(h booking.Hold) (int, []byte, error) {
		if body := plainHold(h); body != nil {
			return status, body, nil
		}
		body, err := json.Marshal(holdView(h)) //nolint:gosec // the token is not in it: withHoldToken adds that
		return status, body, err
	}
}

// newHold is client.NewHold as buyers may send it: names and prices of a line are
// the cell's to say, so here they are unknown fields, whatever their type.
type newHold struct {
	Items      []newHoldItem `json:"items"`
	PromoCode  string        `json:"promo_code,omitempty"`
	AccessCode string        `json:"access_code,omitempty"`
	BuyerKey   string        `json:"buyer_key,omitempty"`
}

type newHoldItem struct {
	TicketTypeID string   `json:"ticket_type_id"`
	Quantity     int64    `json:"quantity,omitempty"` // or seats by their ids
	SeatIDs      []string `json:"seat_ids,omitempty"`
	Section      string   `json:"section,omitempty"`
	Accessible   bool     `json:"accessible,omitempty"`
}

// requestOf reads what a buyer asks for; his key names the hold.
func requestOf(event id.Event, in newHold) (want booking.Request, err error) {
	want = booking.Request{Promo: in.PromoCode, Access: in.AccessCode}
	if in.BuyerKey != "" {
		if want.Buyer, err = booking.BuyerOf(event, in.BuyerKey); err != nil {
			return want, err
		}
	}
	want.Lines, err = linesOf(in)
	return want, err
}

func linesOf(in newHold) ([]booking.Line, error) {
	var lines []booking.Line
	for i, item := range in.Items {
		at := "/items/" + strconv.Itoa(i)
		tid, err := id.ParseTicketType(item.TicketTypeID)
		if err != nil {
			return nil, id.ErrMalformed.At(at+"/ticket_type_id", "is not the id of a ticket type")
		}
		line, err := seatLine(at, item, booking.Line{Type: tid, Quantity: item.Quantity})
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func (s *Server) getHold(c *gin.Context) error {
	hold, err := id.ParseHold(c.Param("hold_id"))
	if err != nil {
		return err
	}
	h, err := s.Booking.Look(c.Request.Context(), hold)
	if err != nil {
		return err
	}
	c.JSON(200, holdView(h))
	return nil
}

func (s *Server) extendHold(c *gin.Context) error {
	hold, err := id.ParseHold(c.Param("hold_id"))
	if err != nil {
		return err
	}
	key, leave, err := s.claim(c, false, "", nil)
	if err != nil {
		return err
	}
	defer leave()
	op, err := s.Booking.ExtendOnce(c.Request.Context(), hold, key, holdAnswer(http.StatusOK))
	if err != nil {
		return err
	}
	sendOp(c, op)
	return nil
}

func (s *Server) releaseHold(c *gin.Context) error {
	hold, err := id.ParseHold(c.Param("hold_id"))
	if err != nil {
		return err
	}
	if _, err := s.Booking.Release(c.Request.Context(), hold); err != nil {
		return err
	}
	c.Status(204)
	c.Writer.WriteHeaderNow()
	return nil
}
