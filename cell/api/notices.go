package api

import (
	"cmp"
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"guichet/cell/audit"
	"guichet/cell/checkout"
	"guichet/cell/client"
	"guichet/cell/payment"
	"guichet/internal/httpd"
	"guichet/internal/kind"
	"guichet/internal/txn"
)

// replayNotices lets stored notices of the payment provider have their effect again.
func (s *Server) replayNotices(c *gin.Context) error {
	if cell := c.Query("cell"); cell != "" && cell != s.Cell.String() {
		return errParameter.With("this is the cell %s", s.Cell).Field("parameter", "cell")
	}
	var in client.NewReplay
	if _, err := httpd.DecodeJSON(c, &in); err != nil {
		return err
	}
	var since time.Time
	var after string
	switch {
	case (in.ID == "") == (in.Since == nil && in.Cursor == ""):
		return errReplay.At("", "must have either id or since")
	case in.Cursor != "":
		var ok bool
		if since, after, ok = parseCursor(in.Cursor); !ok {
			return errCursor.With("the cursor is not from this list")
		}
	case in.Since != nil:
		since = *in.Since
	}
	if err := s.toReplay(c, in); err != nil {
		return err
	}
	done, err := s.Checkout.Replay(c.Request.Context(), in.ID, since, after)
	if err != nil {
		return err
	}
	page := Page[client.Replayed]{Items: []client.Replayed{}}
	for _, d := range done {
		page.Items = append(page.Items, replayed(c, d))
	}
	if len(done) == checkout.MaxReplay {
		last := done[len(done)-1].Notice
		next := strconv.FormatInt(last.Received.UnixMicro(), 10) + "." + last.ID
		page.NextCursor = &next
	}
	c.JSON(200, page)
	return nil
}

// toReplay notes that an operator lets notices have their effect again: beforehand, as each
// is a transaction of its own.
func (s *Server) toReplay(c *gin.Context, in client.NewReplay) error {
	if in.ID != "" {
		if _, ok, err := s.Checkout.Store.Notice(c.Request.Context(), in.ID); err != nil || !ok {
			return cmp.Or(err, error(checkout.ErrNoticeNotFound.With("no notice %.60q was stored here", in.ID)))
		}
	}
	return s.recorded(c.Request.Context(), txn.None, func(ctx context.Context, _ txn.Tx) error {
		audit.Of(ctx).On("notice", in.ID).Changed(nil, in)
		return nil
	})
}

var errReplay = kind.Invalid.New("invalid_replay")

// replayed says what became of a notice. Why one failed is in the log.
func replayed(c *gin.Context, d checkout.Replayed) client.Replayed {
	v := client.Replayed{ID: d.Notice.ID, Type: d.Notice.Type, Was: string(d.Notice.Outcome), Became: string(d.Became)}
	if d.Err != nil {
		slog.WarnContext(c.Request.Context(), "a notice could not be replayed", slog.String("notice", d.Notice.ID), slog.Any("error", d.Err))
		v.Error = "internal"
		if e := kind.As(d.Err); e != nil {
			v.Error = e.Code
		}
	}
	return v
}

// parseCursor reads the time in microseconds, which is what databases keep, and the id.
func parseCursor(text string) (since time.Time, after string, ok bool) {
	at, id, ok := strings.Cut(text, ".")
	micros, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || micros <= 0 || micros > 1<<53 || id == "" {
		return since, "", false
	}
	return time.UnixMicro(micros).UTC(), id, true
}

// knownNotices are the types that have a label of their own; a stranger's type must
// not make a new one.
var knownNotices = map[string]bool{
	"payment_intent.created": true, "payment_intent.processing": true, "payment_intent.requires_action": true, "payment_intent.succeeded": true,
	"payment_intent.payment_failed": true, "payment_intent.canceled": true, "payment_intent.amount_capturable_updated": true,
	"charge.dispute.created": true, "charge.dispute.updated": true, "charge.dispute.closed": true,
	"charge.dispute.funds_withdrawn": true, "charge.dispute.funds_reinstated": true,
}

// CountNotices counts what becomes of the payment provider's notices, as
// checkout.Service.OnNotice.
func CountNotices(reg prometheus.Registerer) func(noticeType string, became payment.Outcome) {
	notices := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "guichet_payment_notices_total",
		Help: "Notices of the payment provider by type and by what became of them. Many repeated: our answers come too late for it. Waiting that grows: payments are disputed that we were not told of. Other: types this version does not know, kept for a replay.",
	}, []string{"type", "became"})
	reg.MustRegister(notices)
	return func(noticeType string, became payment.Outcome) {
		if !knownNotices[noticeType] {
			noticeType = "other"
		}
		notices.WithLabelValues(noticeType, string(became)).Inc()
	}
}
