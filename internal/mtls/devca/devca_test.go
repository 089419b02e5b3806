package devca_test

import (
	"os"
	"testing"
	"time"

	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
)

var euw3 = mtls.Peer{Kind: mtls.Cell, Name: "euw3"}

func TestIssue_keepsWhatIsGoodAndRenewsWhatIsOld(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	issue := func(now time.Time) string {
		t.Helper()
		a, err := devca.Open(dir, now)
		if err != nil {
			t.Fatal(err)
		}
		f, err := a.Issue(euw3, now)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(f.Cert)
		if err != nil {
			t.Fatal(err)
		}
		if i, err := mtls.Open(f); err != nil || i.Self() != euw3 {
			t.Fatalf("the files cannot be used: %v", err)
		}
		return string(text)
	}
	first := issue(now)
	if issue(now.Add(devca.LeafLife/2-time.Minute)) != first {
		t.Error("a certificate that is good was made anew")
	}
	if issue(now.Add(devca.LeafLife/2+time.Minute)) == first {
		t.Error("a certificate that is half over was kept")
	}
	ca, err := os.ReadFile(dir + "/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	second := issue(now.Add(330 * 24 * time.Hour)) // the authority runs out soon
	if after, _ := os.ReadFile(dir + "/ca.pem"); string(after) == string(ca) || second == first {
		t.Error("an authority that runs out was kept")
	}
}

func TestIssue_refusesNamesThatAreNone(t *testing.T) {
	a, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []mtls.Peer{{}, {Kind: mtls.Cell}, {Kind: mtls.Cell, Name: "a/b"}, {Kind: mtls.Hub, Name: "x"}, {Kind: "king", Name: "x"}} {
		if _, err := a.Issue(p, time.Now()); err == nil {
			t.Errorf("%q got a certificate", p)
		}
	}
}
