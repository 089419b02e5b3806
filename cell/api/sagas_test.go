package api_test

import (
	"strings"
	"testing"

	"guichet/cell/client"
)

func TestSagas_showOperatorsWhatTheCellIsAt(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	operator := bearer(operatorToken)
	paid := s.paid(t, s.floor, 1)
	s.ask(t, "POST "+s.path()+"/cancel", nil, s.bearer).want(t, "200")
	s.settled(t)

	page := read[client.SagaPage](t, s.ask(t, "GET /v1/sagas?event_id="+s.event.ID+"&status=succeeded&limit=1", nil, operator).want(t, "200"))
	if len(page.Items) != 1 || page.NextCursor == nil {
		t.Fatalf("%+v", page)
	}
	names := map[string]int{page.Items[0].Name: 1}
	for page.NextCursor != nil {
		page = read[client.SagaPage](t, s.ask(t, "GET /v1/sagas?limit=1&event_id="+s.event.ID+"&cursor="+*page.NextCursor, nil, operator).want(t, "200"))
		names[page.Items[0].Name]++
	}
	if names["purchase"] != 1 || names["refund"] != 1 || names["event-cancellation"] != 1 || len(names) != 3 {
		t.Errorf("%v", names)
	}
	one := read[client.SagaDetail](t, s.ask(t, "GET /v1/sagas/purchase:"+paid.ID, nil, operator).want(t, "200"))
	if one.Status != "succeeded" || one.State != "Over" || one.EventID != s.event.ID || len(one.Steps) != 1 || one.Steps[0].State != "CreateIntent" || one.Steps[0].FinishedAt == nil {
		t.Errorf("%+v", one)
	}
	if text := one.Steps[0].Result; !strings.Contains(text, "pi_") || strings.Contains(text, "secret") {
		t.Errorf("the log says %s", text)
	}
	s.ask(t, "POST /v1/sagas/purchase:"+paid.ID+"/retry", nil, operator).want(t, "409 saga_not_failed")
	for _, none := range []string{"purchase:" + paid.ID + "x", "%00", "%ff", strings.Repeat("x", 400)} {
		s.ask(t, "GET /v1/sagas/"+none, nil, operator).want(t, "404 saga_not_found")
		s.ask(t, "POST /v1/sagas/"+none+"/retry", nil, operator).want(t, "404 saga_not_found")
	}
	for _, wrong := range []string{"status=done", "limit=0", "limit=101", "event_id=evt"} {
		s.ask(t, "GET /v1/sagas?"+wrong, nil, operator).want(t, "400 invalid_parameter")
	}
	s.ask(t, "GET /v1/sagas?cursor=%00", nil, operator).want(t, "400 invalid_cursor")
	for _, line := range []string{"GET /v1/sagas", "GET /v1/sagas/x", "POST /v1/sagas/x/retry"} {
		s.ask(t, line, nil).want(t, "401 unauthorized")
		s.ask(t, line, nil, s.bearer).want(t, "401 unauthorized")
	}
	order := read[client.Order](t, s.ask(t, "GET /v1/orders/"+paid.ID, nil).want(t, "200"))
	if order.State != "canceled" || order.RefundStatus != "full" || order.Tickets[0].State != "canceled" {
		t.Errorf("%+v", order)
	}
}

// One that failed is let go on by an operator.
func TestSagas_retry(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	paid := s.paid(t, s.floor, 1)
	s.ask(t, "POST /v1/orders/"+paid.ID+"/cancel", nil).want(t, "200")
	if _, err := s.store.DB.Pool.Exec(t.Context(), `UPDATE saga.run SET status = 'failed', ended_at = now(), error = 'broken' WHERE name = 'refund'`); err != nil {
		t.Fatal(err)
	}
	page := read[client.SagaPage](t, s.ask(t, "GET /v1/sagas?status=failed", nil, bearer(operatorToken)).want(t, "200"))
	if len(page.Items) != 1 || page.Items[0].Error != "broken" {
		t.Fatalf("%+v", page)
	}
	again := read[client.SagaDetail](t, s.ask(t, "POST /v1/sagas/"+page.Items[0].ID+"/retry", nil, bearer(operatorToken)).want(t, "200"))
	if again.Status != "running" || again.EndedAt != nil {
		t.Errorf("%+v", again)
	}
	s.settled(t)
}
