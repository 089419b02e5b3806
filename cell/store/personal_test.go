package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	comment   = regexp.MustCompile(`--[^\n]*`)
	newTable  = regexp.MustCompile(`(?s)CREATE TABLE (?:IF NOT EXISTS )?(\S+) \((.*?)\n\);`)
	altered   = regexp.MustCompile(`(?s)ALTER TABLE (\S+)\s+(ADD COLUMN .*?);`)
	newColumn = regexp.MustCompile(`ADD COLUMN (?:IF NOT EXISTS )?([a-z_0-9]+) (?:text|jsonb|bytea)`)
	column    = regexp.MustCompile(`^\s*([a-z_0-9]+) (?:text|jsonb|bytea)`)
	gone      = regexp.MustCompile(`ALTER TABLE (\S+)\s+DROP COLUMN (?:IF EXISTS )?([a-z_0-9]+)`)
)

// textColumns are the columns of text, JSON and bytes that migrations make, by table.
func textColumns(t *testing.T) map[string][]string {
	t.Helper()
	var files []string
	for _, dir := range []string{"migrations", "../../control-plane/store/migrations"} {
		found, err := filepath.Glob(filepath.Join(dir, "*.sql"))
		if err != nil || len(found) == 0 {
			t.Fatal(dir, err)
		}
		files = append(files, found...)
	}
	out := map[string][]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := comment.ReplaceAllString(string(raw), "")
		for _, m := range newTable.FindAllStringSubmatch(text, -1) {
			for line := range strings.SplitSeq(m[2], "\n") {
				if c := column.FindStringSubmatch(line); c != nil {
					out[m[1]] = append(out[m[1]], c[1])
				}
			}
		}
		for _, m := range altered.FindAllStringSubmatch(text, -1) {
			for _, c := range newColumn.FindAllStringSubmatch(m[2], -1) {
				out[m[1]] = append(out[m[1]], c[1])
			}
		}
		for _, m := range gone.FindAllStringSubmatch(text, -1) {
			out[m[1]] = slices.DeleteFunc(out[m[1]], func(name string) bool { return name == m[2] })
		}
	}
	return out
}

// said is a line of the page: the columns of a table that it calls personal and not.
type said struct{ personal, not []string }

func personalPage(t *testing.T) map[string]said {
	t.Helper()
	raw, err := os.ReadFile("../../docs/personal-data.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]said{}
	for line := range strings.SplitSeq(string(raw), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], ".") {
			continue
		}
		names := func(cell string) []string {
			return slices.DeleteFunc(strings.FieldsFunc(cell, func(r rune) bool { return r == ',' || r == ' ' }), func(s string) bool { return s == "–" })
		}
		if strings.TrimSpace(cells[4]) == "" || strings.TrimSpace(cells[5]) == "" {
			t.Errorf("%s: why it is kept and until when must be said", strings.TrimSpace(cells[1]))
		}
		out[strings.TrimSpace(cells[1])] = said{names(cells[2]), names(cells[3])}
	}
	return out
}

// Every column that could hold a person's data was thought about: it stands in
// docs/personal-data.md, once, and the page names no column that is not there.
func TestPersonalData_everyTextColumnIsOnThePage(t *testing.T) {
	t.Parallel()
	columns, page := textColumns(t), personalPage(t)
	total := 0
	for table, names := range columns {
		line, ok := page[table]
		if !ok {
			t.Errorf("docs/personal-data.md says nothing of %s (%s)", table, strings.Join(names, ", "))
			continue
		}
		told := slices.Concat(line.personal, line.not)
		for _, name := range names {
			total++
			if n := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s != name })); n != 1 {
				t.Errorf("docs/personal-data.md names %s.%s %d times, must be once: as personal or as not", table, name, n)
			}
		}
		for _, name := range told {
			if !slices.Contains(names, name) {
				t.Errorf("docs/personal-data.md names %s.%s, which no migration makes", table, name)
			}
		}
	}
	for table := range page {
		if columns[table] == nil {
			t.Errorf("docs/personal-data.md names %s, which no migration makes", table)
		}
	}
	if total < 120 {
		t.Errorf("saw only %d columns", total)
	}
	for table, name := range map[string]string{"checkout.orders": "buyer", "checkout.ticket": "attendee", "payment.notice": "body", "booking.answer": "body"} {
		if !slices.Contains(page[table].personal, name) {
			t.Errorf("%s.%s is personal, whatever the page says", table, name)
		}
	}
}

// The books are append-only: no statement of the store changes or deletes a posting.
func TestPostings_areNeverChangedOrDeleted(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	against := regexp.MustCompile(`(?i)(UPDATE|DELETE\s+FROM|TRUNCATE)\s+payment\.posting|INTO\s+payment\.posting(?s:[^;` + "`" + `]*)DO\s+UPDATE`)
	seen := false
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || strings.Contains(string(text), "INSERT INTO payment.posting")
		if hit := against.Find(text); hit != nil {
			t.Errorf("%s: %s", file, hit)
		}
	}
	if !seen {
		t.Error("no statement inserts postings: this test looks in the wrong place")
	}
	for _, bad := range []string{"UPDATE payment.posting SET amount = 0", "delete from payment.posting", "INSERT INTO payment.posting (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2"} {
		if !against.MatchString(bad) {
			t.Errorf("%q would not be found", bad)
		}
	}
}

// The audit log is append-only too; the one deletion is of what is past its time.
func TestAuditEntries_areDeletedByAgeAloneAndNeverChanged(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	against := regexp.MustCompile(`(?i)(UPDATE|DELETE\s+FROM|TRUNCATE)\s+audit\.entry|INTO\s+audit\.entry(?s:[^;` + "`" + `]*)DO\s+UPDATE`)
	const allowed = "DELETE FROM audit.entry WHERE entry_id IN (SELECT e.entry_id FROM audit.entry AS e\n\tWHERE e.at < statement_timestamp() - $1"
	found := 0
	for _, file := range append(files, more...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range against.FindAllIndex(text, -1) {
			if found++; !strings.HasPrefix(string(text[at[0]:]), allowed) {
				t.Errorf("%s: %s", file, text[at[0]:at[1]])
			}
		}
	}
	if found != 1 {
		t.Errorf("%d statements delete entries, want the one that looks at their age", found)
	}
	for _, bad := range []string{"UPDATE audit.entry SET actor_name = ''", "delete from audit.entry", "INSERT INTO audit.entry (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2"} {
		if !against.MatchString(bad) {
			t.Errorf("%q would not be found", bad)
		}
	}
}
