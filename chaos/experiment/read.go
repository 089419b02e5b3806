package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// Limits of an experiment.
const (
	maxText       = 256 << 10
	maxActivities = 50
	maxPause      = 60 // seconds
	MaxExpiry     = 5 * time.Minute
	maxRecovery   = 2 * time.Minute
)

var (
	errDuration = errors.New(`a duration is a text such as "25s"`)
	// ErrRefused marks an experiment that is not run.
	ErrRefused = errors.New("the experiment is refused")
)

// Read reads an experiment in JSON or YAML, puts its configuration in and checks it. What
// set says overrides the configuration's values.
func Read(text []byte, set map[string]string) (*Experiment, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrRefused, maxText)
	}
	doc, err := yaml.YAMLToJSON(text) // JSON is YAML
	if err != nil {
		return nil, fmt.Errorf("%w: it is neither JSON nor YAML: %w", ErrRefused, err)
	}
	var first Experiment
	if err := decode(doc, &first); err != nil {
		return nil, err
	}
	values, err := configuration(first.Configuration, set)
	if err != nil {
		return nil, err
	}
	filled, err := substitute(doc, values)
	if err != nil {
		return nil, err
	}
	e := &Experiment{}
	if err := decode(filled, e); err != nil {
		return nil, err
	}
	return e, e.Check()
}

func decode(doc []byte, e *Experiment) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields() // a guard with a spelling mistake is no guard
	if err := d.Decode(e); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// configuration gives each name its value: what is set, else what the experiment says,
// which is a text, a number or {"type": "env", "key": …, "default": …}.
func configuration(raw map[string]json.RawMessage, set map[string]string) (map[string]string, error) {
	values := map[string]string{}
	for name, value := range raw {
		if fixed, ok := set[name]; ok {
			values[name] = fixed
			continue
		}
		var env struct{ Type, Key, Default string }
		if err := json.Unmarshal(value, &env); err == nil && env.Type == "env" && env.Key != "" {
			if values[name] = os.Getenv(env.Key); values[name] == "" {
				values[name] = env.Default
			}
			continue
		}
		var plain any
		if err := json.Unmarshal(value, &plain); err != nil {
			return nil, fmt.Errorf("%w: configuration %s: %w", ErrRefused, name, err)
		}
		switch plain := plain.(type) {
		case string, float64, bool:
			values[name] = fmt.Sprint(plain)
		default:
			return nil, fmt.Errorf("%w: configuration %s is neither a value nor of type env", ErrRefused, name)
		}
	}
	return values, nil
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)

// substitute replaces ${name} in every text outside of the configuration.
func substitute(doc []byte, values map[string]string) ([]byte, error) {
	var tree map[string]any
	if err := json.Unmarshal(doc, &tree); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var missing []string
	var walk func(any) any
	walk = func(node any) any {
		switch node := node.(type) {
		case string:
			return placeholder.ReplaceAllStringFunc(node, func(found string) string {
				value, ok := values[placeholder.FindStringSubmatch(found)[1]]
				if !ok {
					missing = append(missing, found)
				}
				return value
			})
		case []any:
			for i := range node {
				node[i] = walk(node[i])
			}
		case map[string]any:
			for key := range node {
				node[key] = walk(node[key])
			}
		}
		return node
	}
	for key := range tree {
		if key != "configuration" {
			tree[key] = walk(tree[key])
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, fmt.Errorf("%w: the configuration does not say what %s is", ErrRefused, strings.Join(slices.Compact(missing), ", "))
	}
	return json.Marshal(tree)
}
