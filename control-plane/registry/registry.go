// Package registry is the register of cells: who joined, when each was last
// heard, and how much of the nearest-reads it takes. It decides only; a Book
// stores what it decides. A cell that stops beating stays in the register, for it
// may be the control plane that is cut off (P8).
package registry

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"guichet/control-plane/topology"
	"guichet/internal/kind"
)

// Errors of the register.
var (
	ErrUnknownCell     = kind.NotFound.New("unknown_cell")
	ErrLastServingCell = kind.Conflict.New("last_serving_cell")
	ErrInvalid         = kind.Invalid.New("invalid_field")
	ErrFull            = kind.Conflict.New("registry_full")
	ErrOtherRegion     = kind.Conflict.New("cell_of_another_region")
	ErrInvitation      = kind.Unauthorized.New("invitation_required")
	ErrTokenUnknown    = kind.Unauthorized.New("join_token_unknown")
	ErrTokenUsed       = kind.Unauthorized.New("join_token_used")
	ErrTokenExpired    = kind.Unauthorized.New("join_token_expired")
	ErrTokenOther      = kind.Unauthorized.New("join_token_of_another_cell")
	ErrExpelled        = kind.Forbidden.New("cell_expelled")
	ErrReplayed        = kind.Conflict.New("statement_replayed")
	ErrLastCell        = kind.Conflict.New("last_cell")
)

// Limits of the register.
const (
	MaxCells      = 200
	MaxProcesses  = 16  // of one cell
	MaxKeys       = 16  // ticket keys and access keys together
	MaxText       = 400 // bytes of region, residency, reason, URL
	FullWeight    = 100
	StepPercent   = 1
	StepEvery     = time.Second        // one step of a weight on its way
	MaxExpiry     = 7 * 24 * time.Hour // of a weight that was asked for
	ForgetProcess = 2 * time.Minute    // silent, while a sibling beats
)

// Process is one process of a cell, by the URL where its API listens.
type Process struct {
	URL      string
	LastBeat time.Time
}

// Member is a cell in the register.
type Member struct {
	ID        topology.CellID
	Region    string
	Residency string
	Keys      []topology.Key
	Processes []Process // by URL
	Left      bool
	JoinedAt  time.Time
	Expelled  time.Time // when an operator expelled it; zero when nobody did
	SignedAt  time.Time // when it signed, by its own clock, what it says of itself
	Revoked   []string  // see topology.Cell

	Weight    int       // percent, as routers see it now
	Target    int       // where it is going, StepPercent every StepEvery
	SteppedAt time.Time // when Weight last moved
	Reason    string    // why the target is not FullWeight
	ExpiresAt time.Time // when the target becomes FullWeight again; zero when it is
}

// Serving reports whether the cell takes nearest-reads or is coming back to do so.
func (m Member) Serving() bool { return !m.Left && m.Target > 0 }

// State is the cell's state on the map.
func (m Member) State() topology.CellState {
	switch {
	case m.Left:
		return topology.CellLeft
	case m.Target == 0:
		return topology.CellDraining
	}
	return topology.CellServing
}

// LastBeat is the newest beat of any process.
func (m Member) LastBeat() time.Time {
	var last time.Time
	for _, p := range m.Processes {
		if p.LastBeat.After(last) {
			last = p.LastBeat
		}
	}
	return last
}

// OnMap is the cell as everyone may know it.
func (m Member) OnMap() topology.Cell {
	urls := make([]string, 0, len(m.Processes))
	for _, p := range m.Processes {
		urls = append(urls, p.URL)
	}
	weight := m.Weight
	if m.Left {
		weight = 0
	}
	keys := m.Keys
	if keys == nil {
		keys = []topology.Key{}
	}
	return topology.Cell{
		ID: m.ID, Region: m.Region, URLs: urls, Weight: weight, State: m.State(), Residency: m.Residency,
		Keys: keys, LastBeat: m.LastBeat().UTC(), Revoked: m.Revoked,
	}
}

// Announce refreshes what a cell that has joined says about itself, as it signed it
// at some time of its own clock. Its weight, and the processes that siblings
// announced, stay. A cell that was expelled does not come back like this.
func Announce(all []Member, announced topology.Cell, at, now time.Time) (Member, error) {
	if err := check(announced); err != nil {
		return Member{}, err
	}
	m, known := find(all, announced.ID)
	switch {
	case !known:
		return Member{}, ErrInvitation.With("%s is not known here; it needs an invitation", announced.ID)
	case !m.Expelled.IsZero():
		return Member{}, ErrExpelled.With("%s was expelled; it may come back by a new invitation", m.ID)
	}
	changed := m.Residency != announced.Residency || !slices.Equal(m.Keys, announced.Keys)
	if changed && !at.After(m.SignedAt) {
		return Member{}, ErrReplayed.With("%s has said otherwise at %s, and this was said at %s", m.ID, m.SignedAt.UTC().Format(time.RFC3339Nano), at.UTC().Format(time.RFC3339Nano))
	}
	return enter(m, announced, at, now)
}

// enter notes what a cell says of itself; a cell that had left is back.
func enter(m Member, announced topology.Cell, at, now time.Time) (Member, error) {
	switch {
	case m.Region != announced.Region:
		return Member{}, ErrOtherRegion.With("%s is in %s; a cell never changes its region", m.ID, m.Region)
	case m.Left:
		m.Left, m.JoinedAt, m.Weight, m.Target, m.SteppedAt = false, now, FullWeight, FullWeight, now
		m.Reason, m.ExpiresAt, m.Processes = "", time.Time{}, nil
	}
	m.Residency, m.Keys = announced.Residency, slices.Clone(announced.Keys)
	if at.After(m.SignedAt) {
		m.SignedAt = at
	}
	return Beat(m, announced.URLs, now)
}

// Beat notes that processes of the cell are alive; one that was not known is added.
func Beat(m Member, urls []string, now time.Time) (Member, error) {
	m.Processes = slices.Clone(m.Processes)
	for _, u := range urls {
		if err := checkURL(u); err != nil {
			return Member{}, err
		}
		i := slices.IndexFunc(m.Processes, func(p Process) bool { return p.URL == u })
		if i < 0 {
			m.Processes = append(m.Processes, Process{URL: u, LastBeat: now})
		} else if now.After(m.Processes[i].LastBeat) {
			m.Processes[i].LastBeat = now
		}
	}
	m = forget(m, now)
	if len(m.Processes) > MaxProcesses {
		return Member{}, ErrFull.With("a cell has at most %d processes", MaxProcesses).Field("limit", MaxProcesses)
	}
	slices.SortFunc(m.Processes, func(a, b Process) int { return strings.Compare(a.URL, b.URL) })
	return m, nil
}

// forget drops processes that are silent while a sibling beats: they moved or
// are gone. When all are silent, all stay (P8).
func forget(m Member, now time.Time) Member {
	if now.Sub(m.LastBeat()) >= ForgetProcess {
		return m
	}
	m.Processes = slices.DeleteFunc(slices.Clone(m.Processes), func(p Process) bool { return now.Sub(p.LastBeat) >= ForgetProcess })
	return m
}

// Leave takes a cell off the map's routes. It stays in the register, so that the
// ids of events born there still mean something.
func Leave(all []Member, cell topology.CellID) (Member, error) {
	m, known := find(all, cell)
	if !known {
		return Member{}, ErrUnknownCell.With("there is no cell %s", cell)
	}
	if m.Left {
		return m, nil
	}
	if err := notTheLast(all, m); err != nil {
		return Member{}, err
	}
	m.Left = true
	return m, nil
}

// notTheLast refuses to take the last serving cell away from its region.
func notTheLast(all []Member, m Member) error {
	for _, other := range all {
		if other.ID != m.ID && other.Region == m.Region && other.Serving() {
			return nil
		}
	}
	return ErrLastServingCell.With("%s is the last serving cell of %s", m.ID, m.Region).Field("region", m.Region)
}

func find(all []Member, cell topology.CellID) (Member, bool) {
	i := slices.IndexFunc(all, func(m Member) bool { return m.ID == cell })
	if i < 0 {
		return Member{}, false
	}
	return all[i], true
}

func check(c topology.Cell) error {
	if _, err := topology.ParseCell(string(c.ID)); err != nil {
		return err
	}
	switch {
	case c.Region == "" || len(c.Region) > MaxText:
		return ErrInvalid.At("/region", "must be 1 to %d bytes", MaxText)
	case len(c.Residency) > MaxText:
		return ErrInvalid.At("/residency", "must be at most %d bytes", MaxText)
	case len(c.URLs) == 0:
		return ErrInvalid.At("/urls", "at least one is needed")
	case len(c.Keys) > MaxKeys:
		return ErrInvalid.At("/keys", "at most %d", MaxKeys)
	}
	for _, k := range c.Keys {
		if k.ID == "" || len(k.ID) > MaxText || k.X == "" || len(k.X) > MaxText {
			return ErrInvalid.At("/keys", "kid and x must be 1 to %d bytes", MaxText)
		}
		if !strings.HasPrefix(k.ID, string(c.ID)+"-") {
			return ErrInvalid.At("/keys", "%.40q is no key of %s", k.ID, c.ID)
		}
	}
	return nil
}

func checkURL(u string) error {
	parsed, err := url.Parse(u)
	if err != nil || len(u) > MaxText || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return ErrInvalid.At("/urls", "%.80q is not an http(s) URL of at most %d bytes", u, MaxText)
	}
	return nil
}
