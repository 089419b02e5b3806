package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"guichet/chaos/experiment"
	"guichet/internal/child"
)

const (
	defaultPatience = 30 * time.Second
	probePatience   = 3 * time.Second
	maxOutput       = 4 << 10 // bytes kept of an activity's output
	maxBody         = 1 << 20 // bytes read of it
)

// do does one activity and says what came of it.
func (r *Runner) do(ctx context.Context, a experiment.Activity) Entry {
	if a.Pauses != nil {
		wait(ctx, a.Pauses.Before)
	}
	e := Entry{Activity: a, Start: time.Now()}
	def := defaultPatience
	if a.Type == "probe" {
		def = probePatience
	}
	actCtx, cancel := context.WithTimeout(ctx, a.Provider.Patience(def))
	defer cancel()
	result, err := r.perform(actCtx, a.Provider)
	e.End = time.Now()
	e.Duration = e.End.Sub(e.Start).Seconds()
	e.Output = Output{Status: result.Code, Body: cut(result.Text)}
	e.Status = "succeeded"
	if len(a.Tolerance) > 0 && err == nil {
		t, parseErr := experiment.ParseTolerance(a.Tolerance)
		met := parseErr == nil && t.Meets(result)
		e.Met = &met
	} else if err == nil && a.Provider.Type == "process" && result.Code != 0 {
		err = fmt.Errorf("exit code %d: %s", result.Code, lastLine(result.Text))
	} else if err == nil && a.Type == "action" && a.Provider.Type == "http" && result.Code >= http.StatusBadRequest {
		err = fmt.Errorf("status %d", result.Code)
	}
	if err != nil {
		met := false
		e.Status, e.Exception = "failed", []string{err.Error()}
		if len(a.Tolerance) > 0 {
			e.Met = &met
		}
	}
	if a.Pauses != nil {
		wait(ctx, a.Pauses.After)
	}
	return e
}

func (r *Runner) perform(ctx context.Context, p experiment.Provider) (experiment.Result, error) {
	if p.Type == "http" {
		return call(ctx, p)
	}
	return r.process(ctx, p)
}

// process runs a program. It dies with this process: nothing of a runner that was killed
// may go on breaking things.
func (r *Runner) process(ctx context.Context, p experiment.Provider) (res experiment.Result, err error) {
	args, err := p.Args()
	if err != nil {
		return res, err
	}
	path := p.Path
	if path == "guichet" && r.Self != "" {
		path = r.Self
	}
	var out bytes.Buffer
	cmd := exec.Command(path, args...) //nolint:gosec,noctx // the experiment says which; ended below
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	cmd.Env = os.Environ()
	for name, value := range p.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if err := child.Start(cmd, syscall.SIGKILL); err != nil {
		return res, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		_ = child.SignalGroup(cmd.Process.Pid, syscall.SIGKILL) // it is ours
		return res, errors.Join(ctx.Err(), killed(<-done))
	}
	res.Text, res.Code = out.String(), cmd.ProcessState.ExitCode()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil // the tolerance decides
	}
	return res, err
}

// killed is how a process ended that was killed: that it was is no news.
func killed(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

var caller = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, MaxConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func call(ctx context.Context, p experiment.Provider) (res experiment.Result, err error) {
	method := strings.ToUpper(p.Method)
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, p.URL, bytes.NewReader(p.Arguments))
	if err != nil {
		return res, err
	}
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	if len(p.Arguments) > 0 && req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := caller.Do(req)
	if err != nil {
		return res, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return experiment.Result{Code: resp.StatusCode, Text: string(text)}, err
}

// look checks the hypothesis once.
func (r *Runner) look(ctx context.Context) State {
	s := State{Met: true}
	for _, p := range r.Experiment.SteadyState.Probes {
		e := r.do(ctx, p)
		s.Met = s.Met && e.Met != nil && *e.Met
		s.Probes = append(s.Probes, e)
	}
	return s
}

func wait(ctx context.Context, seconds float64) {
	if seconds <= 0 {
		return
	}
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func cut(text string) string {
	if len(text) > maxOutput {
		text = text[:maxOutput] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

func lastLine(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}
