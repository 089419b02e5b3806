package town

import (
	"os"
	"testing"

	"guichet/internal/mtls"
)

func TestTown_givesEachMachineItsCertificateAndKeepsItWhileItIsGood(t *testing.T) {
	cells, err := ParseCells("euw3,use1")
	if err != nil {
		t.Fatal(err)
	}
	town := &Town{opts: Options{Cells: cells}, state: &state{dir: t.TempDir()}}
	if err := town.identify(); err != nil {
		t.Fatal(err)
	}
	for _, peer := range []mtls.Peer{controlPlanePeer, hubPeer, routerPeer, operatorPeer, cellPeer(cells[0]), cellPeer(cells[1])} {
		i, err := mtls.Open(town.authority.Files(peer))
		if err != nil || i.Self() != peer {
			t.Errorf("%s: %v", peer, err)
		}
	}
	read := func() string {
		t.Helper()
		text, err := os.ReadFile(town.authority.Files(controlPlanePeer).Cert)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first := read()
	again := &Town{opts: town.opts, state: town.state} // opened a second time
	if err := again.identify(); err != nil || read() != first {
		t.Errorf("a second run makes them anew: %v", err)
	}
	if env := again.as(cellPeer(cells[1]), map[string]string{"X": "y"}); env["GUICHET_TLS_CERT"] == "" || env["GUICHET_TLS_KEY"] == "" || env["GUICHET_TLS_CA"] == "" || env["X"] != "y" {
		t.Errorf("a program is told %v", env)
	}
}
