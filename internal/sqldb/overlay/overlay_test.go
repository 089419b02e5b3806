package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// script stands for a CockroachDB: it answers questions by what they contain, and
// notes what it is told to do.
type script struct {
	answers map[string][]string
	found   []Range
	did     []string
}

func (s *script) exec(_ context.Context, sql string, args ...any) error {
	s.did = append(s.did, strings.TrimSpace(sql+" "+strings.Trim(fmt.Sprintf("%v", args), "[]")))
	return nil
}

func (s *script) texts(_ context.Context, sql string, args ...any) ([]string, error) {
	for part, answer := range s.answers {
		if strings.Contains(sql+fmt.Sprintf("%v", args), part) {
			return answer, nil
		}
	}
	return nil, nil
}

func (s *script) ranges(_ context.Context, sql string) ([]Range, error) {
	s.did = append(s.did, sql)
	return s.found, nil
}

func (s *script) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.did, want) {
		t.Errorf("did\n  %s\nwant\n  %s", strings.Join(s.did, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestSettle_makesTheRegionTheOnlyPlaceOfTheRows(t *testing.T) {
	t.Parallel()
	s := &script{answers: map[string][]string{
		"SHOW REGIONS": {"eu-west-3", "us-east-1"}, "current_database": {"guichet"}, `DATABASE "guichet"]`: {"CREATE DATABASE guichet"},
	}}
	if err := settle(t.Context(), s, "eu-west-3"); err != nil {
		t.Fatal(err)
	}
	s.want(t, "SET enable_multiregion_placement_policy = on", `ALTER DATABASE "guichet" SET PRIMARY REGION "eu-west-3"`,
		`ALTER DATABASE "guichet" SURVIVE ZONE FAILURE`, `ALTER DATABASE "guichet" PLACEMENT RESTRICTED`)
}

func TestSettle_leavesAloneWhatStands(t *testing.T) {
	t.Parallel()
	s := &script{answers: map[string][]string{
		"SHOW REGIONS": {"eu-west-3"}, "current_database": {"guichet"},
		`DATABASE "guichet"]`: {`CREATE DATABASE guichet PRIMARY REGION = "eu-west-3" REGIONS = "eu-west-3" SURVIVE ZONE FAILURE PLACEMENT RESTRICTED`},
	}}
	if err := settle(t.Context(), s, "eu-west-3"); err != nil {
		t.Fatal(err)
	}
	s.want(t, "SET enable_multiregion_placement_policy = on")
}

func TestSettle_withoutLocalitiesSaysSoAndChangesNothing(t *testing.T) {
	t.Parallel()
	for _, regions := range [][]string{nil, {"us-east-1"}} {
		s := &script{answers: map[string][]string{"SHOW REGIONS": regions}}
		if err := settle(t.Context(), s, "eu-west-3"); !errors.Is(err, ErrNoLocality) {
			t.Errorf("got %v, want to hear of localities", err)
		}
		s.want(t)
	}
}

func TestEverywhere_makesTablesGlobalInAllRegions(t *testing.T) {
	t.Parallel()
	s := &script{answers: map[string][]string{
		"SHOW REGIONS": {"eu-west-3", "us-east-1"}, "current_database": {"town"}, "gateway_region": {"us-east-1"},
		`DATABASE "town"]`: {"CREATE DATABASE town"}, `"placement"."event"]`: {"CREATE TABLE placement.event (…)"},
		`"registry"."map"]`: {"CREATE TABLE registry.map (…) LOCALITY GLOBAL"},
	}}
	if err := everywhere(t.Context(), s, []string{"placement.event", "registry.map"}); err != nil {
		t.Fatal(err)
	}
	s.want(t, `ALTER DATABASE "town" SET PRIMARY REGION "us-east-1"`, `ALTER DATABASE "town" ADD REGION IF NOT EXISTS "eu-west-3"`,
		`ALTER TABLE "placement"."event" SET (schema_locked = false)`, `ALTER TABLE "placement"."event" SET LOCALITY GLOBAL`,
		`ALTER TABLE "placement"."event" SET (schema_locked = true)`)
	none := &script{answers: map[string][]string{"current_database": {"town"}, "SHOW CREATE": {"CREATE DATABASE town"}}}
	if err := everywhere(t.Context(), none, []string{"placement.event"}); !errors.Is(err, ErrNoLocality) {
		t.Errorf("got %v, want to hear of localities", err)
	}
	none.want(t)
}

func TestExpire_saysItOncePerRetention(t *testing.T) {
	t.Parallel()
	e := Expiry{Table: "payment.notice", Column: "received_at", After: 90 * 24 * time.Hour, Unless: "outcome = 'waiting'"}
	s := &script{answers: map[string][]string{}}
	if err := expire(t.Context(), s, []Expiry{e}); err != nil {
		t.Fatal(err)
	}
	s.want(t, `ALTER TABLE "payment"."notice" SET (ttl_expiration_expression = 'CASE WHEN outcome = ''waiting'' THEN NULL ELSE `+
		`((received_at AT TIME ZONE ''UTC'') + INTERVAL ''7776000 seconds'') AT TIME ZONE ''UTC'' END', ttl_job_cron = '*/10 * * * *')`,
		`DELETE FROM public.guichet_migration WHERE file = $1 ttl 1 payment.notice`,
		`INSERT INTO public.guichet_migration (file, statement) VALUES ($1, $2) ON CONFLICT (file, statement) DO NOTHING ttl 1 payment.notice 7776000`)
	s = &script{answers: map[string][]string{"ttl 1 payment.notice": {"7776000"}}}
	if err := expire(t.Context(), s, []Expiry{e}); err != nil {
		t.Fatal(err)
	}
	s.want(t)
}

func TestJudge_countsWhatIsNotAtHome(t *testing.T) {
	t.Parallel()
	const home, abroad = "region=eu-west-3,zone=a", "cloud=x,region=us-east-1"
	whole := Range{Lease: home, Replicas: []string{home, "region=eu-west-3,zone=b", "zone=c,region=eu-west-3"}, Voters: 3}
	for name, c := range map[string]struct {
		ranges     []Range
		home, safe bool
		want       string
	}{
		"all at home":           {[]Range{whole, whole}, true, true, ""},
		"nothing was said":      {nil, false, false, "has not said"},
		"a replica abroad":      {[]Range{whole, {Lease: home, Replicas: []string{home, home, abroad}, Voters: 3}}, false, false, "1 have a replica"},
		"a lease abroad":        {[]Range{{Lease: abroad, Replicas: []string{home, home, home}, Voters: 3}}, false, false, "1 are served outside"},
		"a lease nobody knows":  {[]Range{{Replicas: []string{home, home, home}, Voters: 3}}, false, false, "1 are served outside"},
		"replicas nobody knows": {[]Range{{Lease: home, Voters: 3}}, false, false, "1 have a replica"},
		"a region like ours":    {[]Range{{Lease: home, Replicas: []string{"region=eu-west-33"}, Voters: 3}}, false, false, "1 have a replica"},
		"too few voters":        {[]Range{whole, {Lease: home, Replicas: []string{home}, Voters: 1}}, true, false, "1 have fewer than 3"},
	} {
		p := Judge("eu-west-3", c.ranges)
		fault := p.Fault()
		if p.AtHome() != c.home || p.Safe() != c.safe || (fault == nil) != c.safe || fault != nil && !strings.Contains(fault.Error(), c.want) {
			t.Errorf("%s: at home %t, safe %t, %v", name, p.AtHome(), p.Safe(), fault)
		}
	}
}

func TestProve_asksOfItsOwnDatabase(t *testing.T) {
	t.Parallel()
	s := &script{answers: map[string][]string{"current_database": {"guichet"}}, found: []Range{{ID: 1}}}
	p, err := prove(t.Context(), s, "eu-west-3")
	if err != nil || p.Ranges != 1 || p.Region != "eu-west-3" || p.AtHome() {
		t.Errorf("%+v, %v", p, err)
	}
	if len(s.did) != 1 || !strings.Contains(s.did[0], `FROM [SHOW RANGES FROM DATABASE "guichet" WITH DETAILS]`) {
		t.Errorf("asked %q", s.did)
	}
}
