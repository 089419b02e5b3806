// Package join makes a cell known to the control plane: it joins, and beats. The
// control plane is told, never asked; when it is away the cell goes on (P6).
package join

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"guichet/control-plane/topology"
)

// Bounds of one call.
const (
	// Period between beats.
	Period      = 2 * time.Second
	callTimeout = 2 * time.Second
)

// Member is this cell process towards the control plane.
type Member struct {
	ControlPlane string // URL
	Token        string // operator's
	Self         topology.Cell
	Client       *http.Client
}

// Run joins and beats until ctx ends; report is told of failures.
func (m *Member) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(Period)
	defer tick.Stop()
	joined := false
	for {
		var err error
		if !joined {
			err = m.call(ctx, "/v1/cells", m.Self)
			joined = err == nil
		} else if err = m.call(ctx, "/v1/cells/"+m.Self.ID.String()+"/beat", beat{URLs: m.Self.URLs}); err != nil {
			joined = false // a control plane that lost us hears everything again
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

type beat struct {
	URLs []string `json:"urls"`
}

func (m *Member) call(ctx context.Context, path string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("tell the control plane: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.ControlPlane+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("tell the control plane: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+m.Token)
	res, err := m.Client.Do(req)
	if err != nil {
		return fmt.Errorf("tell the control plane: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("tell the control plane: it answered %d %.300s", res.StatusCode, answer)
	}
	return nil
}
