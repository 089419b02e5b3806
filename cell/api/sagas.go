package api

import (
	"context"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/cell/client"
	"guichet/cell/id"
	"guichet/cell/saga"
	"guichet/internal/txn"
)

// maxSagaID bounds a saga's id in a path, in bytes.
const maxSagaID = 300

func sagaView(r saga.Run) client.Saga {
	v := client.Saga{
		ID: r.ID, Name: r.Name, Version: r.Version, EventID: r.Event, Status: string(r.Status), State: r.Where(),
		Error: r.Error, Cause: r.Cause, StartedAt: r.StartedAt,
	}
	for at, into := range map[*time.Time]**time.Time{&r.WakeAt: &v.WakeAt, &r.EndedAt: &v.EndedAt} {
		if !at.IsZero() {
			*into = at
		}
	}
	return v
}

func (s *Server) listSagas(c *gin.Context) error {
	q := saga.Query{Status: saga.Status(c.Query("status")), Name: c.Query("name"), Event: c.Query("event_id"), Before: c.Query("cursor"), Limit: 20}
	switch q.Status {
	case "", saga.Running, saga.Succeeded, saga.Failed:
	default:
		return errParameter.With("status must be running, succeeded or failed").Field("parameter", "status")
	}
	if q.Event != "" {
		if _, err := id.ParseEvent(q.Event); err != nil {
			return errParameter.With("event_id must be the id of an event").Field("parameter", "event_id")
		}
	}
	if text := c.Query("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || text[0] == '+' || limit < 1 || limit > 100 {
			return errParameter.With("limit must be 1 to 100").Field("parameter", "limit")
		}
		q.Limit = limit
	}
	if len(q.Before) > maxSagaID || len(q.Name) > maxSagaID || !readable(q.Before) || !readable(q.Name) {
		return errCursor.With("the cursor is not from this list")
	}
	limit := q.Limit
	q.Limit++
	runs, err := s.Checkout.Runs.Runs(c.Request.Context(), q)
	if err != nil {
		return err
	}
	page := client.SagaPage{Items: []client.Saga{}}
	if len(runs) > limit {
		runs = runs[:limit]
		page.NextCursor = &runs[limit-1].ID
	}
	for _, r := range runs {
		page.Items = append(page.Items, sagaView(r))
	}
	c.JSON(200, page)
	return nil
}

// readable says that a text can be asked the database for.
func readable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == '\uFFFD' {
			return false
		}
	}
	return true
}

func (s *Server) getSaga(c *gin.Context) error {
	return s.sendSaga(c)
}

func (s *Server) retrySaga(c *gin.Context) error {
	run := c.Param("saga_id")
	if len(run) > maxSagaID || !readable(run) {
		return saga.ErrRunNotFound
	}
	if err := s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, tx txn.Tx) error { return s.Checkout.Runs.Retry(ctx, tx, run) }); err != nil {
		return err
	}
	return s.sendSaga(c)
}

func (s *Server) sendSaga(c *gin.Context) error {
	run := c.Param("saga_id")
	if len(run) > maxSagaID || !readable(run) {
		return saga.ErrRunNotFound
	}
	r, steps, err := s.Checkout.Runs.Run(c.Request.Context(), txn.None, run)
	if err != nil {
		return err
	}
	v := client.SagaDetail{Saga: sagaView(r), Steps: []client.SagaStep{}}
	for _, st := range steps {
		v.Steps = append(v.Steps, client.SagaStep{
			Key: st.Key, State: st.State, Tries: st.Tries, Result: string(st.Result), Error: st.Error, StartedAt: st.StartedAt, FinishedAt: st.FinishedAt,
		})
	}
	c.JSON(200, v)
	return nil
}
