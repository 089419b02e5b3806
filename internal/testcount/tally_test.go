package main

import (
	"strings"
	"testing"
)

const run1 = `go: downloading something
{"Action":"start","Package":"a"}
{"Action":"run","Package":"a","Test":"TestTable"}
{"Action":"run","Package":"a","Test":"TestTable/one"}
{"Action":"output","Package":"a","Test":"TestTable/one","Output":"    x_test.go:1: not equal\n"}
{"Action":"fail","Package":"a","Test":"TestTable/one","Elapsed":0}
{"Action":"run","Package":"a","Test":"TestTable/two/halves"}
{"Action":"pass","Package":"a","Test":"TestTable/two/halves","Elapsed":0}
{"Action":"fail","Package":"a","Test":"TestTable","Elapsed":0}
{"Action":"run","Package":"a","Test":"TestSkipped"}
{"Action":"output","Package":"a","Test":"TestSkipped","Output":"=== RUN   TestSkipped\n"}
{"Action":"output","Package":"a","Test":"TestSkipped","Output":"    x_test.go:9: no cockroach on the PATH\n"}
{"Action":"skip","Package":"a","Test":"TestSkipped","Elapsed":0}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"fail","Package":"a","Elapsed":0.5}
{"ImportPath":"b","Action":"build-output","Output":"b.go:1: undefined: x\n"}
{"ImportPath":"b","Action":"build-fail"}
{"Action":"fail","Package":"b","Elapsed":0,"FailedBuild":"b"}
{"Action":"skip","Package":"c","Elapsed":0}
{"Action":"run","Package":"d","Test":"TestGood"}
{"Action":"output","Package":"d","Test":"TestGood","Output":"chatter\n"}
{"Action":"pass","Package":"d","Test":"TestGood","Elapsed":0}
{"Action":"pass","Package":"d","Elapsed":0.1}
`

func TestTally_countsLeavesAndSaysWhatFailed(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tally := newTally(&out)
	if err := tally.read(strings.NewReader(run1)); err != nil {
		t.Fatal(err)
	}
	if got, want := tally.String(), "3 packages; failed: a b\n2 passed, 1 failed, 1 skipped"; got != want {
		t.Errorf("counts %q, want %q", got, want)
	}
	for _, want := range []string{
		"go: downloading something", "FAIL a TestTable/one", "not equal", "b.go:1: undefined: x",
		"skipped TestSkipped: x_test.go:9: no cockroach on the PATH", "ok   d 1 tests",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output does not say %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "chatter") {
		t.Error("a test that passed is not news")
	}
}

func TestTally_showsAPanic(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tally := newTally(&out)
	_ = tally.read(strings.NewReader(`{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"panic: boom\n"}
{"Action":"fail","Package":"a","Elapsed":0.5}`))
	if !strings.Contains(out.String(), "panic: boom") || len(tally.broken) != 1 {
		t.Errorf("the panic is lost:\n%s", out.String())
	}
}

func TestRun_failsWhenItMust(t *testing.T) {
	t.Parallel()
	const good = `echo '{"Action":"pass","Package":"a","Test":"TestX"}'; `
	for name, c := range map[string]struct {
		script string
		fails  bool
	}{
		"all well":           {good, false},
		"no test ran":        {"true", true},
		"the command failed": {good + "exit 3", true},
		"a test failed":      {good + `echo '{"Action":"fail","Package":"a","Test":"TestY"}'`, true},
		"a package failed":   {good + `echo '{"Action":"fail","Package":"a"}'`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), []string{"sh", "-c", c.script}, &strings.Builder{})
			if (err != nil) != c.fails {
				t.Errorf("run said %v", err)
			}
		})
	}
}
