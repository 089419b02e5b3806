package keycloak

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"guichet/docs/identity"
	"guichet/internal/child"
)

const (
	startLimit    = 7 * time.Minute // 21 to 37 s on a quiet machine of two cores, minutes on a busy one
	probePatience = 15 * time.Second
	stopPatience  = 10 * time.Second
	tailLength    = 4 << 10
)

// Settings say how a Keycloak is to run.
type Settings struct {
	Port         int    // 0 takes any that is free
	SiteURL      string // where browsers reach the pages of Guichet
	ClientSecret string // of guichet-cell
	DemoPassword string // of the demo people; empty leaves them locked out
	Log          io.Writer
}

// Server is a Keycloak that runs.
type Server struct {
	URL           string // http://127.0.0.1:port
	AdminPassword string // of the user admin in the realm master
	cmd           *exec.Cmd
	own           string
	said          *tail
	exited        chan struct{}
	stop          sync.Once
}

// Issuer is the issuer's URL of the realm guichet.
func (s *Server) Issuer() string { return s.URL + "/realms/guichet" }

// Run starts a Keycloak with the realm imported into its memory and returns once it
// answers. Whatever it learns is gone when it stops.
func Run(ctx context.Context, set Settings) (_ *Server, err error) {
	if set.Log == nil {
		set.Log = io.Discard
	}
	home, err := Install(ctx, set.Log)
	if err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(filepath.Dir(home), "run-")
	if err != nil {
		return nil, err
	}
	s := &Server{AdminPassword: rand.Text(), own: own, said: &tail{also: set.Log}, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if err := settle(home, own, identity.Realm); err != nil {
		return nil, err
	}
	if set.Port == 0 {
		if set.Port, err = freePort(ctx); err != nil {
			return nil, err
		}
	}
	management, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(set.Port))
	cmd := exec.Command(filepath.Join(own, "bin", "kc.sh"), "start", "--optimized", "--import-realm", "--http-enabled=true", //nolint:gosec,noctx // ended by Stop
		"--http-host=127.0.0.1", "--http-port="+strconv.Itoa(set.Port), "--http-management-port="+strconv.Itoa(management), "--hostname="+s.URL)
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD="+s.AdminPassword,
		"JAVA_OPTS_KC_HEAP=-Xms64m -Xmx512m", "JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1", "GUICHET_SITE_URL="+set.SiteURL, "GUICHET_OIDC_CLIENT_SECRET="+set.ClientSecret,
		"GUICHET_DEMO_USERS="+strconv.FormatBool(set.DemoPassword != ""), "GUICHET_DEMO_PASSWORD="+set.DemoPassword)
	cmd.Stdout, cmd.Stderr = s.said, s.said
	cmd.WaitDelay = stopPatience
	if err := child.Start(cmd, syscall.SIGTERM); err != nil { // kc.sh passes it on to java
		return nil, fmt.Errorf("start Keycloak: %w", err)
	}
	s.cmd = cmd
	go func() {
		_ = cmd.Wait()
		close(s.exited)
	}()
	return s, s.await(ctx)
}

// await returns when the realm answers.
func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	client := &http.Client{Timeout: probePatience} // the first answer is slow
	for {
		if s.answers(ctx, client) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("Keycloak ended before it answered: %s", s.said) //nolint:staticcheck // a name
		case <-ctx.Done():
			return fmt.Errorf("Keycloak did not answer: %w: %s", ctx.Err(), s.said) //nolint:staticcheck // a name
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (s *Server) answers(ctx context.Context, client *http.Client) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer()+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// Exited is closed when the Keycloak is gone.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Stop ends the Keycloak and removes what it kept.
func (s *Server) Stop() (err error) {
	s.stop.Do(func() {
		if s.cmd != nil {
			err = child.SignalGroup(s.cmd.Process.Pid, syscall.SIGTERM)
			select {
			case <-s.exited:
			case <-time.After(stopPatience):
				err = errors.Join(err, child.SignalGroup(s.cmd.Process.Pid, syscall.SIGKILL))
				<-s.exited
			}
		}
		err = errors.Join(err, os.RemoveAll(s.own))
	})
	return err
}

// Ports for a Keycloak lie below those that the kernel gives to connections that go out
// (from 32768 on): it binds its own half a minute after they were found to be free.
const (
	firstPort = 29_000
	somePorts = 3_000
	portTries = 50
)

func freePort(ctx context.Context) (int, error) {
	var last error
	for range portTries {
		port := firstPort + mathrand.IntN(somePorts) //nolint:gosec // a port is no secret
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("find a free port: %w", last)
}

// tail keeps the last words of a program.
type tail struct {
	also io.Writer
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.last = append(t.last, p...)
	if len(t.last) > tailLength {
		t.last = bytes.Clone(t.last[len(t.last)-tailLength:])
	}
	t.mu.Unlock()
	if t.also != nil {
		_, _ = t.also.Write(p)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.last))
}
