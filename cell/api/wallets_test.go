package api_test

import (
	"errors"
	"testing"
	"time"

	"guichet/cell/ticket"
	"guichet/cell/ticket/wallet"
)

// passes stands for keys that only an operator can have; wallet's own tests sign.
type passes struct{ seen []wallet.Pass }

func (p *passes) File(w wallet.Pass) ([]byte, error) {
	p.seen = append(p.seen, w)
	return []byte("PK"), nil
}

func (p *passes) Link(w wallet.Pass, _ time.Time) (string, error) {
	p.seen = append(p.seen, w)
	return "https://pay.google.com/gp/v/save/x", nil
}

func TestWallets_needKeys(t *testing.T) {
	t.Parallel()
	s := open(t).stage(t)
	o := s.paid(t, s.guest, 1)
	path := "GET /v1/tickets/" + o.Tickets[0].ID
	s.ask(t, path+".pkpass", nil).want(t, "404 wallet_not_configured")
	s.ask(t, path+"/google_wallet", nil).want(t, "404 wallet_not_configured")
	box := &passes{}
	s.server.Wallets.Apple, s.server.Wallets.Google = box, box
	s.ask(t, path+".pkpass", nil).want(t, "200")
	s.ask(t, path+"/google_wallet", nil).want(t, "200").looks(t, `{"url":"https://pay.google.com/gp/v/save/x"}`)
	if err := errors.Join(checkPass(box.seen[0], o.Tickets[0].Barcode), checkPass(box.seen[1], o.Tickets[0].Barcode)); err != nil {
		t.Error(err)
	}
	s.ask(t, "POST /v1/orders/"+o.ID+"/cancel", nil).want(t, "200")
	s.ask(t, path+".pkpass", nil).want(t, "409 invalid_state")
	s.ask(t, path+"/google_wallet", nil).want(t, "409 invalid_state")
}

func checkPass(p wallet.Pass, barcode string) error {
	if p.Barcode != barcode || p.Serial != ticket.Mark(barcode) || p.Event != "Nuit de la Musique" || p.Venue != "Salle Pleyel, Paris" || p.Type != "Guest" || !p.Located || p.TimeZone != "Europe/Paris" {
		return errors.New(p.Event + " on a pass of " + p.Venue)
	}
	return nil
}
