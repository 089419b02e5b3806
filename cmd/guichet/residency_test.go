package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"guichet/cell/client"
)

func TestSayResidency_takesNothingForAProofThatIsNone(t *testing.T) {
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		proof  *client.ResidencyProof
		proved bool
		want   string
	}{
		{nil, false, "cannot say"},
		{&client.ResidencyProof{AtHome: true, AskedAt: at, ProvedAt: &at, Ranges: 40}, true, "proved: every replica"},
		{&client.ResidencyProof{AskedAt: at.Add(time.Hour), ProvedAt: &at, Ranges: 40, ReplicasAbroad: 1}, false, "NOT PROVED: last proved 2026-12-01T12:00:00Z"},
		{&client.ResidencyProof{AskedAt: at, Ranges: 40, LeasesAbroad: 1}, false, "never since"},
	} {
		var out strings.Builder
		err := sayResidency(&out, "eu-west-3", client.RegionCell{ID: "euw3", Residency: "Stored in Paris only.", Proof: c.proof})
		if (err == nil) != c.proved || err != nil && !errors.Is(err, errAbroad) || !strings.Contains(out.String(), c.want) {
			t.Errorf("%+v: %v\n%s", c.proof, err, out.String())
		}
	}
}
