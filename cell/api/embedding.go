package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"guichet/cell/account"
	"guichet/cell/audit"
	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/internal/httpd"
	"guichet/internal/txn"
)

// Embeddings are on whose pages the shop of organizers' events may be shown in a frame.
// Each home of an organizer's events has a list of its own.
type Embeddings interface {
	EmbeddingOf(ctx context.Context, tx txn.Tx, org id.Organizer) (origins []string, err error)
	SetEmbedding(ctx context.Context, tx txn.Tx, org id.Organizer, origins []string) error
}

func embeddingView(origins []string) client.Embedding {
	return client.Embedding{Origins: append([]string{}, origins...)}
}

func (s *Server) getEmbedding(c *gin.Context) error {
	org, err := s.booksOf(c)
	if err != nil {
		return err
	}
	origins, err := s.Reports.EmbeddingOf(c.Request.Context(), txn.None, org)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, embeddingView(origins))
	return nil
}

// putEmbedding replaces the whole list: a list that is added to would keep what nobody
// remembers.
func (s *Server) putEmbedding(c *gin.Context) error {
	org, err := s.booksOf(c)
	if err != nil {
		return err
	}
	var in client.Embedding
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	origins, err := account.ParseOrigins(in.Origins)
	if err != nil {
		return err
	}
	err = s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error {
		was, err := s.Reports.EmbeddingOf(ctx, tx, org)
		if err != nil {
			return err
		}
		note := audit.Of(ctx).Changed(embeddingView(was), embeddingView(origins))
		if slices.Equal(was, origins) {
			note.Nothing()
			return nil
		}
		return s.Reports.SetEmbedding(ctx, tx, org, origins)
	})
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, embeddingView(origins))
	return nil
}

// eventEmbedding tells everybody, as the header of the page says the same.
func (s *Server) eventEmbedding(c *gin.Context) error {
	event, err := id.ParseEvent(c.Param("event_id"))
	if err != nil {
		return err
	}
	if err := s.known(c, event); err != nil {
		return err
	}
	e, err := s.Booking.Store.Event(c.Request.Context(), txn.None, event)
	if err != nil {
		return err
	}
	origins, err := s.Reports.EmbeddingOf(c.Request.Context(), txn.None, e.Organizer)
	if err != nil {
		return err
	}
	return show(c, embeddingView(origins))
}
