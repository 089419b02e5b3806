package api_test

import "testing"

func TestPurchase_fromHoldToTicketLooksExactlyLikeThis(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	s.ask(t, "GET "+s.path(), nil).want(t, "200").looks(t, ``)
}
