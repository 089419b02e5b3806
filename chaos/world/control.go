package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"guichet/cell/client"
	"guichet/internal/child"
	"guichet/internal/mtls"
)

const (
	toolPatience = 2 * time.Minute // restarting waits until the part is ready
	answerLimit  = 1 << 20
)

// Credentials is credentials.json, as api.md has it.
type Credentials struct {
	Router         string             `json:"router"`
	RouterOperator string             `json:"router_operator"`
	ControlPlane   string             `json:"control_plane"`
	Sandbox        string             `json:"sandbox"`
	Mail           string             `json:"mail"`
	OperatorToken  string             `json:"operator_token"`
	TLS            mtls.Files         `json:"tls"` // an operator's certificate
	Organizers     []client.Organizer `json:"organizers"`
	Processes      []Process          `json:"processes"`
}

// Process is one process of the town.
type Process struct {
	Name string `json:"name"`
	Cell string `json:"cell"`
	Pid  int    `json:"pid"`
	URL  string `json:"url"`
	// Private is where it tells its metrics and whether it is ready.
	Private string `json:"private_url"`
}

// Credentials reads the town's file anew: pids change.
func (w *World) Credentials() (c Credentials, err error) {
	return c, readJSON(filepath.Join(w.State, "credentials.json"), &c)
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Organizer is the town's organizer in the region of a cell.
func (c Credentials) Organizer(cell string) (client.Organizer, error) {
	for _, o := range c.Organizers {
		if o.HomeCell == cell {
			return o, nil
		}
	}
	return client.Organizer{}, fmt.Errorf("no organizer is at home in %s", cell)
}

// URLs are the addresses of a cell's processes.
func (c Credentials) URLs(cell string) []string {
	var urls []string
	for _, p := range c.Processes {
		if p.Cell == cell && p.URL != "" {
			urls = append(urls, p.URL)
		}
	}
	return urls
}

// Private are the private addresses of a cell's processes.
func (c Credentials) Private(cell string) []string {
	var urls []string
	for _, p := range c.Processes {
		if p.Cell == cell && p.Private != "" {
			urls = append(urls, p.Private)
		}
	}
	return urls
}

// Direct calls the town's machines themselves, as an operator with a certificate.
func (c Credentials) Direct() (*http.Client, error) {
	identity, err := mtls.Open(c.TLS)
	if err != nil {
		return nil, err
	}
	direct := mtls.HTTP(identity, mtls.Kinds(mtls.Cell, mtls.ControlPlane))
	direct.Timeout = HTTP.Timeout
	return direct, nil
}

// Alive says whether a process of that name runs.
func (c Credentials) Alive(name string) bool {
	return slices.ContainsFunc(c.Processes, func(p Process) bool { return p.Name == name && child.Alive(p.Pid) })
}

// Kill ends a process with kill -9; it stays away until Restart.
func (w *World) Kill(ctx context.Context, name string) error { return w.manage(ctx, "kill", name) }

// Restart starts a process again and returns when it is ready.
func (w *World) Restart(ctx context.Context, name string) error {
	if err := w.readLog(name); err != nil { // the next life begins a new one
		return err
	}
	return w.manage(ctx, "restart", name)
}

// Restore restarts whatever does not run, those first that stand lowest, and
// waits until the router reaches every cell.
func (w *World) Restore(ctx context.Context) error {
	c, err := w.Credentials()
	if err != nil {
		return err
	}
	for _, name := range w.parts { // in the town's own order
		if !c.Alive(name) {
			if err := w.Restart(ctx, name); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	if err := until(ctx, func() bool { return w.reached(ctx, c.Router) }); err != nil {
		return fmt.Errorf("the router does not reach every cell: %w", err)
	}
	return nil
}

// reached says whether the router's own page shows every cell as reached.
func (w *World) reached(ctx context.Context, router string) bool {
	var page struct {
		Cells []struct {
			Up bool `json:"up"`
		} `json:"cells"`
	}
	if _, err := getJSON(ctx, router+"/", &page); err != nil || len(page.Cells) == 0 {
		return false
	}
	for _, cell := range page.Cells {
		if !cell.Up {
			return false
		}
	}
	return true
}

// Ready says whether the process at a URL without TLS is ready.
func Ready(ctx context.Context, url string) bool {
	status, err := getJSON(ctx, url+"/readyz", nil)
	return err == nil && status == http.StatusOK
}

func (w *World) manage(ctx context.Context, action, name string) error {
	out, code, err := w.Tool(ctx, "town", action, name, "--state", w.State)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s %s: exit code %d: %s", action, name, code, out)
	}
	return err
}

// Tool runs the guichet tool to its end and answers all it said and its exit code.
func (w *World) Tool(ctx context.Context, args ...string) (out string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, toolPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.Programs.Path("guichet"), args...) //nolint:gosec // our own program
	cmd.Dir = filepath.Dir(w.State)
	raw, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return string(raw), exit.ExitCode(), nil
	}
	if err != nil {
		return string(raw), -1, fmt.Errorf("guichet %s: %w", strings.Join(args, " "), err)
	}
	return string(raw), 0, nil
}
