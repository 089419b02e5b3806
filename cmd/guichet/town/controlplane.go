package town

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"guichet/control-plane/api"
	"guichet/control-plane/topology"
	"guichet/internal/mtls"
)

const (
	controlTimeout = 10 * time.Second
	controlAnswer  = 4 << 20
	joinPatience   = 30 * time.Second // until invited cells have joined
)

// ControlPlane calls a control plane as the operator whom the credentials name.
type ControlPlane struct {
	url, token string
	client     *http.Client
}

// NewControlPlane is the control plane of the credentials.
func NewControlPlane(c Credentials) (*ControlPlane, error) {
	identity, err := mtls.Load(c.TLS, mtls.Kinds(mtls.Operator))
	if err != nil {
		return nil, err
	}
	client := mtls.HTTP(identity, mtls.Only(mtls.Peer{Kind: mtls.ControlPlane}))
	client.Timeout = controlTimeout
	return &ControlPlane{url: c.ControlPlane, token: c.OperatorToken, client: client}, nil
}

// Cells lists the register.
func (c *ControlPlane) Cells(ctx context.Context) ([]api.Cell, error) {
	var list api.CellList
	return list.Items, c.call(ctx, http.MethodGet, "/v1/cells", nil, &list)
}

// Invite makes a join token for a cell.
func (c *ControlPlane) Invite(ctx context.Context, cell topology.CellID, region string, life time.Duration) (inv api.Invitation, err error) {
	return inv, c.call(ctx, http.MethodPost, "/v1/invitations", api.Invite{Cell: cell, Region: region, TTL: int(life.Seconds())}, &inv)
}

// Expel takes a cell off the map.
func (c *ControlPlane) Expel(ctx context.Context, cell topology.CellID) error {
	return c.call(ctx, http.MethodPost, "/v1/cells/"+cell.String()+"/expel", nil, nil)
}

func (c *ControlPlane) call(ctx context.Context, method, path string, body, out any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, controlAnswer))
	if err != nil {
		return fmt.Errorf("ask the control plane: %w", err)
	}
	if res.StatusCode/100 != 2 {
		var problem struct{ Code, Detail string }
		if json.Unmarshal(answer, &problem) == nil && problem.Code != "" {
			return fmt.Errorf("the control plane refuses: %s: %s", problem.Code, problem.Detail)
		}
		return fmt.Errorf("the control plane answers %s: %.300s", res.Status, bytes.TrimSpace(answer))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// strangers are the cells of this town that have never joined it.
func (t *Town) strangers() []Cell {
	return slices.DeleteFunc(slices.Clone(t.opts.Cells), func(c Cell) bool { return slices.Contains(t.state.record.Joined, c.ID) })
}

// invite makes join tokens for cells that have never joined. A cell that has needs
// none, and one that was expelled is not invited by opening the town again.
func (t *Town) invite(ctx context.Context) error {
	strangers := t.strangers()
	if len(strangers) == 0 {
		return nil
	}
	p, err := t.find(nameControlPlane)
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		return err
	}
	control, err := NewControlPlane(t.Credentials())
	if err != nil {
		return err
	}
	for _, c := range strangers {
		inv, err := control.Invite(ctx, c.ID, c.Region.Code, 0)
		if err != nil {
			return fmt.Errorf("invite %s: %w", c.ID, err)
		}
		t.invitations[c.ID] = inv.Token // before its process is started
	}
	return nil
}

// noteJoined remembers that the cells have joined, so that they need no invitation
// when the town opens again.
func (t *Town) noteJoined(ctx context.Context) error {
	if len(t.strangers()) == 0 {
		return nil
	}
	control, err := NewControlPlane(t.Credentials())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinPatience)
	defer cancel()
	for {
		cells, err := control.Cells(ctx)
		for _, c := range cells {
			if !slices.Contains(t.state.record.Joined, c.ID) {
				t.state.record.Joined = append(t.state.record.Joined, c.ID)
			}
		}
		if err == nil && len(t.strangers()) == 0 {
			return t.state.save()
		}
		if pause(ctx, readyEvery) != nil {
			return fmt.Errorf("%s did not join; its log says why: %w", t.strangers()[0].ID, err)
		}
	}
}
