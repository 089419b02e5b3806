// Package join makes a cell known to the control plane: it joins by an invitation,
// says what it is, beats, and tells what it has revoked. All of that is signed with
// the cell's own key. The control plane is told, never asked; when it is away the cell
// goes on (P6).
package join

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/signed"
	"guichet/internal/signed/request"
)

// Bounds of one call.
const (
	// Period between beats.
	Period      = 2 * time.Second
	callTimeout = 2 * time.Second
	lookPeriod  = 500 * time.Millisecond // for something revoked since the last beat
)

// inviting are the answers of a control plane to a cell that it does not know, or
// whose key it does not.
var inviting = []string{"invitation_required", "cell_expelled", "token_unknown_key"}

// Member is this cell process towards the control plane.
type Member struct {
	ControlPlane string      // URL
	Token        string      // of an invitation; needed once, and not shown when the cell is known
	Key          *signed.Key // the cell's, among Self.Keys
	Old          *signed.Key // the one before, which vouches for Key while it is new; may be nil
	Self         topology.Cell
	Client       *http.Client
	Now          func() time.Time
	// Revoked are the keys and sessions of this cell that are worth nothing any more,
	// newest first; nil revokes nothing. What is new on it is told at once.
	Revoked func() []string

	last time.Time // what was signed last
}

// Run joins and beats until ctx ends; report is told of failures.
func (m *Member) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(Period)
	defer tick.Stop()
	joined := false
	for {
		var err error
		var told []string
		if !joined {
			err = m.join(ctx)
			joined = err == nil
		} else {
			told = m.revoked(report)
			if err = m.call(ctx, m.Key, "/v1/cells/"+m.Self.ID.String()+"/beat", beat{URLs: m.Self.URLs, Revoked: told}); err != nil {
				joined = false // a control plane that lost us hears everything again
			}
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
		if !m.wait(ctx, tick.C, joined, told) {
			return
		}
	}
}

// wait returns when it is time to beat, or something was revoked; false when ctx ended.
func (m *Member) wait(ctx context.Context, tick <-chan time.Time, joined bool, told []string) bool {
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-look.C:
			if joined && m.Revoked != nil && !slices.Equal(m.revoked(func(error) {}), told) {
				return true
			}
		}
	}
}

// revoked is the list in the form in which it is told: what is too long for the map is
// cut at its old end, and said.
func (m *Member) revoked(report func(error)) []string {
	if m.Revoked == nil {
		return []string{}
	}
	list := slices.Clone(m.Revoked())
	list = slices.DeleteFunc(list, func(id string) bool { return len(id) > topology.MaxRevokedID })
	if len(list) > topology.MaxRevoked {
		report(fmt.Errorf("%d revocations are more than the %d that the map has room for: the oldest are worth something elsewhere", len(list), topology.MaxRevoked))
		list = list[:topology.MaxRevoked]
	}
	if list == nil {
		list = []string{}
	}
	return list
}

type joining struct {
	Cell  topology.Cell `json:"cell"`
	Token string        `json:"join_token,omitempty"`
}

type beat struct {
	URLs    []string `json:"urls"`
	Revoked []string `json:"revoked"`
}

// join says what this cell is with the key that the control plane knows: the one it
// has, or the one before, which vouches for it. Only a cell that is not known shows its
// invitation.
func (m *Member) join(ctx context.Context) error {
	err := m.call(ctx, m.Key, "/v1/cells", joining{Cell: m.Self})
	if m.Old != nil && hasCode(err, "token_unknown_key") {
		err = m.call(ctx, m.Old, "/v1/cells", joining{Cell: m.Self})
	}
	if m.Token != "" && hasCode(err, inviting...) {
		return m.call(ctx, m.Key, "/v1/cells", joining{Cell: m.Self, Token: m.Token})
	}
	return err
}

func hasCode(err error, codes ...string) bool {
	refused, ok := errors.AsType[*refusalError](err)
	return ok && slices.Contains(codes, refused.code)
}

// refusalError is an answer that is none of 2xx.
type refusalError struct {
	status int
	code   string
	text   string
}

func (r *refusalError) Error() string {
	return fmt.Sprintf("tell the control plane: it answered %d %.300s", r.status, r.text)
}

// now is the time of what is signed next: no two statements have the same.
func (m *Member) now() time.Time {
	at := m.Now().Truncate(time.Millisecond)
	if !at.After(m.last) {
		at = m.last.Add(time.Millisecond)
	}
	m.last = at
	return at
}

func (m *Member) call(ctx context.Context, key *signed.Key, path string, body any) error {
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
	req.Header.Set(request.Header, request.Sign(key, req.Method, req.URL.Path, text, m.now()))
	res, err := m.Client.Do(req)
	if err != nil {
		return fmt.Errorf("tell the control plane: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if res.StatusCode/100 == 2 {
		return nil
	}
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(answer, &problem) // what is no problem document has no code
	return &refusalError{status: res.StatusCode, code: problem.Code, text: string(answer)}
}
