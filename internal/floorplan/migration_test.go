package floorplan

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// released are the last migrations before the rule below; they ran everywhere at once.
var released = map[string]string{"cell/store/migrations": "0022", "control-plane/store/migrations": "0002"}

var (
	// contracting takes away, or demands, what the release before does not know of.
	contracting = regexp.MustCompile(`(?i)\bDROP\s+(TABLE|COLUMN|SCHEMA|DEFAULT)\b|\bRENAME\b|\bSET\s+NOT\s+NULL\b|\bALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b|\bADD\s+CONSTRAINT\b`)
	addColumn   = regexp.MustCompile(`(?i)\bADD\s+COLUMN\s+`) // of which one ALTER has many
	newTable    = regexp.MustCompile(`(?i)\bCREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.]+)`)
	uniqueIndex = regexp.MustCompile(`(?i)\bCREATE\s+UNIQUE\s+INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?\w+\s+ON\s+([\w.]+)`)
	comment     = regexp.MustCompile(`(?m)--.*$`)
	// unused is what a file says that takes away what no release asks for any more.
	unused = regexp.MustCompile(`(?m)^-- Contracts: [^\n]{10,}`)
)

// unlike says what in a migration the release before could not live with, "" for nothing.
func unlike(sql string) string {
	if unused.MatchString(sql) {
		return ""
	}
	sql = comment.ReplaceAllString(sql, "")
	if found := contracting.FindString(sql); found != "" {
		return found
	}
	for _, column := range addColumn.Split(sql, -1)[1:] {
		column, _, _ = strings.Cut(column, ";")
		upper := strings.ToUpper(column)
		if strings.Contains(upper, "NOT NULL") && !strings.Contains(upper, "DEFAULT") {
			return column
		}
	}
	made := map[string]bool{}
	for _, t := range newTable.FindAllStringSubmatch(sql, -1) {
		made[t[1]] = true
	}
	for _, index := range uniqueIndex.FindAllStringSubmatch(sql, -1) {
		if !made[index[1]] {
			return index[0]
		}
	}
	return ""
}

// While a release is rolled out, processes of two releases work on one database: a
// migration expands, and what it makes superfluous is taken away by a later release,
// in a file that begins a line with "-- Contracts:" and says since when it is unused.
func TestMigrations_expandFirst(t *testing.T) {
	t.Parallel()
	seen := 0
	for dir, last := range released {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			seen++
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if number := filepath.Base(file)[:4]; number <= last {
				continue
			}
			if found := unlike(string(text)); found != "" {
				t.Errorf("%s: the release before cannot live with %q", file, found)
			}
		}
	}
	if seen < 25 {
		t.Errorf("saw only %d migrations", seen)
	}
}

func TestUnlike_findsWhatTheReleaseBeforeCannotLiveWith(t *testing.T) {
	t.Parallel()
	for sql, good := range map[string]bool{
		`ALTER TABLE a.b ADD COLUMN IF NOT EXISTS c text NOT NULL DEFAULT '';`:                  true,
		`ALTER TABLE a.b ADD COLUMN c text;`:                                                    true,
		`ALTER TABLE a.b ADD COLUMN c text NOT NULL;`:                                           false,
		`ALTER TABLE a.b DROP COLUMN c;`:                                                        false,
		"ALTER TABLE a.b ADD COLUMN c text NOT NULL DEFAULT '',\n\tADD COLUMN d text NOT NULL;": false,
		"-- Contracts: nothing has asked for c since 0031\nALTER TABLE a.b DROP COLUMN c;":      true,
		"-- DROP COLUMN c comes later\nCREATE TABLE a.d (e text);":                              true,
		`ALTER TABLE a.b ALTER COLUMN c TYPE bigint;`:                                           false,
		`ALTER TABLE a.b ALTER COLUMN c SET NOT NULL;`:                                          false,
		`ALTER TABLE a.b RENAME COLUMN c TO d;`:                                                 false,
		`CREATE TABLE IF NOT EXISTS a.d (e text); CREATE UNIQUE INDEX f ON a.d (e);`:            true,
		`CREATE UNIQUE INDEX IF NOT EXISTS f ON a.b (e);`:                                       false,
		`DROP INDEX IF EXISTS a.f;`:                                                             true,
	} {
		if found := unlike(sql); (found == "") != good {
			t.Errorf("%s: found %q", sql, found)
		}
	}
}
