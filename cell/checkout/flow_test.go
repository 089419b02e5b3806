package checkout_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"guichet/cell/checkout"
	"guichet/cell/saga"
)

var update = flag.Bool("update", false, "draw docs/checkout.md again")

var allFlows = []string{checkout.PurchaseFlow, checkout.CancelFlow, checkout.RefundFlow, checkout.CancellationFlow, checkout.RescheduleFlow}

// arn and refPath are asl-validator's own formats, which JSON Schema does not know.
var (
	arn     = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):([^:\n]+):([^:\n]*):(\d*):(([^:/*]+([:/].*[^:/]+)?))$`)
	refPath = regexp.MustCompile(`^\$\$?(\.[A-Za-z_][A-Za-z0-9_]*|\['[^']+'\]|\[\d+\])*$`)
)

// noJSONata is ^(?!\\{% )(.+)(?! %\\})$.
type noJSONata struct{}

func (noJSONata) MatchString(s string) bool { return s != "" && !strings.HasPrefix(s, "{% ") }
func (noJSONata) String() string            { return "no JSONata" }

// aslSchema is the schema of asl-validator (testdata/asl), the public judge of
// Amazon States Language.
func aslSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseRegexpEngine(func(pattern string) (jsonschema.Regexp, error) {
		if strings.Contains(pattern, "(?!") { // RE2 has no such thing; the one there is means "no JSONata"
			return noJSONata{}, nil
		}
		return regexp.Compile(pattern)
	})
	like := func(r *regexp.Regexp) func(any) error {
		return func(v any) error {
			if s, ok := v.(string); ok && !r.MatchString(s) {
				return os.ErrInvalid
			}
			return nil
		}
	}
	for name, check := range map[string]func(any) error{
		"asl_arn": like(arn), "asl_ref_path": like(refPath), "asl_path": like(refPath), "asl_result_path": like(refPath),
		"asl_payload_template": func(any) error { return nil }, "jsonata_string": func(any) error { return nil },
	} {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: check})
	}
	files, err := filepath.Glob("testdata/asl/*.json")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(file, err)
		}
		if err := c.AddResource("http://asl-validator.cloud/"+filepath.Base(file), doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile("http://asl-validator.cloud/state-machine.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// spoken says at each state which language its machine speaks, as asl-validator
// does before it asks its schema.
func spoken(doc any) any {
	switch v := doc.(type) {
	case map[string]any:
		for name, inner := range v {
			if states, ok := inner.(map[string]any); ok && name == "States" {
				for _, state := range states {
					if s, ok := state.(map[string]any); ok && s["QueryLanguage"] == nil {
						s["QueryLanguage"] = "JSONPath"
					}
				}
			}
			spoken(inner)
		}
	case []any:
		for _, inner := range v {
			spoken(inner)
		}
	}
	return doc
}

func TestFlows_areValidAmazonStatesLanguage(t *testing.T) {
	t.Parallel()
	schema := aslSchema(t)
	files, err := filepath.Glob("*.asl.json")
	if err != nil || len(files) != len(allFlows) {
		t.Errorf("%v: %v", files, err)
	}
	for _, name := range allFlows {
		text, err := checkout.Flow(name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(spoken(doc)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The judge can say no.
	for _, broken := range [][2]string{
		{`"Type": "Task"`, `"Type": "Tusk"`},
		{`"StartAt": "ExtendHold"`, `"StartsAt": "ExtendHold"`},
		{`"arn:aws:states:::activity:settle"`, `"settle"`},
		{`"ErrorEquals": ["States.ALL"]`, `"Errors": ["States.ALL"]`},
		{`"$.look.pause"`, `"look.pause"`},
	} {
		text, err := checkout.Flow(checkout.PurchaseFlow)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), broken[0], broken[1], 1)
		var doc any
		if err := json.Unmarshal([]byte(changed), &doc); err != nil || changed == string(text) {
			t.Fatalf("%v: %v", broken, err)
		}
		if schema.Validate(spoken(doc)) == nil {
			t.Errorf("a flow with %s is valid", broken[1])
		}
	}
}

// The validator itself, where it is installed: npm install --prefix .cache/asl asl-validator@4.0.0
func TestFlows_passTheValidatorItself(t *testing.T) {
	t.Parallel()
	tool, err := filepath.Abs("../../.cache/asl/node_modules/asl-validator/dist/bin/asl-validator.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Skip("SKIPPED: asl-validator is not installed in .cache/asl; its schemas in testdata were asked instead")
	}
	for _, name := range allFlows {
		if out, err := exec.CommandContext(t.Context(), "node", tool, "--json-path", name+".asl.json").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

const drawn = "../../docs/checkout.md"

// flowMark is where a drawing stands, with the drawing when there is one.
var flowMark = regexp.MustCompile("(?s)<!-- flow: ([a-z-]+) -->\n(?:```mermaid\n.*?```\n)?")

func TestDiagram_isDrawnFromTheFlows(t *testing.T) {
	t.Parallel()
	before, err := os.ReadFile(drawn)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	after := flowMark.ReplaceAllStringFunc(string(before), func(mark string) string {
		name := flowMark.FindStringSubmatch(mark)[1]
		text, err := checkout.Flow(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := saga.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		return "<!-- flow: " + name + " -->\n```mermaid\n" + m.Diagram() + "```\n"
	})
	if seen != len(allFlows) {
		t.Errorf("%d of %d flows are drawn", seen, len(allFlows))
	}
	if after == string(before) {
		return
	}
	if !*update {
		t.Fatalf("%s is not current; draw it again: go test ./cell/checkout -run Diagram -update", drawn)
	}
	if err := os.WriteFile(drawn, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}
