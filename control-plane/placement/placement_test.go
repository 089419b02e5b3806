package placement_test

import (
	"errors"
	"strings"
	"testing"

	"guichet/control-plane/placement"
	"guichet/control-plane/topology"
)

const event = "evt_euw3_k3v9x2m4q7rt"

func TestHome_isWhereTheEventWasBorn(t *testing.T) {
	t.Parallel()
	p, err := placement.Home(event)
	if err != nil || p.Home != "euw3" || p.Epoch != placement.FirstEpoch || p.State != topology.Serving {
		t.Errorf("got %+v %v", p, err)
	}
	for _, bad := range []string{"", "evt", "org_euw3_k3v9x2m4q7rt", event + "_8h2kd0q1w5zz9c6v", "evt_EUW3_k3v9x2m4q7rt"} {
		if _, err := placement.Home(bad); !errors.Is(err, placement.ErrNotAnEvent) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestDecide_theEpochGrowsByOneOrNothingHappens(t *testing.T) {
	t.Parallel()
	here, _ := placement.Home(event)
	moved := topology.Placement{EventID: event, Home: "use1", Epoch: 5, State: topology.Serving}
	for name, tc := range map[string]struct {
		now     topology.Placement
		seen    topology.Epoch
		total   int
		serving bool
		want    error
	}{
		"first move":                   {here, 1, 0, true, nil},
		"another move":                 {moved, 5, 1, true, nil},
		"moved when the table is full": {moved, 5, placement.MaxPlacements, true, nil},
		"older epoch":                  {moved, 4, 1, true, placement.ErrChanged},
		"epoch of the future":          {moved, 6, 1, true, placement.ErrChanged},
		"cell that is not there":       {here, 1, 0, false, placement.ErrNoSuchCell},
		"table is full":                {here, 1, placement.MaxPlacements, true, placement.ErrFull},
	} {
		got, err := placement.Decide(placement.Request{OperationID: "op", EventID: event, To: "apn1", Seen: tc.seen}, tc.now, tc.total, tc.serving)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if tc.want == nil && (got.Epoch != tc.now.Epoch+1 || got.Home != "apn1") {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestRequest_isCheckedBeforeAnythingIsRead(t *testing.T) {
	t.Parallel()
	good := placement.Request{OperationID: "op-1", EventID: event, To: "use1", Seen: 1}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*placement.Request){
		"no operation":   func(r *placement.Request) { r.OperationID = "" },
		"long operation": func(r *placement.Request) { r.OperationID = strings.Repeat("x", placement.MaxOperationID+1) },
		"bad event":      func(r *placement.Request) { r.EventID = "evt_x" },
		"bad cell":       func(r *placement.Request) { r.To = "Paris" },
		"no epoch":       func(r *placement.Request) { r.Seen = 0 },
	} {
		r := good
		spoil(&r)
		if r.Check() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}
