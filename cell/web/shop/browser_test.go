package shop_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// One Chromium serves all tests; each test has a browser context of its own, with its
// own cookies.
var (
	chromium     context.Context
	closeBrowser = func() {}
	startOnce    sync.Once
	errStart     error
)

// chromiumPath finds the program.
func chromiumPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// tab is a window of the browser at one house.
type tab struct {
	context.Context //nolint:containedctx // a tab is its context, in chromedp
	h               *house
	faults          *faults
}

// faults are what a page's console said that must not be said: an error of a script, or
// something that the page's policy kept out.
type faults struct {
	mu   sync.Mutex
	list []string
}

func (f *faults) add(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, text)
}

// browse opens a tab. Without Chromium the test is skipped, but not where CI is set:
// there it must be installed (.ci/run does).
func (h *house) browse(t *testing.T) *tab {
	t.Helper()
	startOnce.Do(func() {
		path := chromiumPath()
		if path == "" {
			errStart = fmt.Errorf("there is no Chromium on this machine: apt-get install chromium")
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("lang", "en"))
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		var end context.CancelFunc
		chromium, end = chromedp.NewContext(allocator) //nolint:fatcontext // the one browser of all tests
		closeBrowser = func() { end(); endAllocator() }
		errStart = chromedp.Run(chromium)
	})
	if errStart != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(errStart)
		}
		t.Skipf("NOT TESTED IN A BROWSER: %v", errStart)
	}
	ctx, cancel := newTab(t)
	t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	b := &tab{ctx, h, &faults{}}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			b.faults.add(e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError {
				b.faults.add(fmt.Sprint(e.Args))
			}
		}
	})
	b.run(t, runtime.Enable(), watchPolicy())
	t.Cleanup(func() {
		b.faults.mu.Lock()
		defer b.faults.mu.Unlock()
		for _, f := range b.faults.list {
			t.Errorf("the console says: %s", f)
		}
	})
	return b
}

// newTab opens a tab in a browser context of its own. Each has a window: Chromium without
// one opens no tabs.
func newTab(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	at := cdp.WithExecutor(chromium, chromedp.FromContext(chromium).Browser)
	own, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(at)
	if err != nil {
		t.Fatal(err)
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(at)
	if err != nil {
		t.Fatal(err)
	}
	return chromedp.NewContext(chromium, chromedp.WithTargetID(id))
}

// watchPolicy makes the pages tell of what their policy kept out.
func watchPolicy() chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := cdppage.AddScriptToEvaluateOnNewDocument(`addEventListener("securitypolicyviolation", function (e) { console.error("policy: " + e.violatedDirective + " " + e.blockedURI); });`).Do(ctx)
		return err
	})
}

func (b *tab) run(t testing.TB, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b, actions...); err != nil {
		b.shot(t, "failed-"+strings.ReplaceAll(t.Name(), "/", "-"))
		var where, text string
		_ = chromedp.Run(b, chromedp.Location(&where), chromedp.Text("body", &text))
		t.Fatalf("%v at %s: %.2000s", err, where, text)
	}
}

// go to an address of the house.
func (b *tab) visit(t testing.TB, path string) {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.h.url + path
	}
	b.run(t, chromedp.Navigate(path), chromedp.WaitReady("body"))
}

// window sets the window's width and the colours that the reader prefers.
func (b *tab) window(t testing.TB, width int64, scheme string) {
	t.Helper()
	b.run(t, emulation.SetDeviceMetricsOverride(width, 900, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// shot keeps a picture of the whole page where GUICHET_SCREENSHOTS says, if it does.
func (b *tab) shot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("GUICHET_SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture []byte
	if err := chromedp.Run(b, chromedp.FullScreenshot(&picture, 100)); err != nil {
		t.Logf("no picture: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
		t.Log(err)
	}
}

// says waits until the page says all the texts, whatever page that is by then.
func (b *tab) says(t testing.TB, texts ...string) {
	t.Helper()
	var shown, where string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks, not instead of one
		if chromedp.Run(b, chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &shown), chromedp.Location(&where)) != nil {
			continue // on its way to another page
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(shown, text) }) {
			return
		}
	}
	b.shot(t, "failed-"+strings.ReplaceAll(t.Name(), "/", "-"))
	t.Fatalf("%s does not say %q: %.2000s", where, texts, shown)
}

// click clicks on what may be drawn again at any moment.
func (b *tab) click(t testing.TB, selector string) {
	t.Helper()
	b.becomes(t, `(function (e) { if (!e) return "not there"; e.click(); return "clicked"; })(document.querySelector(`+"`"+selector+"`"+`))`, "clicked")
}

// becomes waits until an expression has a value.
func (b *tab) becomes(t testing.TB, expression, want string) {
	t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) { // between two looks, not instead of one
		if chromedp.Run(b, chromedp.Evaluate(expression, &got)) == nil && got == want {
			return
		}
	}
	t.Fatalf("%s is %q, want %q", expression, got, want)
}

var axeSource = sync.OnceValues(func() (string, error) {
	packed, err := os.ReadFile("testdata/axe.min.js.gz")
	if err != nil {
		return "", err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
})

// accessible holds the page to the rules of axe, and to its window's width.
func (b *tab) accessible(t testing.TB, what string) {
	t.Helper()
	source, err := axeSource()
	if err != nil {
		t.Fatal(err)
	}
	var result string
	var wide bool
	b.run(t, chromedp.Evaluate(source+";0", nil),
		chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + (n.any[0] ? n.any[0].message : "")).join(" | "))))`, &result,
			func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }),
		chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth`, &wide))
	if result != "[]" {
		t.Errorf("%s: axe: %s", what, result)
	}
	if wide {
		var at string
		b.run(t, chromedp.Evaluate(`Array.from(document.querySelectorAll("body *")).filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".hide,svg")).slice(0, 4).map(e => e.tagName + "." + e.className).join(" ")`, &at))
		t.Errorf("%s is wider than its window: %s", what, at)
	}
}
