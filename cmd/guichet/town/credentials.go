package town

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"guichet/cell/client"
	"guichet/internal/mtls"
)

const (
	organizerPatience = 30 * time.Second // until the router knows every cell
	answerLimit       = 64 << 10
)

// Credentials is credentials.json: where everything is and who may do what.
type Credentials struct {
	Router         string             `json:"router"`
	RouterOperator string             `json:"router_operator"` // where the router serves operators' calls
	ControlPlane   string             `json:"control_plane"`
	Sandbox        string             `json:"sandbox"`
	Mail           string             `json:"mail"` // GET {mail}/mails?to=
	Issuer         string             `json:"issuer,omitempty"`
	OperatorToken  string             `json:"operator_token"`
	TLS            mtls.Files         `json:"tls"` // an operator's certificate, to call cells and the control plane directly
	Organizers     []client.Organizer `json:"organizers"`
	Processes      []Process          `json:"processes"`
}

// Process is one that runs now.
type Process struct {
	Name string `json:"name"`
	Cell string `json:"cell,omitempty"`
	Pid  int    `json:"pid"`
	URL  string `json:"url,omitempty"`
	// Private is where it tells its metrics and whether it is ready.
	Private string `json:"private_url,omitempty"`
}

// Credentials are those of the open town.
func (t *Town) Credentials() Credentials {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.credentials()
}

func (t *Town) credentials() Credentials {
	c := Credentials{
		Router: httpURL(t.ports.router()), RouterOperator: httpURL(t.ports.routerOperator()), ControlPlane: httpsURL(t.ports.controlPlane()), Sandbox: httpURL(t.ports.sandbox()), Mail: httpURL(t.ports.mail()), Issuer: t.issuer(),
		OperatorToken: t.state.record.OperatorToken,
		TLS:           t.authority.Files(operatorPeer),
		Organizers:    slices.Clone(t.organizers),
		Processes:     []Process{},
	}
	if c.Organizers == nil {
		c.Organizers = []client.Organizer{}
	}
	for _, p := range t.parts {
		if pid := p.pid(); pid != 0 {
			c.Processes = append(c.Processes, Process{Name: p.name, Cell: string(p.cell), Pid: pid, URL: p.url, Private: p.private})
		}
	}
	return c
}

func (t *Town) writeCredentials() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.organizers == nil {
		t.organizers = t.knownOrganizers()
	}
	return writeJSON(t.state.path(credsName), t.credentials())
}

// knownOrganizers are those of an earlier run that have a home in this town.
func (t *Town) knownOrganizers() []client.Organizer {
	var earlier Credentials
	if err := readJSON(t.state.path(credsName), &earlier); err != nil {
		return nil // a first run, or one that was interrupted: they are made anew
	}
	return slices.DeleteFunc(earlier.Organizers, func(o client.Organizer) bool {
		return !slices.ContainsFunc(t.opts.Cells, func(c Cell) bool { return string(c.ID) == o.HomeCell })
	})
}

// engageOrganizers makes one organizer for each region that has none yet.
func (t *Town) engageOrganizers(ctx context.Context) error {
	for _, c := range t.opts.Cells {
		region := c.Region.Code
		t.mu.Lock()
		known := slices.ContainsFunc(t.organizers, func(o client.Organizer) bool { return o.HomeRegion == region })
		t.mu.Unlock()
		if known {
			continue
		}
		o, err := t.engage(ctx, region, c.Region.City+" Box Office")
		if err != nil {
			return fmt.Errorf("make an organizer in %s: %w", region, err)
		}
		t.mu.Lock()
		t.organizers = append(t.organizers, o)
		t.mu.Unlock()
		if err := t.writeCredentials(); err != nil { // at once: the key is shown only once
			return err
		}
	}
	return nil
}

// engage asks the router for a new organizer until it gets one: right after the
// start it may not know every cell yet.
func (t *Town) engage(ctx context.Context, region, name string) (o client.Organizer, err error) {
	ctx, cancel := context.WithTimeout(ctx, organizerPatience)
	defer cancel()
	key := "town-" + rand.Text()
	for {
		o, err = t.postOrganizer(ctx, region, name, key)
		if err == nil {
			return o, nil
		}
		if waitErr := pause(ctx, 200*time.Millisecond); waitErr != nil {
			return o, fmt.Errorf("%w (%w)", err, waitErr)
		}
	}
}

func (t *Town) postOrganizer(ctx context.Context, region, name, key string) (o client.Organizer, err error) {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return o, err
	}
	target := httpURL(t.ports.routerOperator()) + "/v1/organizers?" + url.Values{"home_region": {region}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return o, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+t.state.record.OperatorToken)
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return o, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return o, err
	}
	if resp.StatusCode != http.StatusCreated {
		return o, fmt.Errorf("%s: %.300s", resp.Status, bytes.TrimSpace(answer))
	}
	if err := json.Unmarshal(answer, &o); err != nil {
		return o, fmt.Errorf("the answer is no organizer: %w", err)
	}
	if o.APIKey == "" || o.HomeCell == "" {
		return o, errors.New("the answer has no api_key or no home_cell")
	}
	return o, nil
}

// ReadCredentials reads the file of an open town.
func ReadCredentials(path string) (c Credentials, err error) {
	if err := readJSON(path, &c); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return c, fmt.Errorf("%s is not there: is the town open?", path)
		}
		return c, err
	}
	return c, nil
}
