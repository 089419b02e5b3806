package api

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/internal/httpd"
)

// generator collects the schemas of openapi.json.
type generator struct {
	schemas  object
	requests map[requestKey]string // names of components
}

type requestKey struct {
	of     reflect.Type
	spared string
}

// schema is the JSON schema of a wire type; named structs become components.
func (g *generator) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Kind() == reflect.Pointer:
		return object{"anyOf": []object{g.schema(t.Elem()), {"type": "null"}}}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		s := object{"type": "string"}
		maps.Copy(s, enumOf(t))
		return s
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(t.Elem())}
	case reflect.Struct:
		return g.component(t)
	default:
		return object{}
	}
}

func (g *generator) component(t reflect.Type) object {
	name := componentName(t)
	if _, done := g.schemas[name]; done {
		return ref(name)
	}
	g.schemas[name] = object{} // a type that holds itself ends here
	props, required := g.fields(t)
	s := object{"type": "object", "properties": props}
	if len(required) > 0 {
		s["required"] = required
	}
	g.schemas[name] = s
	return ref(name)
}

// fields are a struct's fields by their JSON names, with those of embedded ones.
func (g *generator) fields(t reflect.Type) (props object, required []string) {
	props = object{}
	for f := range t.Fields() {
		field, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && field == "" {
			inner, must := g.fields(f.Type)
			maps.Copy(props, inner)
			required = append(required, must...)
			continue
		}
		if field == "" || field == "-" {
			continue
		}
		props[field] = faceted(answerFacets, t, field, g.schema(f.Type))
		if !strings.Contains(opts, "omit") {
			required = append(required, field)
		}
	}
	return props, required
}

// request is the JSON schema of a value in a request, which has other members than in an
// answer: httpd.Members says which, and which of them are required.
func (g *generator) request(t reflect.Type, spared string) object {
	switch {
	case t == reflect.TypeFor[client.PlanText]():
		return object{"anyOf": []object{{"type": "string"}, g.requestObject(t, spared)}}
	case t.Kind() == reflect.Pointer:
		return orNull(g.request(t.Elem(), spared))
	case reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ Named() any }]()):
		value, _ := t.FieldByName("Value")
		return g.request(value.Type, spared) // a pointer
	case t == reflect.TypeFor[time.Time](), t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return g.schema(t)
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": g.request(t.Elem(), "")}
	case t.Kind() == reflect.Struct:
		return g.requestObject(t, spared)
	}
	return g.schema(t)
}

func orNull(s object) object { return object{"anyOf": []object{s, {"type": "null"}}} }

func (g *generator) requestObject(t reflect.Type, spared string) object {
	key := requestKey{t, spared}
	if name, done := g.requests[key]; done {
		return ref(name)
	}
	name := componentName(t)
	if spared != "" {
		name += "Template"
	}
	if _, taken := g.schemas[name]; taken {
		name += "Input"
	}
	if g.requests == nil {
		g.requests = map[requestKey]string{}
	}
	g.requests[key] = name
	g.schemas[name] = object{}
	props, required := object{}, []string{}
	for _, m := range httpd.Members(t, spared) {
		f := t.Field(m.Field).Type
		if m.NotNull && f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		s := g.request(f, m.Spared)
		if f.Kind() == reflect.Slice && !m.NotNull {
			s = orNull(s)
		}
		props[m.Name] = faceted(requestFacets, t, m.Name, s)
		if m.Required {
			required = append(required, m.Name)
		}
	}
	s := object{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	g.schemas[name] = s
	return ref(name)
}

func ref(component string) object { return object{"$ref": "#/components/schemas/" + component} }

func componentName(t reflect.Type) string {
	name := t.Name()
	if base, arg, generic := strings.Cut(name, "["); generic {
		arg = strings.TrimSuffix(arg, "]")
		name = base + "Of" + arg[strings.LastIndexByte(arg, '.')+1:]
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
