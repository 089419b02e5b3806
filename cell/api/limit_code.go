package api

import (
	"errors"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/id"
	"guichet/internal/limit"
)

// guesses are the buckets of wrong codes. Right ones cost nothing, however many a
// crowd behind one address uses; wrong ones are charged when they turn out to be, so
// who sends a thousand at once owes them and waits as long.
//
// While an event has more wrong codes in a minute than all its buyers mistype, an
// address that mistyped lately is refused and others have one attempt: guessing from
// many addresses gets nowhere, and who has a code gets in.
type guesses struct{ byAddress, byEvent *limit.Buckets }

// mayTry refuses codes from who guesses them, before they are looked up: an answer
// then would tell whether one is right.
func (s *Server) mayTry(c *gin.Context, event id.Event, codes string) error {
	if codes == "" {
		return nil
	}
	now := s.Now()
	wait, ok, fresh := s.guards.codes.byAddress.Left(s.guards.network(c), now)
	if err := refusal(wait, ok, "address"); err != nil {
		return err
	}
	if wait, ok, _ := s.guards.codes.byEvent.Left(event.String(), now); !ok && !fresh {
		return refusal(wait, ok, "event")
	}
	return nil
}

// tried charges a code that the event has not, and passes the error on.
func (s *Server) tried(c *gin.Context, event id.Event, err error) error {
	if errors.Is(err, booking.ErrPromoCode) || errors.Is(err, booking.ErrAccessCode) {
		now := s.Now()
		s.guards.codes.byAddress.Charge(s.guards.network(c), now)
		s.guards.codes.byEvent.Charge(event.String(), now)
	}
	return err
}
