package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/client"
	"guichet/cell/id"
)

// revocationsPage is how many revocations are in one signed page.
const revocationsPage = 1000

// revocations is a page of the event's revoked barcodes, signed so that a gate
// may have it from anybody.
func (s *Server) revocations(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	after := int64(0)
	if text, asked := c.GetQuery("cursor"); asked {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return errCursor.With("the cursor is the number of the last revocation at hand")
		}
	}
	if err := s.known(c, event); err != nil {
		return err
	}
	list, head, now, err := s.Reports.Revocations(c.Request.Context(), event, after, revocationsPage)
	if err != nil {
		return err
	}
	page := client.Revocations{EventID: event.String(), After: after, Head: head, IssuedAt: now.UTC().Truncate(time.Second), Items: make([]client.Revocation, 0, len(list))}
	for _, r := range list {
		page.Items = append(page.Items, client.Revocation{Seq: r.Seq, Mark: r.Mark, At: r.At.UTC().Truncate(time.Second)})
		after = r.Seq
	}
	if after < head {
		next := strconv.FormatInt(after, 10)
		page.NextCursor = &next
	}
	s.Signer.SignRevocations(&page)
	c.Header("Cache-Control", "public, max-age=5")
	c.JSON(http.StatusOK, page)
	return nil
}
