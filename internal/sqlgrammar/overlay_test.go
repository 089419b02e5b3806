package sqlgrammar

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/parser"
	"github.com/cockroachdb/cockroachdb-parser/pkg/sql/sem/tree"
)

// overlayRoom holds the statements for CockroachDB alone. They are held to a list of
// their own: what may be said of regions, localities and ages of rows, and nothing of the rows themselves.
const overlayRoom = "internal/sqldb/overlay"

var (
	overlayStatements = words(`SetVar AlterDatabasePrimaryRegion AlterDatabaseSurvivalGoal AlterDatabasePlacement AlterDatabaseAddRegion
		AlterTable AlterTableLocality Select Insert Delete`)
	overlayCommands = words(`AlterTableSetStorageParams`)
	overlayShows    = words(`ShowCreate ShowRegions ShowRanges`)
	overlaySettings = words(`enable_multiregion_placement_policy`)
	overlayParams   = words(`schema_locked ttl_expiration_expression ttl_job_cron`)
	// overlayTables are the tables whose rows may be read and written: the memory of what was done.
	overlayTables = words(`public.guichet_migration`)
)

func typeName(v any) string { return reflect.Indirect(reflect.ValueOf(v)).Type().Name() }

// checkOverlay says what is wrong with a statement for CockroachDB alone.
func checkOverlay(text string) (wrong []string) {
	parsed, err := parse(text)
	if err != nil {
		return []string{"CockroachDB's grammar: " + err.Error()}
	}
	if name := typeName(parsed); !overlayStatements[name] {
		return []string{name + " is not on the overlay's list"}
	}
	refuse := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Sprintf(format, args...))
		}
	}
	var sources func(v reflect.Value)
	sources = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Interface, reflect.Pointer:
			if v.IsNil() {
				return
			}
			switch n := v.Interface().(type) {
			case *tree.TableName:
				refuse(overlayTables[n.String()] || n.String() == "the_table", "table %s is not the overlay's", n)
				return
			case *tree.StatementSource:
				refuse(overlayShows[typeName(n.Statement)], "%s is not on the overlay's list", typeName(n.Statement))
				return
			}
			sources(v.Elem())
		case reflect.Slice:
			for i := range v.Len() {
				sources(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					sources(v.Field(i))
				}
			}
		default: // holds nothing further
		}
	}
	switch n := parsed.(type) {
	case *tree.SetVar:
		refuse(overlaySettings[n.Name], "setting %s is not on the overlay's list", n.Name)
	case *tree.AlterTable:
		for _, cmd := range n.Cmds {
			refuse(overlayCommands[typeName(cmd)], "%s is not on the overlay's list", typeName(cmd))
			if set, ok := cmd.(*tree.AlterTableSetStorageParams); ok {
				for _, p := range set.StorageParams {
					refuse(overlayParams[p.Key], "parameter %s is not on the overlay's list", p.Key)
				}
			}
		}
	case *tree.Select, *tree.Insert, *tree.Delete:
		sources(reflect.ValueOf(parsed))
	}
	return wrong
}

func TestOverlay_saysWhatCockroachDBAloneIsToldAndNothingElse(t *testing.T) {
	t.Parallel()
	found, wrong := inDir(t, overlayRoom)
	for _, w := range wrong {
		t.Error(w)
	}
	if len(found) < 12 {
		t.Errorf("only %d statements were found", len(found))
	}
	for _, s := range found {
		for _, w := range checkOverlay(s.text) {
			t.Errorf("%s: %s\n%s", s.where, w, s.text)
		}
	}
	for text, want := range map[string]string{
		`SELECT order_id FROM checkout.orders`:                            "checkout.orders",
		`DELETE FROM booking.answer`:                                      "booking.answer",
		`SELECT 1 FROM [SHOW JOBS]`:                                       "ShowJobs",
		`ALTER TABLE the_table SET (exclude_data_from_backup = true)`:     "exclude_data_from_backup",
		`ALTER TABLE the_table DROP COLUMN a`:                             "AlterTableDropColumn",
		`SET lock_timeout = 0`:                                            "lock_timeout",
		`DROP DATABASE the_database`:                                      "DropDatabase",
		`ALTER DATABASE the_database PLACEMENT`:                           "grammar",
		`ALTER TABLE bus.outbox SET LOCALITY REGIONAL BY ROW AS no where`: "grammar",
	} {
		if got := checkOverlay(text); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s\n  wanted a complaint with %q, got %q", text, want, got)
		}
	}
}

// What TTL is told is text to the statement that tells it; it must read as well.
func TestOverlay_expressionsOfRowTTLAreExpressions(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`((created_at AT TIME ZONE 'UTC') + INTERVAL '86400 seconds') AT TIME ZONE 'UTC'`,
		`CASE WHEN outcome = 'waiting' THEN NULL ELSE ((received_at AT TIME ZONE 'UTC') + INTERVAL '7776000 seconds') AT TIME ZONE 'UTC' END`,
	} {
		if _, err := parser.ParseExpr(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
