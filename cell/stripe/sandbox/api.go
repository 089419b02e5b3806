package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"
)

// routes is the whole surface.
func (s *Sandbox) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, d := range map[string]decide{
		"POST /v1/payment_intents":              createIntent,
		"GET /v1/payment_intents":               listIntents,
		"POST /v1/payment_intents/{id}/cancel":  cancelIntent,
		"POST /v1/payment_intents/{id}/capture": captureIntent,
		"POST /v1/refunds":                      createRefund,
		"GET /v1/refunds":                       listRefunds,
		"GET /v1/refunds/{id}":                  getRefund,
		"GET /v1/charges/{id}":                  getCharge,
		"GET /v1/disputes":                      listDisputes,
		"GET /v1/disputes/{id}":                 getDispute,
		"POST /v1/disputes/{id}":                answerDispute,
		"POST /v1/disputes/{id}/close":          closeDispute,
		"POST /v1/accounts":                     createPayee,
		"GET /v1/accounts/{id}":                 getPayee,
		"GET /v1/events":                        listEvents,
		"GET /v1/events/{id}":                   getEvent,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, d, false) })
	}
	// What a buyer's browser may do with a publishable key and the client secret.
	for pattern, d := range map[string]decide{
		"GET /v1/payment_intents/{id}":          getIntent,
		"POST /v1/payment_intents/{id}/confirm": confirmIntent,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, d, true) })
	}
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		f := refuse(http.StatusNotFound, "", "", "Unrecognized request URL (%s: %.100s).", r.Method, r.URL.Path)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeFailure(w, f)
	})
	mux.HandleFunc("GET /sandbox/faults", s.getFaults)
	mux.HandleFunc("POST /sandbox/faults", s.setFaults)
	mux.HandleFunc("POST /sandbox/payments/{id}/{what}", s.pressed)
	mux.HandleFunc("GET /sandbox/authenticate/{id}/{ticket}", s.askBuyer)
	mux.HandleFunc("POST /sandbox/authenticate/{id}/{ticket}", s.hearBuyer)
	mux.HandleFunc("GET /{$}", s.overview)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", s.ready)
	return s.edge(mux)
}

// edge is what every answer has: Stripe's headers and leave for other origins,
// since checkout pages call from the cell's own.
func (s *Sandbox) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			h.Set("Request-Id", "req_"+random(14))
			h.Set("Stripe-Version", apiVersion)
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Stripe-Version")
			h.Set("Access-Control-Expose-Headers", "Request-Id, Idempotent-Replayed")
		}
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// ready says whether effects can be written down.
func (s *Sandbox) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.journal.healthy(); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not_ready", "reasons": []string{err.Error()}})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"status": "ready", "reasons": []string{}})
}

// answer is what goes back, or went back before under the same key.
type answer struct {
	status   int
	body     []byte
	again    bool   // Stripe-Should-Retry
	original string // request that did it, when this is a replay
}

// serve takes one API request through keys, faults, decision and journal.
func (s *Sandbox) serve(w http.ResponseWriter, r *http.Request, d decide, browsers bool) {
	who, f := s.whoAsks(r, browsers)
	if f != nil {
		writeFailure(w, f)
		return
	}
	p, f := readParams(w, r)
	key := ""
	if f == nil && r.Method == http.MethodPost {
		key = strings.TrimSpace(r.Header.Get("Idempotency-Key"))
		if len(key) > maxKey {
			f = invalid("", "Idempotency keys can be at most %d characters long.", maxKey)
		}
	}
	if f != nil {
		writeFailure(w, f)
		return
	}
	faults := s.faults.of(who.cell)
	ans, f := s.once(r, who, key, p, d, faults, w.Header().Get("Request-Id"))
	if r.Method == http.MethodPost && f == nil && chance(faults.TimeoutAfterEffectPercent) {
		s.hang(r.Context())
	}
	if key != "" {
		w.Header().Set("Idempotency-Key", key)
	}
	if f != nil {
		writeFailure(w, f)
		return
	}
	if ans.original != "" {
		w.Header().Set("Idempotent-Replayed", "true")
		w.Header().Set("Original-Request", ans.original)
	}
	w.Header().Set("Stripe-Should-Retry", "false")
	writeRaw(w, ans.status, ans.body)
}

// once lets one request at a time in under an idempotency key.
func (s *Sandbox) once(r *http.Request, who caller, key string, p params, d decide, faults Faults, request string) (answer, *failure) {
	slot := who.cell + " " + key
	if key != "" {
		s.mu.Lock()
		taken := s.busy[slot]
		if !taken {
			s.busy[slot] = true
		}
		s.mu.Unlock()
		if taken {
			return answer{}, &failure{status: http.StatusConflict, again: true, body: errorBody{
				Type: "idempotency_error", Code: "idempotency_key_in_use", DocURL: docs + "idempotency-key-in-use",
				Message: "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through).",
			}}
		}
		defer func() {
			s.mu.Lock()
			delete(s.busy, slot)
			s.mu.Unlock()
		}()
	}
	if err := s.pause(r.Context(), time.Duration(faults.LatencyMS)*time.Millisecond); err != nil {
		return answer{}, apiError(http.StatusServiceUnavailable, "The request was given up: %v", err)
	}
	if chance(faults.Error500Percent) {
		return answer{}, apiError(http.StatusInternalServerError, "An unknown error occurred (injected by the sandbox; nothing was done).")
	}
	c := s.ownCall(r.PathValue("id"), r.URL.Path)
	c.request, c.key, c.base, c.publishable = request, key, s.base(r), who.publishable
	return s.carryOut(who.cell, c, r.Method, p, d)
}

// carryOut decides, writes down and only then answers: nobody is told what a
// crash could undo.
func (s *Sandbox) carryOut(cell string, c call, method string, p params, d decide) (answer, *failure) {
	s.mu.Lock()
	a := s.accounts[cell]
	ans, change, f := s.decideLocked(a, c, method, p, d)
	pos := s.journal.position()
	if f == nil && !change.empty() {
		var err error
		if pos, err = s.commit(a, change); err != nil {
			f = s.broken(err)
		}
	}
	s.mu.Unlock()
	if err := s.journal.wait(pos); err != nil {
		return answer{}, s.broken(err)
	}
	if f == nil {
		s.dispatch(cell, change.Events)
		s.await(cell, change.Intent)
	}
	return ans, f
}

func (s *Sandbox) broken(err error) *failure {
	s.log.Error("the payment sandbox cannot write its journal", slog.Any("error", err))
	return apiError(http.StatusInternalServerError, "The sandbox cannot write its journal; nothing is promised.")
}

// decideLocked gives the remembered answer of the key, or a new one and what it changes.
func (s *Sandbox) decideLocked(a *account, c call, method string, p params, d decide) (answer, change, *failure) {
	asked := fingerprint(method, c.path, p)
	if old, ok := a.replies.get(c.key); ok && c.key != "" && c.now-old.At < int64(replyTTL.Seconds()) {
		if old.Print != asked {
			return answer{}, change{}, &failure{status: http.StatusBadRequest, body: errorBody{Type: "idempotency_error", Message: fmt.Sprintf(
				"Keys for idempotent requests can only be used with the same parameters they were first used with. "+
					"Try using a key other than '%.255s' if you meant to execute a different request.", c.key)}}
		}
		return answer{status: old.Status, body: []byte(old.Body), original: old.Request}, change{}, nil
	}
	out := d(a, c, p)
	a.handOver(&out.change)
	keepFee(out.change.Charge)
	if out.fail != nil && !out.fail.kept {
		return answer{}, change{}, out.fail
	}
	ans := answer{status: http.StatusOK}
	body := out.body
	if out.fail != nil {
		ans.status, ans.again = out.fail.status, out.fail.again
		e := out.fail.body
		if in, ok := e.PaymentIntent.(paymentIntent); ok {
			e.PaymentIntent = visible(in, c)
		}
		body = map[string]any{"error": e}
	}
	if out.fail == nil {
		var f *failure
		if body, f = expand(a, out.change, body, c, p); f != nil {
			return answer{}, change{}, f
		}
	}
	var err error
	if ans.body, err = json.Marshal(body); err != nil {
		return answer{}, change{}, apiError(http.StatusInternalServerError, "The answer has no JSON: %v", err)
	}
	if c.key != "" {
		out.change.Reply = &reply{Key: c.key, Print: asked, Status: ans.status, Body: string(ans.body), Request: c.request, At: c.now}
	}
	s.address(a.name, out.change.Events)
	return ans, out.change, nil
}

// whoAsks finds the account of the key and whether the key may ask this.
func (s *Sandbox) whoAsks(r *http.Request, browsers bool) (caller, *failure) {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		key, _, ok = r.BasicAuth()
	}
	if !ok || key == "" {
		return caller{}, refuse(http.StatusUnauthorized, "", "", "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	}
	who, ok := s.byKey[key]
	if !ok {
		return caller{}, refuse(http.StatusUnauthorized, "", "", "Invalid API Key provided: %s", redacted(key))
	}
	if who.publishable && !browsers {
		return caller{}, refuse(http.StatusUnauthorized, "secret_key_required", "", "This API call cannot be made with a publishable API key. Please use a secret API key.")
	}
	if s.closed.Load() {
		return caller{}, apiError(http.StatusServiceUnavailable, "The sandbox is closing.")
	}
	return who, nil
}

// redacted shows the kind of a key and its last four characters.
func redacted(key string) string {
	if len(key) <= 12 {
		return "****"
	}
	return key[:8] + "****" + key[len(key)-4:]
}

func readParams(w http.ResponseWriter, r *http.Request) (params, *failure) {
	if r.Method == http.MethodGet {
		return parseParams(r.URL.RawQuery)
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.ContentLength != 0 && (err != nil || t != "application/x-www-form-urlencoded") {
		return nil, invalid("", "Invalid request (check that your POST content type is application/x-www-form-urlencoded).")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "", "The request is larger than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, invalid("", "The request could not be read: %v", err)
	}
	return parseParams(string(raw))
}

// base is where a browser finds this sandbox.
func (s *Sandbox) base(r *http.Request) string {
	if s.config.PublicURL != "" {
		return strings.TrimRight(s.config.PublicURL, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// pause waits; the request's end and the sandbox's end it early.
func (s *Sandbox) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return errors.New("the sandbox is closing")
	}
}

// hang keeps the caller waiting and then cuts the connection: what was done is
// done, and he does not know.
func (s *Sandbox) hang(ctx context.Context) {
	_ = s.pause(ctx, maxHang) // however it ends, the connection is cut
	panic(http.ErrAbortHandler)
}

func writeFailure(w http.ResponseWriter, f *failure) {
	if f.again {
		w.Header().Set("Stripe-Should-Retry", "true")
	}
	writeJSON(w, f.status, map[string]any{"error": f.body})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"type":"api_error","message":"no JSON"}}`)
	}
	writeRaw(w, status, b)
}

func writeRaw(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller may be gone; he asks again
}
