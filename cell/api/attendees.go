package api

import (
	"encoding/csv"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/cell/checkout"
	"guichet/internal/txn"
)

// attendeesBatch is how many orders are read at a time.
const attendeesBatch = 100

// bom lets spreadsheets read the file as UTF-8.
const bom = "\uFEFF"

var attendeeColumns = []string{"order_code", "order_id", "ticket_id", "ticket_type", "attendee", "buyer_name", "buyer_email", "ticket_state", "section", "row", "seat"}

// attendees streams who comes, one line a ticket that is valid or used, with what was
// answered to each of the event's questions.
func (s *Server) attendees(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	form, err := s.Checkout.Store.Form(c.Request.Context(), txn.None, e.ID)
	if err != nil {
		return err
	}
	orders, err := s.Reports.AnsweredOf(c.Request.Context(), e.ID, "", attendeesBatch)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "text/csv; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="attendees.csv"`)
	out := streaming(c, "attendees")
	_, _ = out.Write([]byte(bom)) // out remembers the error
	w := csv.NewWriter(out)
	_ = w.Write(attendeeHeader(form)) // as does w
	for len(orders) > 0 {
		for i := range orders {
			for _, record := range attendeeLines(form, &orders[i]) {
				_ = w.Write(record)
			}
		}
		w.Flush()
		out.send()
		ctx, done := out.reading()
		orders, err = s.Reports.AnsweredOf(ctx, e.ID, orders[len(orders)-1].ID.String(), attendeesBatch)
		done()
		if err != nil {
			out.end(err)
		}
	}
	w.Flush()
	out.end(w.Error())
	return nil
}

// attendeeHeader names a column for each question, by its label, and one for answers to
// questions that the event asks no more.
func attendeeHeader(form checkout.Form) []string {
	header := slices.Clone(attendeeColumns)
	for _, q := range form.Questions {
		header = append(header, field(q.Label))
	}
	return append(header, "other_answers")
}

// attendeeLines are the lines of an order's tickets. What an attendee answered is not
// told of who was given the ticket since.
func attendeeLines(form checkout.Form, o *checkout.Answered) (lines [][]string) {
	for i, t := range o.Tickets {
		if t.State == checkout.TicketCanceled {
			continue
		}
		line := []string{o.Code, o.ID.String(), t.ID.String(), field(t.Name), field(t.Attendee), field(o.Buyer.Name), field(o.Buyer.Email), string(t.State), field(t.Seat.Section), field(t.Seat.Row), field(t.Seat.Number)}
		said, other := make([]string, len(form.Questions)), []string{}
		for _, a := range o.Answers {
			if a.Attendee != 0 && (a.Attendee != i+1 || t.Transfers > 0) {
				continue
			}
			if at := slices.IndexFunc(form.Questions, func(q checkout.Question) bool { return q.ID == a.Question }); at >= 0 {
				said[at] = field(a.Value)
			} else {
				other = append(other, a.Question+": "+a.Value)
			}
		}
		lines = append(lines, append(append(line, said...), field(strings.Join(other, "; "))))
	}
	return lines
}

// field keeps a spreadsheet from running a stranger's name as a formula.
func field(s string) string {
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(s, unicode.IsSpace))
	if strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}
