package api

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"guichet/control-plane/registry"
	"guichet/control-plane/topology"
	"guichet/internal/httpd"
)

// Cell is a cell as operators see it.
type Cell struct {
	topology.Cell
	Target    int        `json:"target"`     // where the weight is going
	Reason    string     `json:"reason"`     // why it is not 100
	ExpiresAt *time.Time `json:"expires_at"` // when it becomes 100 again
	JoinedAt  time.Time  `json:"joined_at"`
	Expelled  *time.Time `json:"expelled_at"` // null unless an operator expelled it
	Processes []Process  `json:"processes"`
}

// Process is one process of a cell.
type Process struct {
	URL      string    `json:"url"`
	LastBeat time.Time `json:"last_beat"`
}

// CellList is the register.
type CellList struct {
	Items      []Cell  `json:"items"`
	NextCursor *string `json:"next_cursor"` // always null: the register is small
}

// Join is what a cell says of itself. The token of an invitation is needed the first
// time, or when the cell's key is a new one.
type Join struct {
	Cell  topology.Cell `json:"cell"`
	Token string        `json:"join_token,omitempty"`
}

// Beat says which processes of a cell are alive, and what the cell has revoked.
type Beat struct {
	URLs    []string `json:"urls"`
	Revoked []string `json:"revoked,omitempty"`
}

// Weight orders another weight of a cell.
type Weight struct {
	Percent   *int      `json:"percent" in:"notnull"`
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expires_at"`
}

func wire(m registry.Member) Cell {
	out := Cell{Cell: m.OnMap(), Target: m.Target, Reason: m.Reason, JoinedAt: m.JoinedAt.UTC(), Processes: []Process{}}
	if !m.ExpiresAt.IsZero() {
		at := m.ExpiresAt.UTC()
		out.ExpiresAt = &at
	}
	if !m.Expelled.IsZero() {
		at := m.Expelled.UTC()
		out.Expelled = &at
	}
	for _, p := range m.Processes {
		out.Processes = append(out.Processes, Process{URL: p.URL, LastBeat: p.LastBeat.UTC()})
	}
	return out
}

func (a *API) listCells(c *gin.Context) {
	all, err := a.Registry.Cells(c.Request.Context())
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	list := CellList{Items: make([]Cell, 0, len(all))}
	for _, m := range all {
		list.Items = append(list.Items, wire(m))
	}
	c.JSON(http.StatusOK, list)
}

func (a *API) join(c *gin.Context) {
	var j Join
	body, err := httpd.DecodeJSON(c, &j)
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	m, err := a.admit(c, j, body)
	if err != nil {
		a.refuse(c, j.Cell.ID, err)
		return
	}
	c.JSON(http.StatusOK, wire(m))
}

// admit lets a cell in by its invitation, with the key that it brings and proves to
// have, or hears what a cell that is known says with the key it has.
func (a *API) admit(c *gin.Context, j Join, body []byte) (registry.Member, error) {
	if _, err := topology.ParseCell(string(j.Cell.ID)); err != nil {
		return registry.Member{}, err
	}
	keys := registry.CellKeys(j.Cell.Keys)
	if j.Token == "" {
		var err error
		if keys, err = a.Registry.Keys(c.Request.Context(), j.Cell.ID); err != nil {
			return registry.Member{}, err
		}
	}
	kid, at, err := a.heard(c, j.Cell.ID, j.Cell.URLs, keys, body)
	if err != nil {
		return registry.Member{}, err
	}
	if j.Token == "" {
		return a.Registry.Announce(c.Request.Context(), j.Cell, at)
	}
	return a.Registry.Join(c.Request.Context(), j.Cell, j.Token, kid, at)
}

func (a *API) beat(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	var b Beat
	body, err := httpd.DecodeJSON(c, &b)
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	if len(b.URLs) == 0 || len(b.URLs) > registry.MaxProcesses {
		httpd.Fail(c, httpd.ErrField.At("/urls", "must name 1 to %d processes that are alive", registry.MaxProcesses))
		return
	}
	keys, err := a.Registry.Keys(c.Request.Context(), cell)
	if err == nil {
		_, _, err = a.heard(c, cell, b.URLs, keys, body)
	}
	if err == nil {
		err = a.Registry.Beat(c.Request.Context(), cell, b.URLs, b.Revoked)
	}
	if err != nil {
		a.refuse(c, cell, err)
		return
	}
	version := int64(0)
	if s := a.Map().Snapshot(); s != nil {
		version = s.Version
	}
	c.JSON(http.StatusOK, BeatAnswer{Version: version})
}

// BeatAnswer tells a cell the version of the newest map.
type BeatAnswer struct {
	Version int64 `json:"version"`
}

func (a *API) setWeight(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	var w Weight
	if _, err := httpd.DecodeJSON(c, &w); err != nil {
		httpd.Fail(c, err)
		return
	}
	m, err := a.Registry.SetWeight(c.Request.Context(), cell, registry.Order{Percent: *w.Percent, Reason: w.Reason, ExpiresAt: w.ExpiresAt})
	answerCell(c, m, err)
}

func (a *API) leave(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	m, err := a.Registry.Leave(c.Request.Context(), cell)
	answerCell(c, m, err)
}

func answerCell(c *gin.Context, m registry.Member, err error) {
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, wire(m))
}
