package stripe_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stripe/stripe-mock/embedded"
)

// schema is the part of Stripe's published OpenAPI that says what an answer
// looks like. The check is stricter than OpenAPI: a member that Stripe does not
// name is an error, so the sandbox cannot invent any.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Nullable   bool              `json:"nullable"`
	Enum       []any             `json:"enum"`
	AnyOf      []*schema         `json:"anyOf"`
	Properties map[string]schema `json:"properties"`
	Required   []string          `json:"required"`
	Items      *schema           `json:"items"`
	Additional json.RawMessage   `json:"additionalProperties"`
}

var published = sync.OnceValues(func() (map[string]schema, error) {
	var doc struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	err := json.Unmarshal(embedded.OpenAPISpec, &doc)
	return doc.Components.Schemas, err
})

// conforms fails the test where the JSON is not what Stripe publishes under the name.
func conforms(t *testing.T, name string, body []byte) {
	t.Helper()
	all, err := published()
	if err != nil {
		t.Fatal(err)
	}
	s, ok := all[name]
	if !ok {
		t.Fatalf("Stripe publishes no %s", name)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v in %s", name, err, body)
	}
	if err := check(all, s, v, name); err != nil {
		t.Errorf("the sandbox's %s is not Stripe's: %v\n%s", name, err, body)
	}
}

func check(all map[string]schema, s schema, v any, at string) error {
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		return check(all, all[name], v, at)
	}
	if v == nil {
		if s.Nullable {
			return nil
		}
		return fmt.Errorf("%s is null", at)
	}
	if len(s.AnyOf) > 0 {
		var why []string
		for _, one := range s.AnyOf {
			err := check(all, *one, v, at)
			if err == nil {
				return nil
			}
			why = append(why, err.Error())
		}
		return fmt.Errorf("%s is none of its kinds: %s", at, strings.Join(why, "; "))
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%s is %v", at, v)
	}
	if kind := kindOf(v); s.Type != "" && kind != s.Type && (kind != "integer" || s.Type != "number") {
		return fmt.Errorf("%s is %s, should be %s", at, kind, s.Type)
	}
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			if err := check(all, *s.Items, one, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return checkMembers(all, s, v, at)
	}
	return nil
}

func checkMembers(all map[string]schema, s schema, v map[string]any, at string) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s has no %s", at, name)
		}
	}
	if len(s.Properties) == 0 { // metadata and the like: any names
		return nil
	}
	for name, value := range v {
		p, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("%s has a %s that Stripe does not know", at, name)
		}
		if err := check(all, p, value, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "null"
}

func TestSchemaCheck_findsWhatIsWrong(t *testing.T) {
	all, err := published()
	if err != nil {
		t.Fatal(err)
	}
	good := `{"id":"re_1","object":"refund","amount":1,"created":1,"currency":"eur"}`
	for name, body := range map[string]string{
		"missing member": `{"id":"re_1","object":"refund","amount":1,"created":1}`,
		"invented":       `{"id":"re_1","object":"refund","amount":1,"created":1,"currency":"eur","mood":"fine"}`,
		"wrong type":     `{"id":"re_1","object":"refund","amount":"1","created":1,"currency":"eur"}`,
		"wrong enum":     `{"id":"re_1","object":"charge","amount":1,"created":1,"currency":"eur"}`,
		"null":           `{"id":"re_1","object":"refund","amount":null,"created":1,"currency":"eur"}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if check(all, all["refund"], v, "refund") == nil {
			t.Errorf("%s passes", name)
		}
	}
	conforms(t, "refund", []byte(good))
}
