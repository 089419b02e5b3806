package town

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// controlFile tells the tool where the supervisor listens.
type controlFile struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	Pid   int    `json:"pid"`
}

// control is the supervisor's own port, on the loopback, for those who can read
// the state directory.
type control struct{ server *http.Server }

// controlPatience covers stopping a part and waiting until it is ready again.
const controlPatience = readyPatience + dbPatience + 10*time.Second

// serveControl opens the control port and leaves word of it.
func (t *Town) serveControl(ctx context.Context) (*control, error) {
	listener, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the control port: %w", err)
	}
	file := controlFile{URL: "http://" + listener.Addr().String(), Token: rand.Text(), Pid: os.Getpid()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, t.status(), nil) })
	mux.HandleFunc("POST /close", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, t.status(), nil)
		t.askOnce.Do(func() { close(t.asked) })
	})
	for action, do := range map[string]func(context.Context, string) error{
		"restart": t.Restart,
		"stop":    t.Stop,
		"pause":   func(_ context.Context, name string) error { return t.Pause(name) },
		"resume":  func(_ context.Context, name string) error { return t.Resume(name) },
		"kill":    func(_ context.Context, name string) error { return t.Kill(name) },
	} {
		mux.HandleFunc("POST /"+action+"/{name}", func(w http.ResponseWriter, r *http.Request) {
			// A tool that is interrupted does not leave a part half restarted.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), controlPatience)
			defer cancel()
			err := do(ctx, r.PathValue("name"))
			answer(w, t.status(), err)
		})
	}
	c := &control{server: &http.Server{
		Handler: authorized(file.Token, mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: controlPatience + 10*time.Second, MaxHeaderBytes: 16 << 10,
	}}
	go func() { _ = c.server.Serve(listener) }() // ends with close
	if err := writeJSON(t.state.path(controlName), file); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *control) close() error { return c.server.Close() }

func authorized(token string, next http.Handler) http.Handler {
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "not for you", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reply is what every control call answers.
type reply struct {
	Parts []Status `json:"parts"`
	Error string   `json:"error,omitempty"`
}

func answer(w http.ResponseWriter, parts []Status, err error) {
	out := reply{Parts: parts}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		out.Error = err.Error()
		w.WriteHeader(http.StatusConflict)
	}
	_ = json.NewEncoder(w).Encode(out) // the caller is gone
}

// ask makes one call to the supervisor of the town on a state directory.
func ask(ctx context.Context, stateDir, method, path string) (reply, error) {
	var file controlFile
	err := readJSON(filepath.Join(stateDir, controlName), &file)
	if errors.Is(err, os.ErrNotExist) {
		return reply{}, fmt.Errorf("no town is open on %s", stateDir)
	}
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, controlPatience+10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, file.URL+path, bytes.NewReader(nil))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Authorization", "Bearer "+file.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("the town on %s does not answer (its supervisor was pid %d): %w", stateDir, file.Pid, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return reply{}, err
	}
	var out reply
	if err := json.Unmarshal(raw, &out); err != nil {
		return reply{}, fmt.Errorf("%s: %.200s", resp.Status, raw)
	}
	if out.Error != "" {
		return out, errors.New(out.Error)
	}
	return out, nil
}
