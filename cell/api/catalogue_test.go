package api_test

import (
	"testing"
	"time"

	"guichet/cell/catalog"
	"guichet/cell/catalog/builtin"
)

// TestCatalogue_isTakenAsTheImporterSendsIt holds importer and API to one idea
// of what an event is.
func TestCatalogue_isTakenAsTheImporterSendsIt(t *testing.T) {
	t.Parallel()
	h := open(t)
	org := h.account(t, "Season")
	sum, err := builtin.Read(t.Context(), catalog.Options{Now: time.Now()}, func(row catalog.Row) error {
		if row.Err != nil {
			return row.Err
		}
		h.askRaw(t, "POST /v1/organizers/"+org.ID+"/events", row.Event, bearer(org.APIKey), key(row.Key)).want(t, "201")
		return nil
	})
	if err != nil || sum.Good < 80 || h.count(t, "booking.event") != sum.Good {
		t.Errorf("%+v, %v", sum, err)
	}
}
