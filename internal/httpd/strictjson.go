package httpd

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/internal/kind"
)

// MaxBody bounds every request body, in bytes.
const MaxBody = 1 << 20

// Errors about bodies.
var (
	ErrBodyTooLarge = kind.TooLarge.New("body_too_large")
	ErrContentType  = kind.UnsupportedMedia.New("unsupported_media_type")
	ErrJSON         = kind.Invalid.New("invalid_json")
	ErrUnknownField = kind.Invalid.New("unknown_field")
	ErrField        = kind.Invalid.New("invalid_field")
)

// ReadBody reads at most MaxBody bytes.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, ErrBodyTooLarge.With("a body has at most %d bytes", MaxBody).Field("limit", MaxBody)
		}
		return nil, ErrJSON.With("the body could not be read to its end")
	}
	return body, nil
}

// DecodeJSON reads a request's body into v, strictly; see Unmarshal. It answers
// the raw body too, which idempotency compares.
func DecodeJSON(c *gin.Context, v any) ([]byte, error) {
	if ct, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || ct != "application/json" {
		return nil, ErrContentType.With("send application/json")
	}
	body, err := ReadBody(c.Writer, c.Request)
	if err != nil {
		return nil, err
	}
	return body, Unmarshal(body, v)
}

// Unmarshal is JSON as the contract wants it: one value, UTF-8, no unknown or
// repeated names, no NUL characters (the databases cannot store them), and every
// error points at its place.
func Unmarshal(body []byte, v any) error {
	if !utf8.Valid(body) {
		return ErrJSON.With("the body is not UTF-8")
	}
	if !json.Valid(body) {
		var any any
		detail := "the body is not one JSON value"
		if err := json.Unmarshal(body, &any); err != nil {
			detail = err.Error()
		}
		return ErrJSON.With("%s", detail)
	}
	return fill("", body, reflect.ValueOf(v).Elem())
}

func fill(at string, raw json.RawMessage, v reflect.Value) error {
	raw = bytes.TrimSpace(raw)
	if v.Kind() == reflect.Pointer {
		if string(raw) == "null" {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return fill(at, raw, v.Elem())
	}
	if v.CanAddr() {
		switch v.Addr().Interface().(type) {
		case json.Unmarshaler, encoding.TextUnmarshaler:
			return leaf(at, raw, v)
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		return fillStruct(at, raw, v)
	case reflect.Slice:
		if string(raw) == "null" {
			return nil
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil {
			return ErrField.At(at, "must be an array")
		}
		v.Set(reflect.MakeSlice(v.Type(), len(parts), len(parts)))
		for i, part := range parts {
			if err := fill(at+"/"+strconv.Itoa(i), part, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	default:
		return leaf(at, raw, v)
	}
}

func leaf(at string, raw json.RawMessage, v reflect.Value) error {
	if string(raw) == "null" {
		return ErrField.At(at, "must not be null")
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		if e := kind.As(err); e != nil {
			return e.At(at, "%s", e.Detail)
		}
		return ErrField.At(at, "must be %s", want(v.Type()))
	}
	if v.Kind() == reflect.String && strings.ContainsRune(v.String(), 0) {
		return ErrField.At(at, "must not contain the NUL character")
	}
	return nil
}

func want(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "an integer"
	case reflect.Float64, reflect.Float32:
		return "a number"
	}
	if t.String() == "time.Time" {
		return "a time like 2027-05-01T19:30:00+02:00"
	}
	return "a " + t.Name()
}

func fillStruct(at string, raw json.RawMessage, v reflect.Value) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return ErrField.At(at, "must be an object")
	}
	fields := fieldsOf(v.Type())
	seen := make(map[string]bool, len(fields))
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return ErrJSON.With("%s", err.Error())
		}
		name, _ := t.(string)
		pointer := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		index, known := fields[name]
		if !known {
			return ErrUnknownField.At(pointer, "is not a field of this call")
		}
		if seen[name] {
			return ErrField.At(pointer, "is given twice")
		}
		seen[name] = true
		var part json.RawMessage
		if err := dec.Decode(&part); err != nil {
			return ErrJSON.With("%s", err.Error())
		}
		if err := fill(pointer, part, v.Field(index)); err != nil {
			return err
		}
	}
	return nil
}

func fieldsOf(t reflect.Type) map[string]int {
	m := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		m[name] = i
	}
	return m
}
