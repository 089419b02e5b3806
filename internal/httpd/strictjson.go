package httpd

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"guichet/internal/kind"
)

// Limits of every request body.
const (
	MaxBody     = 1 << 20 // bytes
	MaxPlanBody = 8 << 20 // bytes, of a seating plan and of nothing else
	maxElements = 10_000  // of one array: "[{},{},…]" costs far more memory than bytes
	maxEchoed   = 64      // bytes of a stranger's field name that we repeat
)

// Errors about bodies.
var (
	ErrBodyTooLarge = kind.TooLarge.New("body_too_large")
	ErrContentType  = kind.UnsupportedMedia.New("unsupported_media_type")
	ErrJSON         = kind.Invalid.New("invalid_json")
	ErrUnknownField = kind.Invalid.New("unknown_field")
	ErrField        = kind.Invalid.New("invalid_field")
	ErrSlow         = kind.TooSlow.New("request_timeout")
	ErrMissing      = kind.Invalid.New("missing_field")
)

// Uncoded refuses a body that is compressed: something else would be read in it.
func Uncoded(w http.ResponseWriter, r *http.Request) error {
	for _, said := range r.Header.Values("Content-Encoding") {
		if said = strings.TrimSpace(said); said != "" && !strings.EqualFold(said, "identity") {
			w.Header().Set("Accept-Encoding", "identity")
			return ErrCoding.With("send the body as it is, without a Content-Encoding")
		}
	}
	return nil
}

// ReadBody reads at most MaxBody bytes.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return readBody(w, r, MaxBody)
}

func readBody(w http.ResponseWriter, r *http.Request, limit int) (body []byte, err error) {
	if err := Uncoded(w, r); err != nil {
		return nil, err
	}
	if n := r.ContentLength; n >= 0 && n <= firstRead {
		body = make([]byte, n)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	}
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, ErrBodyTooLarge.With("a body has at most %d bytes", limit).Field("limit", limit)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, ErrSlow.With("the body did not come in time")
		}
		return nil, ErrJSON.With("the body could not be read to its end")
	}
	return body, nil
}

// HasBody says whether the request has a body, also when no length was said.
func HasBody(r *http.Request) (bool, error) {
	if r.ContentLength > 0 || r.Body == nil || r.Body == http.NoBody {
		return r.ContentLength > 0, nil
	}
	n, err := io.ReadFull(r.Body, make([]byte, 1))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n > 0, err
}

// Names are the members of a JSON object that Unmarshal took.
func Names(body []byte) map[string]bool {
	names := map[string]bool{}
	for parts := (members{raw: bytes.TrimSpace(body), at: 1}); parts.more(); parts.value() {
		names[unquoted(parts.name())] = true
	}
	return names
}

// firstRead bounds the memory that a length alone can ask for: what is said to be
// longer is read as it comes. It is below every limit.
const firstRead = 4 << 10

// DecodeJSON reads a request's body into v, strictly; see Unmarshal. It answers
// the raw body too, which idempotency compares.
func DecodeJSON(c *gin.Context, v any) ([]byte, error) { return decode(c, v, MaxBody) }

// DecodePlan is DecodeJSON with the limit of seating plans.
func DecodePlan(c *gin.Context, v any) ([]byte, error) { return decode(c, v, MaxPlanBody) }

func decode(c *gin.Context, v any, limit int) ([]byte, error) {
	if said := c.GetHeader("Content-Type"); said != "application/json" {
		if ct, _, err := mime.ParseMediaType(said); err != nil || ct != "application/json" {
			return nil, ErrContentType.With("send application/json")
		}
	}
	body, err := readBody(c.Writer, c.Request, limit)
	if err != nil {
		return nil, err
	}
	return body, Unmarshal(body, v)
}

// Unmarshal is JSON as the contract wants it: one value, UTF-8, no unknown or
// repeated names, no required member missing (see Members), no NUL characters (the
// databases cannot store them), and every error points at its place.
func Unmarshal(body []byte, v any) error {
	if !utf8.Valid(body) {
		return ErrJSON.With("the body is not UTF-8")
	}
	if !json.Valid(body) {
		var unread any
		detail := "the body is not one JSON value"
		if err := json.Unmarshal(body, &unread); err != nil {
			detail = err.Error()
		}
		return ErrJSON.With("%s", detail)
	}
	return fill(nil, body, reflect.ValueOf(v).Elem(), "")
}

// fill reads a value. spared names members of the object that may be left out here.
func fill(at *place, raw json.RawMessage, v reflect.Value, spared string) error {
	raw = bytes.TrimSpace(raw)
	if v.Kind() == reflect.Pointer {
		if string(raw) == "null" {
			v.SetZero()
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return fill(at, raw, v.Elem(), spared)
	}
	if v.CanAddr() {
		switch own := v.Addr().Interface().(type) {
		case nullable:
			return fill(at, raw, reflect.ValueOf(own.Named()).Elem(), spared)
		case texted:
			if raw[0] != '"' {
				return fillStruct(at, raw, v, spared)
			}
			var text string
			err := leaf(at, raw, reflect.ValueOf(&text).Elem())
			own.FromText(text)
			return err
		case json.Unmarshaler, encoding.TextUnmarshaler:
			return leaf(at, raw, v)
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		return fillStruct(at, raw, v, spared)
	case reflect.Slice:
		return fillSlice(at, raw, v)
	default:
		return leaf(at, raw, v)
	}
}

// nullable is a member of a merge patch that null clears. Named says that it is there and
// where to read it to, which is a pointer to a pointer.
type nullable interface{ Named() any }

// texted is an object for which older clients send a text alone.
type texted interface{ FromText(text string) }

// fillSlice takes null for no elements, as Go's own clients write it; a required array
// was refused before it came here.
func fillSlice(at *place, raw json.RawMessage, v reflect.Value) error {
	v.SetZero()
	if string(raw) == "null" {
		return nil
	}
	if raw[0] != '[' {
		return ErrField.At(at.String(), "must be an array")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	parts := members{raw: raw, at: 1}
	for i := 0; parts.more(); i++ {
		if i == maxElements {
			return ErrField.At(at.String(), "must have at most %d elements", maxElements).Field("limit", maxElements)
		}
		v.Grow(1)
		v.SetLen(i + 1)
		if err := fill(&place{up: at, index: i}, parts.value(), v.Index(i), ""); err != nil {
			return err
		}
	}
	return nil
}

func leaf(at *place, raw json.RawMessage, v reflect.Value) error {
	if string(raw) == "null" {
		return ErrField.At(at.String(), "must not be null")
	}
	if plain(raw, v) {
		return nil
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		if e := kind.As(err); e != nil {
			return e.At(at.String(), "%s", e.Detail)
		}
		return ErrField.At(at.String(), "must be %s", want(v.Type()))
	}
	if hasNUL(raw) {
		return ErrField.At(at.String(), "must not contain the NUL character")
	}
	return nil
}

// hasNUL finds the escape of NUL in valid JSON, where it cannot stand as it is.
func hasNUL(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			if bytes.HasPrefix(raw[i:], []byte(`\u0000`)) {
				return true
			}
			i++ // what is escaped escapes nothing
		}
	}
	return false
}

func want(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "a time like 2027-05-01T19:30:00+02:00"
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "an integer"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer that is not negative"
	case reflect.Float64, reflect.Float32:
		return "a number"
	default:
		return "a " + t.Name()
	}
}

// escaped writes a name as a part of a JSON pointer.
var escaped = strings.NewReplacer("~", "~0", "/", "~1")

// place is where a value stands: a member of an object, or an element of an array.
// It is written out as a JSON pointer only when something is wrong there; nil is the
// whole body.
type place struct {
	up    *place
	name  []byte // as it stands in the body, quotes included; nil for an element
	index int
}

func (p *place) String() string {
	switch {
	case p == nil:
		return ""
	case p.name == nil:
		return p.up.String() + "/" + strconv.Itoa(p.index)
	default:
		return p.up.String() + "/" + escaped.Replace(unquoted(p.name))
	}
}

// find looks up the field that a name of a body stands for.
func find(fields map[string]int, name []byte) (index int, known bool) {
	if bytes.IndexByte(name, '\\') >= 0 {
		index, known = fields[unquoted(name)]
		return index, known
	}
	index, known = fields[string(name[1:len(name)-1])]
	return index, known
}

func fillStruct(at *place, raw json.RawMessage, v reflect.Value, spared string) error {
	if raw[0] != '{' {
		return ErrField.At(at.String(), "must be an object")
	}
	shape := shapeOf(v.Type(), spared)
	var seen [maxFields]bool
	for parts := (members{raw: raw, at: 1}); parts.more(); {
		here := place{up: at, name: parts.name()}
		index, known := find(shape.index, here.name)
		if !known {
			return ErrUnknownField.At(cut(here.String(), len(at.String())+1+maxEchoed), "is not a field of this call")
		}
		if seen[index] {
			return ErrField.At(here.String(), "is given twice")
		}
		seen[index] = true
		value, m := parts.value(), &shape.members[index]
		if m.NotNull && string(value) == "null" {
			return ErrField.At(here.String(), "must not be null")
		}
		if err := fill(&here, value, v.Field(m.Field), m.Spared); err != nil {
			return err
		}
	}
	return shape.missing(at, &seen)
}

// cut shortens s to n bytes, at the start of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
