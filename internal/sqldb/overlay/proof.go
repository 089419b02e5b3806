package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"guichet/internal/sqldb"
)

// The answer is a row for each range: a database of a terabyte has some thousands.
const selectRanges = `SELECT range_id::INT8, coalesce(lease_holder_locality, '')::STRING, coalesce(replica_localities, ARRAY[]::STRING[])::STRING[],
	coalesce(array_length(voting_replicas, 1), 0)::INT8 FROM [SHOW RANGES FROM DATABASE the_database WITH DETAILS]`

// fewestVoters hold a range through the loss of one.
const fewestVoters = 3

// Range is a part of a database's rows with where it is kept. A locality is
// like "region=eu-west-3,zone=a"; "" is not known.
type Range struct {
	ID       int64
	Lease    string   // where the replica is that serves it
	Replicas []string // where all of them are, voters and others
	Voters   int64
}

// Proof is what the database said of where its rows are. The zero value proves nothing.
type Proof struct {
	Region string
	At     time.Time // when it was asked

	Ranges         int
	LeasesAbroad   int // ranges that are served elsewhere, or nobody knows where
	ReplicasAbroad int // ranges with a replica elsewhere
	FewVoters      int // ranges with fewer than three voters
}

// AtHome says that every replica of every range is in the region.
func (p Proof) AtHome() bool { return p.Ranges > 0 && p.LeasesAbroad == 0 && p.ReplicasAbroad == 0 }

// Safe says that every range outlives the loss of a voter, too.
func (p Proof) Safe() bool { return p.AtHome() && p.FewVoters == 0 }

// Fault says what is not as it should be; nil when all is.
func (p Proof) Fault() error {
	switch {
	case p.Ranges == 0:
		return errors.New("the database has not said where its rows are")
	case !p.AtHome():
		return fmt.Errorf("of %d ranges %d are served outside of %s and %d have a replica there", p.Ranges, p.LeasesAbroad, p.Region, p.ReplicasAbroad)
	case p.FewVoters > 0:
		return fmt.Errorf("of %d ranges %d have fewer than %d voters", p.Ranges, p.FewVoters, fewestVoters)
	}
	return nil
}

// Prove asks where the rows are. On PostgreSQL, which cannot say, it is false.
func Prove(ctx context.Context, db *sqldb.DB, region string, now func() time.Time) (p Proof, can bool, err error) {
	err = db.OwnSession(ctx, func(ctx context.Context, engine sqldb.Engine, q sqldb.Querier) error {
		if engine != sqldb.CockroachDB {
			return nil
		}
		can = true
		at := now()
		p, err = prove(ctx, over{q}, region)
		p.At = at
		return err
	})
	return p, can, err
}

func prove(ctx context.Context, s session, region string) (Proof, error) {
	database, err := text(ctx, s, selectName)
	if err != nil {
		return Proof{}, err
	}
	ranges, err := s.ranges(ctx, named(selectRanges, database, "", ""))
	if err != nil {
		return Proof{}, err
	}
	return Judge(region, ranges), nil
}

// Judge counts what is not at home in the region.
func Judge(region string, ranges []Range) Proof {
	p := Proof{Region: region, Ranges: len(ranges)}
	for _, r := range ranges {
		if !within(r.Lease, region) {
			p.LeasesAbroad++
		}
		if len(r.Replicas) == 0 || slices.ContainsFunc(r.Replicas, func(at string) bool { return !within(at, region) }) {
			p.ReplicasAbroad++
		}
		if r.Voters < fewestVoters {
			p.FewVoters++
		}
	}
	return p
}

// within says whether a locality is in the region; one that is not known is not.
func within(locality, region string) bool {
	for tier := range strings.SplitSeq(locality, ",") {
		if key, value, ok := strings.Cut(tier, "="); ok && key == "region" {
			return value == region
		}
	}
	return false
}

func (o over) ranges(ctx context.Context, sql string) ([]Range, error) {
	rows, err := o.q.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("list ranges: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Range, err error) {
		return r, row.Scan(&r.ID, &r.Lease, &r.Replicas, &r.Voters)
	})
	if err != nil {
		return nil, fmt.Errorf("list ranges: %w", err)
	}
	return all, nil
}
