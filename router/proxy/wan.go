package proxy

import (
	"time"

	"guichet/control-plane/topology"
	"guichet/geo"
)

// Delay is how long a request is held back to play the distance between an
// attendee's region and a cell's.
type Delay func(from, to string) time.Duration

// MeasuredRTT plays the median round trip between the regions. It is for a town
// on one machine, where all cells are equally near.
func MeasuredRTT(from, to string) time.Duration {
	rtt, _ := geo.RTT(from, to)
	return rtt
}

// delay holds the request back once, whatever becomes of it; false if the client
// left meanwhile.
func (p *Proxy) delay(x *exchange, cell topology.Cell) bool {
	if p.cfg.Delay == nil || x.delayed {
		return true
	}
	x.delayed = true
	start := p.cfg.Now()
	defer func() { x.away += p.cfg.Now().Sub(start) }()
	hold := time.NewTimer(p.cfg.Delay(p.regionOf(x), cell.Region))
	defer hold.Stop()
	select {
	case <-hold.C:
		return true
	case <-x.r.Context().Done():
		return false
	}
}

// regionOf is the region an attendee is in, or counts as being in.
func (p *Proxy) regionOf(x *exchange) string {
	switch {
	case x.where.Located:
		return geo.RegionAt(x.where.At).Code
	case p.cfg.Region != "":
		return p.cfg.Region
	}
	c, _ := x.town.Cell(p.cfg.Default)
	return c.Region
}
