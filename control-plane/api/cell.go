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

// Beat says which processes of a cell are alive.
type Beat struct {
	URLs []string `json:"urls"`
}

// Weight orders another weight of a cell.
type Weight struct {
	Percent   *int      `json:"percent"`
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expires_at"`
}

func wire(m registry.Member) Cell {
	out := Cell{Cell: m.OnMap(), Target: m.Target, Reason: m.Reason, JoinedAt: m.JoinedAt.UTC(), Processes: []Process{}}
	if !m.ExpiresAt.IsZero() {
		at := m.ExpiresAt.UTC()
		out.ExpiresAt = &at
	}
	for _, p := range m.Processes {
		out.Processes = append(out.Processes, Process{URL: p.URL, LastBeat: p.LastBeat.UTC()})
	}
	return out
}

func (a *API) listCells(c *gin.Context) {
	all, err := a.Registry.Cells(c)
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
	var announced topology.Cell
	if _, err := httpd.DecodeJSON(c, &announced); err != nil {
		httpd.Fail(c, err)
		return
	}
	m, err := a.Registry.Join(c, announced)
	answerCell(c, m, err)
}

func (a *API) beat(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	var b Beat
	if _, err := httpd.DecodeJSON(c, &b); err != nil {
		httpd.Fail(c, err)
		return
	}
	if len(b.URLs) == 0 || len(b.URLs) > registry.MaxProcesses {
		httpd.Fail(c, httpd.ErrField.At("/urls", "must name 1 to %d processes that are alive", registry.MaxProcesses))
		return
	}
	if err := a.Registry.Beat(c, cell, b.URLs); err != nil {
		httpd.Fail(c, err)
		return
	}
	version := int64(0)
	if s := a.Map(); s != nil {
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
	if w.Percent == nil {
		httpd.Fail(c, httpd.ErrField.At("/percent", "is required"))
		return
	}
	m, err := a.Registry.SetWeight(c, cell, registry.Order{Percent: *w.Percent, Reason: w.Reason, ExpiresAt: w.ExpiresAt})
	answerCell(c, m, err)
}

func (a *API) leave(c *gin.Context) {
	cell, ok := cellParam(c)
	if !ok {
		return
	}
	m, err := a.Registry.Leave(c, cell)
	answerCell(c, m, err)
}

func answerCell(c *gin.Context, m registry.Member, err error) {
	if err != nil {
		httpd.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, wire(m))
}
