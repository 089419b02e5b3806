package api

import (
	"encoding/json"

	"github.com/gin-gonic/gin"

	"guichet/cell/booking"
	"guichet/cell/client"
)

// ledgerRows is how many rows are read at a time.
const ledgerRows = 200

// ledger streams the event's inventory ledger, one JSON document a line, and
// ends with a seal of this cell on the last row's hash. A stream without a seal
// was cut off.
func (s *Server) ledger(c *gin.Context) error {
	e, err := s.ownEvent(c)
	if err != nil {
		return err
	}
	rows, err := s.Reports.Ledger(c.Request.Context(), e.ID, 0, ledgerRows)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "application/jsonl; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="`+e.ID.String()+`.ledger.jsonl"`)
	c.Header("Cache-Control", "no-store")
	out := streaming(c, "ledger")
	lines := json.NewEncoder(out)
	var last booking.LedgerRow
	for len(rows) > 0 {
		for _, r := range rows {
			if err := lines.Encode(r); err != nil {
				out.end(err)
			}
			last = r
		}
		out.send()
		ctx, done := out.reading()
		rows, err = s.Reports.Ledger(ctx, e.ID, last.First, ledgerRows)
		done()
		if err != nil {
			out.end(err)
		}
	}
	seal := client.Seal{EventID: e.ID.String(), Last: last.First, Hash: last.Hash, KeyID: s.Signer.KeyID()}
	seal.Signature = s.Signer.Seal(seal.Text())
	out.end(lines.Encode(client.LedgerSeal{Seal: seal}))
	return nil
}
