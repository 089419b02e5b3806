package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"guichet/cell/client"
	"guichet/cell/client/class"
	"guichet/internal/httpd"
)

func (s *Server) openapi(c *gin.Context) error {
	showAs(c, document(), `"`+httpd.Digest(document())+`"`)
	return nil
}

// object is a JSON object of the document.
type object = map[string]any

// document is openapi.json, made once from the routes that are served.
var document = sync.OnceValue(func() []byte {
	g := &generator{schemas: object{}}
	for _, r := range routes { // answers have the plain names
		if r.out != nil {
			g.schema(reflect.TypeOf(r.out))
		}
	}
	paths := object{}
	for _, r := range routes {
		at, ok := paths[r.path].(object)
		if !ok {
			at = object{}
			paths[r.path] = at
		}
		at[strings.ToLower(r.method)] = g.operation(r)
	}
	g.schema(reflect.TypeFor[client.Problem]())
	out, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Guichet", "version": "1",
			"summary":     "Event booking in regional cells.",
			"description": "The same paths at the router and at each cell. X-Guichet-Cell says which cell answered, X-Guichet-Route why. Errors are RFC 9457 problem documents with a stable code.",
			"license":     object{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths": paths,
		"components": object{
			"schemas": g.schemas, "headers": headers,
			"securitySchemes": object{
				"hold":            object{"type": "http", "scheme": "bearer", "description": "the access_token that came with the hold"},
				"order":           object{"type": "http", "scheme": "bearer", "description": "the access_token that came with the order"},
				"ticket":          object{"type": "http", "scheme": "bearer", "description": "the ticket's access_token, from its order or its holder's mail"},
				"link":            object{"type": "http", "scheme": "bearer", "description": "what stands behind the # of a mailed link"},
				string(organizer): object{"type": "http", "scheme": "bearer", "description": "an organizer's API key, or the membership token of a member with the permission"},
				string(signedIn):  object{"type": "http", "scheme": "bearer", "description": "the token of a person who signed in"},
				string(operators): object{"type": "http", "scheme": "bearer", "description": "an operator's token, or the token of a person with that role"},
			},
		},
	}, "", " ")
	if err != nil {
		panic(err) // the document is made of our own literals
	}
	return out
})

func (g *generator) operation(r route) object {
	op := object{"summary": r.doc, "operationId": operationID(r), "responses": g.responses(r)}
	var params []object
	for rest := r.path; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		params = append(params, object{"name": name, "in": "path", "required": true, "schema": pathParam(name)})
		rest = tail
	}
	for _, p := range r.params {
		params = append(params, object{"name": p.name, "in": "query", "description": p.doc, "schema": queryParam(p)})
	}
	if r.key != noKey {
		params = append(params, object{
			"name": "Idempotency-Key", "in": "header", "required": r.key == keyRequired, "description": "1 to 255 visible ASCII characters; the same key and body get the first answer again",
			"schema": object{"type": "string", "minLength": 1, "maxLength": maxKey, "pattern": "^[!-~]+$"},
		})
	}
	if r.match != noMatch {
		params = append(params, object{
			"name": "If-Match", "in": "header", "required": r.match == matchRequired, "description": "the event's ETag, or * for any version",
			"schema": ifMatchSchema(r.match),
		})
	}
	if r.cached {
		params = append(params, object{
			"name": "If-None-Match", "in": "header", "required": false, "description": "an ETag of this answer; 304 when it is still so",
			"schema": object{"type": "string"},
		})
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.in != nil {
		op["requestBody"] = object{"required": true, "content": jsonOf("application/json", g.request(reflect.TypeOf(r.in), ""))}
	}
	if r.foreign {
		op["requestBody"] = object{"required": true, "content": jsonOf("application/json", object{})}
	}
	if r.form {
		op["requestBody"] = object{"required": true, "content": jsonOf("application/x-www-form-urlencoded", object{
			"type": "object", "properties": object{"token": object{"type": "string"}}, "required": []string{"token"},
		})}
	}
	switch {
	case r.auth != public:
		op["security"] = r.security()
	case r.mayAuth:
		op["security"] = []object{{}, {string(organizer): []string{}}}
	}
	return op
}

// security says whose bearer the call takes: any one of them is enough.
func (r *route) security() (schemes []object) {
	for _, scheme := range r.auth.bearers() {
		schemes = append(schemes, object{scheme: []string{}})
	}
	if r.orStaff != "" {
		schemes = append(schemes, object{string(organizer): []string{}})
	}
	return schemes
}

// ifMatchSchema is an ETag of an event. An empty header says as little as none.
func ifMatchSchema(m match) object {
	tag := `\*|"[1-9][0-9]*(-[A-Za-z0-9_+-]+)?"`
	if m == matchOptional {
		tag = "|" + tag
	}
	return object{"type": "string", "pattern": "^(" + tag + ")$"}
}

// pathParam is the schema of a part of a path.
func pathParam(name string) object {
	s := object{"type": "string", "minLength": 1}
	maps.Copy(s, idKinds[name])
	switch name {
	case "code":
		s["pattern"] = "^[A-Za-z0-9_-]{1,40}$"
	case "n":
		s["pattern"] = `^[1-9][0-9]{0,5}\.pdf$`
	}
	return s
}

// queryParam is the schema of a query parameter.
func queryParam(p param) object {
	s := object{"type": p.kind}
	switch p.name {
	case "limit":
		s["minimum"], s["maximum"], s["default"] = 1, 100, 20
	case "price_max":
		s["minimum"] = 0
	case "sort":
		s["enum"] = []string{"", "relevance", "date", "distance"}
	case "status":
		s["enum"] = []string{"", "running", "succeeded", "failed"}
	case "near":
		s["pattern"] = `^(|-?[0-9]+(\.[0-9]+)?,-?[0-9]+(\.[0-9]+)?)$`
	}
	return s
}

func operationID(r route) string {
	words := strings.FieldsFunc(r.path, func(c rune) bool { return strings.ContainsRune("/{}._", c) })
	return strings.ToLower(r.method) + "_" + strings.Join(words[min(1, len(words)-1):], "_")
}

func (g *generator) responses(r route) object {
	ok := object{"description": http.StatusText(r.status), "headers": headersOf(r)}
	switch {
	case r.media != "":
		ok["content"] = object{r.media: object{}}
	case r.out != nil:
		ok["content"] = jsonOf("application/json", g.schema(reflect.TypeOf(r.out)))
	}
	codes := strings.Fields(r.problems)
	codes = append(codes, "unknown_parameter", "invalid_parameter", "busy", "database_unavailable", "outcome_unknown", "timeout", "internal")
	switch class.Of(r.method, r.path) { // the router limits all others, and cells some of them
	case class.Health, class.Webhook, class.Operator:
	default:
		codes = append(codes, "too_many_requests")
	}
	if r.foreign {
		codes = append(codes, "body_too_large", "invalid_json")
	}
	if r.in != nil {
		codes = append(codes, "invalid_json", "unknown_field", "missing_field", "invalid_field", "request_timeout", "body_too_large", "unsupported_media_type")
	}
	if !r.bodyless() {
		codes = append(codes, "unsupported_content_encoding", "request_timeout")
	}
	if r.bodyless() {
		codes = append(codes, "unexpected_body", "invalid_json")
	}
	if r.key == keyRequired {
		codes = append(codes, "idempotency_key_required")
	}
	if r.key != noKey {
		codes = append(codes, "idempotency_key_invalid", "idempotency_key_reused", "in_flight")
	}
	if r.auth != public || r.mayAuth {
		codes = append(codes, "unauthorized", "forbidden", "token_malformed", "token_unknown_key", "token_bad_signature", "token_expired", "token_withdrawn")
	}
	if r.auth == organizer || r.mayAuth || r.orStaff != "" {
		codes = append(codes, "api_key_expired", "api_key_revoked")
	}
	slices.Sort(codes)
	all := object{
		strconv.Itoa(r.status): ok,
		"default": object{
			"description": "A problem with one of these codes: " + strings.Join(slices.Compact(codes), ", "),
			"headers":     object{"Retry-After": headerRef("RetryAfter")},
			"content":     jsonOf(problemMedia, g.schema(reflect.TypeFor[client.Problem]())),
		},
	}
	if slices.Contains(codes, "moved") {
		all["421"] = object{
			"description": "Another cell decides about this; ask there.",
			"content":     jsonOf(problemMedia, g.schema(reflect.TypeFor[client.Moved]())),
		}
	}
	if r.cached {
		all["304"] = object{"description": "What you have is still so.", "headers": headersOf(r)}
	}
	if r.on503 != nil {
		all["503"] = object{
			"description": "Not ready.", "headers": object{"Retry-After": headerRef("RetryAfter")},
			"content": jsonOf("application/json", g.schema(reflect.TypeOf(r.on503))),
		}
	}
	return all
}

const problemMedia = "application/problem+json"

func jsonOf(media string, schema object) object { return object{media: object{"schema": schema}} }

func headerRef(name string) object { return object{"$ref": "#/components/headers/" + name} }

// headersOf are the headers of a route's good answer.
func headersOf(r route) object {
	h := object{"X-Guichet-Cell": headerRef("Cell"), "X-Request-Id": headerRef("RequestID")}
	if r.key != noKey {
		h["Idempotent-Replayed"] = headerRef("Replayed")
	}
	switch _, isEvent := r.out.(client.Event); {
	case isEvent && r.cached:
		h["ETag"] = header("string", "the event's version, for If-Match, with a digest of what is shown, for If-None-Match")
	case isEvent:
		h["ETag"] = headerRef("ETag")
	case r.cached:
		h["ETag"] = header("string", "of what is shown, for If-None-Match")
	}
	if _, aged := r.out.(client.SeatMap); aged {
		h["Age"] = header("integer", "seconds since it was read")
	}
	if r.compressed() {
		h["Vary"] = header("string", "Accept-Encoding: an answer of 1 KiB or more comes in zstd, br or gzip when the request takes it")
	}
	return h
}

// headers are the headers that answers share.
var headers = object{
	"Cell":       header("string", "which cell answered"),
	"RequestID":  header("string", "the request's X-Request-Id, or one made for it"),
	"Replayed":   header("string", "true when this is the first answer to the Idempotency-Key, given again"),
	"ETag":       header("string", "the event's version, for If-Match"),
	"RetryAfter": header("integer", "seconds after which trying again makes sense; always there with 429 and 503"),
}

func header(kind, doc string) object {
	return object{"description": doc, "schema": object{"type": kind}}
}
