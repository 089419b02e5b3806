package httpd_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/internal/httpd"
	"guichet/internal/mtls"
	"guichet/internal/mtls/devca"
)

const patience = 20 * time.Second

// house serves a few paths that show the middleware.
func house(t *testing.T) *httptest.Server {
	t.Helper()
	e := httpd.NewEngine("cell")
	e.GET("/ok", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	e.POST("/body", func(c *gin.Context) {
		if _, err := httpd.DecodeJSON(c, new(body)); err != nil {
			httpd.Fail(c, err)
			return
		}
		c.Status(http.StatusNoContent)
	})
	e.GET("/panic", func(*gin.Context) { panic("hunter2") })
	e.GET("/abort", func(*gin.Context) { panic(http.ErrAbortHandler) })
	e.GET("/half", func(c *gin.Context) {
		_, _ = c.Writer.WriteString(`{"items":[`)
		panic("in the middle")
	})
	e.GET("/deadline", func(c *gin.Context) {
		at, ok := c.Deadline() // gin asks the request's context
		c.String(http.StatusOK, "%t", ok && time.Until(at) > 0 && time.Until(at) <= 20*time.Second)
	})
	e.GET("/fail", func(c *gin.Context) { httpd.Fail(c, httpd.ErrField.At("/x", "is wrong")) }, func(*gin.Context) { t.Error("a handler ran after Fail") })
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return whole(t, res)
}

// whole reads an answer to its end.
func whole(t *testing.T, res *http.Response) reply {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: res.StatusCode, header: res.Header, text: string(b)}
}

func TestNewEngine_answersStrangePathsAndMethodsWithProblems(t *testing.T) {
	s := house(t)
	if p := read(t, get(t, s.URL+"/nowhere/"+strings.Repeat("x", 5000))); p.Status != 404 || p.Code != "no_such_path" || !strings.Contains(p.Detail, "cell") || len(p.Detail) > 200 {
		t.Errorf("an unknown path gives %+v", p)
	}
	if p := read(t, get(t, s.URL+"/ok/")); p.Status != 404 {
		t.Errorf("a path with a slash too many gives %d, want no redirect", p.Status)
	}
	if p := read(t, get(t, s.URL+"/%00%ff")); p.Status != 404 {
		t.Errorf("a hostile path gives %d", p.Status)
	}
	res := get(t, s.URL+"/body")
	if p := read(t, res); p.Status != 405 || p.Code != "method_not_allowed" || res.header.Get("Allow") != "POST" {
		t.Errorf("a wrong method gives %+v with Allow %q", p, res.header.Get("Allow"))
	}
	if p := read(t, get(t, s.URL+"/fail")); p.Status != 400 || p.Instance == "" {
		t.Errorf("Fail gives %+v", p)
	}
}

func TestNewEngine_refusesBodiesByTheContract(t *testing.T) {
	s := house(t)
	for _, c := range []struct {
		contentType, body string
		status            int
	}{
		{"application/json", `{"text":"a"}`, 204},
		{"application/json", `{"text":"` + strings.Repeat("a", 1<<20-11) + `"}`, 204},
		{"application/json", `{"text":"` + strings.Repeat("a", 1<<20-10) + `"}`, 413},
		{"application/json", strings.Repeat(" ", 4<<20), 413},
		{"application/json", `{"nope":1}`, 400},
		{"text/plain", `{}`, 415},
	} {
		res, err := http.Post(s.URL+"/body", c.contentType, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		got := whole(t, res)
		if got.status != c.status {
			t.Errorf("%d bytes of %s give %d, want %d", len(c.body), c.contentType, got.status, c.status)
		}
		if c.status >= 400 {
			read(t, got)
		}
	}
}

func TestNewEngine_keepsASaneRequestIDAndReplacesOthers(t *testing.T) {
	s := house(t)
	for in, kept := range map[string]bool{
		"abc-DEF_123": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "a\tb": false, "é": false, `a"b`: false, "../../etc": false, "a,b": false,
	} {
		header := []string{httpd.HeaderRequestID, in}
		if in == "" {
			header = nil
		}
		out := get(t, s.URL+"/ok", header...).header.Get(httpd.HeaderRequestID)
		if (out == in) != kept || out == "" || len(out) > 64 {
			t.Errorf("%q became %q", in, out)
		}
	}
	p := read(t, get(t, s.URL+"/nowhere", httpd.HeaderRequestID, "mine"))
	if p.Instance != "urn:guichet:request:mine" {
		t.Errorf("the problem's instance is %q", p.Instance)
	}
}

func TestNewEngine_givesEveryRequestADeadline(t *testing.T) {
	if got := get(t, house(t).URL+"/deadline").text; got != "true" {
		t.Error("the request has no deadline of at most 20 s")
	}
}

func TestNewEngine_turnsAPanicIntoAProblemAndGoesOn(t *testing.T) {
	log := logged(t)
	s := house(t)
	res := get(t, s.URL+"/panic", httpd.HeaderRequestID, "find-me")
	if p := read(t, res); p.Status != 500 || p.Code != "internal" || strings.Contains(p.Detail, "hunter2") || p.Instance != "urn:guichet:request:find-me" {
		t.Errorf("got %+v", p)
	}
	if l := log.String(); !strings.Contains(l, "hunter2") || !strings.Contains(l, "httpd_test.go") || !strings.Contains(l, `"request_id":"find-me"`) {
		t.Errorf("the log has not the panic, its place and the request id: %s", l)
	}
	if got := get(t, s.URL+"/ok").text; got != "ok" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestNewEngine_cutsAnAnswerThatPanickedHalfWay(t *testing.T) {
	logged(t)
	s := house(t)
	for _, path := range []string{"/half", "/abort"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // cut before the header: as good
		}
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil {
			t.Errorf("%s: half an answer passed for a whole one (%d)", path, res.StatusCode)
		}
	}
}

func TestServe_saysClearlyThatThePortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = httpd.Serve(t.Context(), l.Addr().String(), "router", http.NotFoundHandler())
	if !errors.Is(err, httpd.ErrPortInUse) || !strings.Contains(err.Error(), "router") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v, want who, where and why", err)
	}
	if err := httpd.Serve(t.Context(), "nowhere.invalid:x", "router", http.NotFoundHandler()); err == nil || errors.Is(err, httpd.ErrPortInUse) {
		t.Errorf("a bad address gives %v", err)
	}
}

func TestServe_letsARunningRequestFinish(t *testing.T) {
	logged(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	e := httpd.NewEngine("cell")
	e.GET("/slow", func(c *gin.Context) {
		close(entered)
		<-leave
		if err := c.Request.Context().Err(); err != nil {
			t.Errorf("the request was told to stop: %v", err)
		}
		c.String(http.StatusOK, "done")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpd.ServeListener(ctx, l, "cell", e) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	stop()
	for { // nobody new is let in
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
		if err != nil {
			break
		}
		c.Close()
	}
	select {
	case err := <-ended:
		t.Fatalf("the server ended before its request: %v", err)
	default:
	}
	close(leave)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := whole(t, res).text; got != "done" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// Those in front see that a process is not ready before it refuses anybody, and those
// who are inside are served to the end.
func TestClosing_saysItIsNotReadyBeforeItTurnsAnybodyAway(t *testing.T) {
	logged(t)
	health := &httpd.Health{}
	entered, leave := make(chan struct{}), make(chan struct{})
	public := http.NewServeMux()
	public.HandleFunc("GET /quick", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "quick") })
	public.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "slow")
	})
	at := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	door, private := at(), at()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- httpd.Closing{Health: health, Notice: 400 * time.Millisecond}.ServeAll(ctx,
			httpd.Door{Listen: door, Name: "cell", Handler: public},
			httpd.Door{Listen: private, Name: "cell private", Handler: httpd.Private(health, http.NotFoundHandler()), Last: true})
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	ask := func(url string) int {
		res, err := client.Get("http://" + url)
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	until("it never became ready", func() bool { return ask(private+"/readyz") == http.StatusOK && ask(door+"/quick") == http.StatusOK })
	slow := make(chan int, 1)
	go func() { slow <- ask(door + "/slow") }()
	<-entered
	stop()
	until("it stayed ready", func() bool { return ask(private+"/readyz") == http.StatusServiceUnavailable })
	if code := ask(door + "/quick"); code != http.StatusOK {
		t.Errorf("a request in the notice was answered %d", code)
	}
	until("it takes requests for ever", func() bool { return ask(door+"/quick") == 0 })
	if code := ask(private + "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("while requests finish, readiness answers %d", code)
	}
	select {
	case err := <-ended:
		t.Fatalf("it ended before its request: %v", err)
	default:
	}
	close(leave)
	if code := <-slow; code != http.StatusOK {
		t.Errorf("the request under way was answered %d", code)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v, and not with 0", err)
	}
}

func TestPrivate_showsProfilesAndNotTheCommandLine(t *testing.T) {
	t.Parallel()
	h := httpd.Private(new(httpd.Health), http.NotFoundHandler())
	for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/cmdline": 404} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
}

func TestServeListener_saysThatItStopped(t *testing.T) {
	logged(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := httpd.ServeListener(t.Context(), l, "cell", http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "cell stopped serving") {
		t.Errorf("got %v", err)
	}
}

// What stands in front may send many requests over one connection, or one after the other.
func TestServeListener_speaksBothVersionsWithoutTLS(t *testing.T) {
	t.Parallel()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- httpd.ServeListener(ctx, l, "cell", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	}()
	for _, want := range []string{"HTTP/1.1", "HTTP/2.0"} {
		var versions http.Protocols
		versions.SetHTTP1(want == "HTTP/1.1")
		versions.SetUnencryptedHTTP2(want == "HTTP/2.0")
		transport := &http.Transport{Protocols: &versions}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if got := whole(t, res); got.text != want {
			t.Errorf("asked by %s, it answered by %s", want, got.text)
		}
		transport.CloseIdleConnections()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeAll_showsACertificateAndOpensAllDoorsOrNone(t *testing.T) {
	a, err := devca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	open := func(p mtls.Peer, clock func() time.Time) *mtls.Identity {
		t.Helper()
		f, err := a.Issue(p, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		f.Now = clock
		i, err := mtls.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	var late atomic.Int64
	cell, router := mtls.Peer{Kind: mtls.Cell, Name: "euw3"}, mtls.Peer{Kind: mtls.Router, Name: "edge"}
	mine := open(cell, func() time.Time { return time.Now().Add(time.Duration(late.Load())) })
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	public := httpd.Door{Listen: free(), Name: "cell", Handler: hello, Identity: mine, Allow: mtls.Only(router)}
	private := httpd.Door{Listen: free(), Name: "private", Handler: httpd.Private(new(httpd.Health), hello)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpd.ServeAll(ctx, public, private) }()
	client := mtls.HTTP(open(router, nil), mtls.Only(cell))
	deadline := time.Now().Add(patience)
	for {
		res, err := client.Get("https://" + public.Listen)
		if err == nil {
			if got := whole(t, res); got.status != 200 {
				t.Errorf("the router is told %d %s", got.status, got.text)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if got := get(t, "http://"+private.Listen+"/metrics"); got.status != 200 {
		t.Errorf("the private door says %d", got.status)
	}
	if res, err := http.Get("http://" + public.Listen); err == nil && whole(t, res).status == 200 {
		t.Error("the public door serves plain HTTP")
	}
	late.Store(int64(48 * time.Hour)) // the connection stays open and outlives its certificate
	res, err := client.Get("https://" + public.Listen)
	if err == nil {
		if got := whole(t, res); got.status != 401 || !strings.Contains(got.text, "certificate_refused") {
			t.Errorf("over an old connection: %d %s", got.status, got.text)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	busy, err := net.Listen("tcp", private.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := httpd.ServeAll(t.Context(), public, private); !errors.Is(err, httpd.ErrPortInUse) {
		t.Errorf("a door that is taken: %v", err)
	}
}
