package api

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/id"
)

// maxFind bounds what is looked for in lists, in characters.
const maxFind = 254

// orderStates are the states of an order, for a filter.
var orderStates = []string{string(checkout.Pending), string(checkout.Paid), string(checkout.Expired), string(checkout.Canceled)}

// orderParams choose orders of an event.
var orderParams = append([]param{
	{"q", "string", "an order's code, or the mail address of its buyer"},
	{"state", "string", "pending, paid, expired or canceled"},
	{"updated_since", "string", "date or RFC 3339 time; what changed then or later. Clocks and transactions overlap: ask from a minute before"},
}, page...)

func (s *Server) listOrders(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	q := checkout.OrderQuery{}
	if q.Limit, err = pageLimit(c); err != nil {
		return err
	}
	state, err := wordParam(c, "state", orderStates)
	if err != nil {
		return err
	}
	q.State = checkout.State(state)
	if q.Since, err = sinceParam(c); err != nil {
		return err
	}
	find, err := findParam(c)
	if err != nil {
		return err
	}
	q.Find(find)
	if text := c.Query("cursor"); text != "" {
		if q.After, err = readOrderPlace(text, e.ID); err != nil {
			return errCursor.With("the cursor is not from this list")
		}
	}
	orders, next, err := s.Reports.FindOrders(c.Request.Context(), e.ID, q)
	if err != nil {
		return err
	}
	page := Page[client.Order]{Items: []client.Order{}}
	if next != nil {
		page.NextCursor = new(stampText(next.At, next.Order))
	}
	for _, o := range orders {
		v := s.orderView(o)
		v.Payment = nil // the secret is the buyer's
		v.Tickets = presentTickets(o)
		v.UpdatedAt = new(o.ChangedAt.UTC())
		page.Items = append(page.Items, v)
	}
	c.JSON(200, page)
	return nil
}

// wordParam reads a parameter that is one of some words, or "".
func wordParam(c *gin.Context, name string, words []string) (string, error) {
	text := c.Query(name)
	if text != "" && !slices.Contains(words, text) {
		return "", errParameter.With("%s is one of %s", name, strings.Join(words, ", ")).Field("parameter", name)
	}
	return text, nil
}

// sinceParam reads updated_since, zero when it is not there.
func sinceParam(c *gin.Context) (time.Time, error) {
	return timeParam(c, "updated_since", "UTC", time.Time{})
}

// findParam reads what is looked for.
func findParam(c *gin.Context) (string, error) {
	text := strings.TrimSpace(c.Query("q"))
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) || utf8.RuneCountInString(text) > maxFind {
		return "", errParameter.With("q is at most %d characters", maxFind).Field("parameter", "q")
	}
	return text, nil
}

// stampText and readStamp are the cursor of a list in the order of a time and an id.
func stampText(at time.Time, what string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.UTC().Format(time.RFC3339Nano) + " " + what))
}

func readStamp(text string) (at time.Time, what string, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return at, "", err
	}
	stamp, what, _ := strings.Cut(string(raw), " ")
	at, err = time.Parse(time.RFC3339Nano, stamp)
	return at, what, err
}

func readOrderPlace(text string, event id.Event) (p checkout.OrderPlace, err error) {
	if p.At, p.Order, err = readStamp(text); err != nil {
		return p, err
	}
	o, err := id.ParseOrder(p.Order)
	if err == nil && o.Event() != event {
		err = errCursor
	}
	return p, err
}
