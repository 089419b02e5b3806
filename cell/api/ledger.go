package api

import (
	"bufio"
	"encoding/json"
	"errors"

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
	rows, err := s.Reports.Ledger(c, e.ID, 0, ledgerRows)
	if err != nil {
		return err
	}
	c.Header("Content-Type", "application/jsonl; charset=utf-8")
	c.Header("Content-Disposition", `attachment; filename="`+e.ID.String()+`.ledger.jsonl"`)
	c.Header("Cache-Control", "no-store")
	w := bufio.NewWriter(c.Writer)
	lines := json.NewEncoder(w)
	var last booking.LedgerRow
	for len(rows) > 0 {
		for _, r := range rows {
			if err := lines.Encode(r); err != nil {
				_ = c.Error(err)
				return nil
			}
			last = r
		}
		if rows, err = s.Reports.Ledger(c, e.ID, last.First, ledgerRows); err != nil {
			_ = c.Error(errors.Join(err, w.Flush())) // the answer has begun; the missing seal shows
			return nil
		}
	}
	seal := client.Seal{EventID: e.ID.String(), Last: last.First, Hash: last.Hash, KeyID: s.Signer.KeyID()}
	seal.Signature = s.Signer.Seal(seal.Text())
	_ = lines.Encode(client.LedgerSeal{Seal: seal})
	_ = w.Flush()
	return nil
}
