package registry_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
)

var noon = time.Date(2027, 5, 1, 12, 0, 0, 0, time.UTC)

func paris(id topology.CellID) topology.Cell {
	return topology.Cell{ID: id, Region: "eu-west-3", URLs: []string{"http://" + string(id) + ":8101"}, Residency: "Paris, France", Keys: []topology.Key{{ID: string(id) + "-1", X: "abc"}}}
}

// join lets a cell in that is invited, and hears one that has joined.
func join(all []registry.Member, c topology.Cell, now time.Time) (registry.Member, error) {
	for _, m := range all {
		if m.ID == c.ID {
			return registry.Announce(all, c, now, now)
		}
	}
	return registry.Admit(all, registry.Invitation{Hash: "x", Cell: c.ID, Region: c.Region, ExpiresAt: now.Add(time.Hour)}, c, "", now, now)
}

func joined(t *testing.T, cells ...topology.Cell) []registry.Member {
	t.Helper()
	var all []registry.Member
	for _, c := range cells {
		m, err := join(all, c, noon)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestJoin_aCellIsOnTheMapWithFullWeightAndItsBeat(t *testing.T) {
	t.Parallel()
	m := joined(t, paris("euw3"))[0].OnMap()
	if m.State != topology.CellServing || m.Weight != 100 || !m.LastBeat.Equal(noon) || len(m.URLs) != 1 || len(m.Keys) != 1 {
		t.Errorf("got %+v", m)
	}
}

func TestJoin_againKeepsWeightAndSiblingsAndTakesNewKeys(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"), paris("euw3b"))
	m, err := registry.Weigh(all, "euw3", registry.Order{Percent: 40, Reason: "drill", ExpiresAt: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	m, _ = registry.Step(m, noon.Add(time.Minute))
	all[0] = m
	again := paris("euw3")
	again.URLs, again.Keys = []string{"http://euw3:8111"}, []topology.Key{{ID: "euw3-2", X: "new"}}
	m, err = join(all, again, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if m.Weight != 40 || m.Target != 40 || len(m.Processes) != 2 || m.Keys[0].ID != "euw3-2" {
		t.Errorf("got %+v", m)
	}
}

func TestJoin_refusesWhatIsNoCell(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"))
	for name, tc := range map[string]struct {
		spoil func(*topology.Cell)
		want  error
	}{
		"bad name":         {func(c *topology.Cell) { c.ID = "Paris" }, topology.ErrBadCell},
		"no region":        {func(c *topology.Cell) { c.Region = "" }, registry.ErrInvalid},
		"no url":           {func(c *topology.Cell) { c.URLs = nil }, registry.ErrInvalid},
		"url of a file":    {func(c *topology.Cell) { c.URLs = []string{"file:///etc/passwd"} }, registry.ErrInvalid},
		"relative url":     {func(c *topology.Cell) { c.URLs = []string{"/v1"} }, registry.ErrInvalid},
		"empty key":        {func(c *topology.Cell) { c.Keys = []topology.Key{{}} }, registry.ErrInvalid},
		"too many keys":    {func(c *topology.Cell) { c.Keys = make([]topology.Key, registry.MaxKeys+1) }, registry.ErrInvalid},
		"another region":   {func(c *topology.Cell) { c.Region = "us-east-1" }, registry.ErrOtherRegion},
		"too many of them": {func(c *topology.Cell) { c.URLs = urls(registry.MaxProcesses + 1) }, registry.ErrFull},
	} {
		c := paris("euw3")
		tc.spoil(&c)
		if _, err := join(all, c, noon); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func urls(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("http://host:%d", 8000+i))
	}
	return out
}

func TestBeat_aSilentCellStaysAndASilentSiblingIsForgotten(t *testing.T) {
	t.Parallel()
	m := joined(t, paris("euw3"))[0]
	m, err := registry.Beat(m, []string{"http://euw3:8111"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	later := noon.Add(24 * time.Hour)
	if still, changed := registry.Step(m, later); changed || len(still.Processes) != 2 {
		t.Errorf("all silent, all stay (P8): %+v", still)
	}
	m, err = registry.Beat(m, []string{"http://euw3:8111"}, later)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Processes) != 1 || m.Processes[0].URL != "http://euw3:8111" || !m.LastBeat().Equal(later) {
		t.Errorf("the silent sibling must go: %+v", m.Processes)
	}
}

func TestWeigh_movesOnePercentAtATimeAndExpires(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"), paris("euw3b"))
	m, err := registry.Weigh(all, "euw3", registry.Order{Percent: 97, Reason: "drill", ExpiresAt: noon.Add(10 * time.Second)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	var seen []int
	for second := range 16 {
		m, _ = registry.Step(m, noon.Add(time.Duration(second)*time.Second))
		seen = append(seen, m.Weight)
	}
	want := []int{100, 99, 98, 97, 97, 97, 97, 97, 97, 97, 98, 99, 100, 100, 100, 100}
	// The expiry at 10 s sets the target back; the way back starts from the last step.
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("weights %v, want %v", seen, want)
	}
	if m.Reason != "" || !m.ExpiresAt.IsZero() || m.Target != 100 {
		t.Errorf("after the expiry: %+v", m)
	}
}

func TestWeigh_aControlPlaneThatSleptCatchesUp(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"), paris("euw3b"))
	m, err := registry.Weigh(all, "euw3", registry.Order{Percent: 0, Reason: "drain", ExpiresAt: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if m.State() != topology.CellDraining || m.Weight != 100 {
		t.Errorf("a drain starts from where it is: %+v", m)
	}
	if m, _ = registry.Step(m, noon.Add(30*time.Second)); m.Weight != 70 {
		t.Errorf("after 30 s: %d", m.Weight)
	}
	if m, _ = registry.Step(m, noon.Add(10*time.Minute)); m.Weight != 0 {
		t.Errorf("after 10 min: %d", m.Weight)
	}
}

func TestWeigh_refusals(t *testing.T) {
	t.Parallel()
	alone := joined(t, paris("euw3"))
	ok := registry.Order{Percent: 50, Reason: "drill", ExpiresAt: noon.Add(time.Hour)}
	for name, tc := range map[string]struct {
		cell  topology.CellID
		spoil func(*registry.Order)
		want  error
	}{
		"last of its region": {"euw3", func(o *registry.Order) { o.Percent = 0 }, registry.ErrLastServingCell},
		"unknown cell":       {"use1", func(*registry.Order) {}, registry.ErrUnknownCell},
		"negative":           {"euw3", func(o *registry.Order) { o.Percent = -1 }, registry.ErrInvalid},
		"above 100":          {"euw3", func(o *registry.Order) { o.Percent = 101 }, registry.ErrInvalid},
		"no reason":          {"euw3", func(o *registry.Order) { o.Reason = "" }, registry.ErrInvalid},
		"no expiry":          {"euw3", func(o *registry.Order) { o.ExpiresAt = time.Time{} }, registry.ErrInvalid},
		"expired":            {"euw3", func(o *registry.Order) { o.ExpiresAt = noon }, registry.ErrInvalid},
		"for ever":           {"euw3", func(o *registry.Order) { o.ExpiresAt = noon.Add(registry.MaxExpiry + 1) }, registry.ErrInvalid},
	} {
		o := ok
		tc.spoil(&o)
		if _, err := registry.Weigh(alone, tc.cell, o, noon); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWeigh_twoCellsOfARegionCannotBothBeDrained(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"), paris("euw3b"))
	drain := registry.Order{Percent: 0, Reason: "drain", ExpiresAt: noon.Add(time.Hour)}
	first, err := registry.Weigh(all, "euw3", drain, noon)
	if err != nil {
		t.Fatal(err)
	}
	all[0] = first
	if _, err := registry.Weigh(all, "euw3b", drain, noon); !errors.Is(err, registry.ErrLastServingCell) {
		t.Errorf("got %v", err)
	}
	if _, err := registry.Leave(all, "euw3b"); !errors.Is(err, registry.ErrLastServingCell) {
		t.Errorf("leave: got %v", err)
	}
}

func TestLeave_staysOnTheMapWithoutWeightAndMayComeBack(t *testing.T) {
	t.Parallel()
	all := joined(t, paris("euw3"), paris("euw3b"))
	m, err := registry.Leave(all, "euw3")
	if err != nil {
		t.Fatal(err)
	}
	if c := m.OnMap(); c.State != topology.CellLeft || c.Weight != 0 {
		t.Errorf("got %+v", c)
	}
	all[0] = m
	back, err := join(all, paris("euw3"), noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if c := back.OnMap(); c.State != topology.CellServing || c.Weight != 100 {
		t.Errorf("got %+v", c)
	}
}
