package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"guichet/internal/sqldb/overlay"
)

func residencyOf(required bool) *residency {
	return &residency{region: "eu-west-3", required: required, home: make(chan struct{})}
}

// joins says whether the cell joins the town now.
func joins(t *testing.T, r *residency) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	select {
	case <-r.home:
		return true
	default:
		return r.await(ctx)
	}
}

func TestResidency_thatIsRequiredIsProvedBeforeTheCellJoins(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	whole := overlay.Proof{Region: "eu-west-3", At: at, Ranges: 40}
	abroad, thin := whole, whole
	abroad.ReplicasAbroad, thin.FewVoters = 1, 40
	for name, c := range map[string]struct {
		proof         overlay.Proof
		can           bool
		err           error
		joins, inTown bool
	}{
		"at home":                   {whole, true, nil, true, true},
		"a replica is abroad":       {abroad, true, nil, false, true},
		"one node only":             {thin, true, nil, false, true},
		"nothing was said":          {overlay.Proof{At: at}, true, nil, false, true},
		"it could not be asked":     {overlay.Proof{}, false, errors.New("away"), false, true},
		"an engine that cannot say": {overlay.Proof{}, false, nil, false, true},
	} {
		for _, required := range []bool{true, false} {
			r := residencyOf(required)
			r.take(c.proof, c.can, c.err)
			want := c.inTown
			if required {
				want = c.joins
			}
			if got := joins(t, r); got != want {
				t.Errorf("%s, required %t: joins %t", name, required, got)
			}
		}
	}
}

// A missing answer is never read as a proof, and what was proved before stays known with its time.
func TestResidency_tellsWhenItWasLastProved(t *testing.T) {
	t.Parallel()
	r := residencyOf(true)
	if r.View() != nil || r.fault(t.Context()) == nil {
		t.Error("what was never asked is told")
	}
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	r.take(overlay.Proof{Region: "eu-west-3", At: at, Ranges: 40}, true, nil)
	if v := r.View(); !v.AtHome || v.ProvedAt == nil || !v.ProvedAt.Equal(at) || r.fault(t.Context()) != nil {
		t.Errorf("%+v, %v", v, r.fault(t.Context()))
	}
	later := at.Add(time.Minute)
	r.take(overlay.Proof{Region: "eu-west-3", At: later, Ranges: 40, ReplicasAbroad: 2}, true, nil)
	if v := r.View(); v.AtHome || !v.ProvedAt.Equal(at) || !v.AskedAt.Equal(later) || v.ReplicasAbroad != 2 || r.fault(t.Context()) == nil {
		t.Errorf("%+v, %v", v, r.fault(t.Context()))
	}
	r.take(overlay.Proof{}, false, errors.New("away"))
	if v := r.View(); v.AtHome || v.Ranges != 40 {
		t.Errorf("what could not be asked is told as %+v", v)
	}
}
