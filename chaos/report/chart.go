package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"slices"
	"strings"
)

// The chart's measures, in the units of its view box.
const (
	wide, left, right = 960.0, 70.0, 16.0
	bars, lines, gap  = 70.0, 90.0, 58.0
	top               = 46.0
	slowest, fastest  = 10_000.0, 1.0 // milliseconds, of a logarithmic axis
)

// second is what happened near one place in one second.
type second struct {
	ok, bad int
	took    []float64 // milliseconds, of all that ended
}

// at is a percentile, of the nearest rank.
func (s second) at(percent float64) float64 {
	slices.Sort(s.took)
	return s.took[min(len(s.took)-1, int(math.Ceil(float64(len(s.took))*percent/100))-1)]
}

// chart draws throughput, errors and latency near each place, one under the other, over
// the same time.
func (r *Run) chart() template.HTML {
	span := r.Stages["end"]
	for _, x := range r.Records {
		span = max(span, x.At.Seconds())
	}
	if span <= 0 {
		return ""
	}
	span = math.Ceil(span)
	var b strings.Builder
	tall := top + float64(len(r.Places))*(bars+lines+gap)
	sayf := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	sayf(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="Requests, failures and latency near each region over %.0f seconds">`, wide, tall, span)
	x := func(s float64) float64 { return left + (wide-left-right)*min(s, span)/span }
	if from, to := r.Stages["fault"], r.Stages["rollback"]; from > 0 {
		sayf(`<rect class="fault" x="%.1f" y="%.0f" width="%.1f" height="%.0f"/>`, x(from), top-14, x(to)-x(from), tall-top)
		sayf(`<text class="faulttext" x="%.1f" y="%.0f">something is broken</text>`, x(from)+4, top-18)
		if back := r.Stages["after"]; back > to {
			sayf(`<rect class="undo" x="%.1f" y="%.0f" width="%.1f" height="%.0f"/>`, x(to), top-14, x(back)-x(to), tall-top)
			sayf(`<text class="undotext" x="%.1f" y="%.0f">being repaired</text>`, x(to)+4, top-18)
		}
	}
	for i, p := range r.Places {
		r.panel(sayf, x, span, top+float64(i)*(bars+lines+gap), p)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers, and names that were escaped
}

func (r *Run) panel(sayf func(string, ...any), x func(float64) float64, span, y float64, p Place) {
	secs := make([]second, int(span)+1)
	busiest := 1
	for _, rec := range r.Records {
		if rec.Near != p.Cell {
			continue
		}
		s := &secs[min(int(rec.At.Seconds()), len(secs)-1)]
		if rec.OK || rec.SoldOut {
			s.ok++
		} else {
			s.bad++
		}
		s.took = append(s.took, rec.Took.Seconds()*1000)
		busiest = max(busiest, s.ok+s.bad)
	}
	sayf(`<text class="title" x="%.0f" y="%.1f">People near %s (%s)</text>`, left, y+14, html.EscapeString(p.City), html.EscapeString(p.Region))
	y += 22
	width := max(1, x(1)-x(0)-2)
	height := func(n int) float64 { return (bars - 8) * float64(n) / float64(busiest) }
	sayf(`<text class="axis" x="%.0f" y="%.1f">%d/s</text><text class="axis" x="%.0f" y="%.1f">0</text>`, left-8, y+12, busiest, left-8, y+bars)
	for i, s := range secs {
		if s.ok > 0 {
			sayf(`<rect class="ok" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x(float64(i))+1, y+bars-height(s.ok), width, height(s.ok))
		}
		if s.bad > 0 {
			sayf(`<rect class="failed" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x(float64(i))+1, y+bars-height(s.ok+s.bad), width, height(s.bad))
		}
	}
	y += bars + 6
	scale := func(ms float64) float64 {
		ms = min(max(ms, fastest), slowest)
		return y + lines - lines*math.Log(ms/fastest)/math.Log(slowest/fastest)
	}
	for _, tick := range []struct {
		ms   float64
		text string
	}{{1, "1 ms"}, {10, "10 ms"}, {100, "0.1 s"}, {1000, "1 s"}, {10_000, "10 s"}} {
		sayf(`<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text class="axis" x="%.0f" y="%.1f">%s</text>`, left, wide-right, scale(tick.ms), scale(tick.ms), left-8, scale(tick.ms)+4, tick.text)
	}
	for _, line := range []struct {
		class   string
		percent float64
	}{{"p99", 99}, {"p50", 50}} {
		var points []string
		for i, s := range secs {
			if len(s.took) > 0 {
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(i)+0.5), scale(s.at(line.percent))))
			}
		}
		sayf(`<polyline class="%s" points="%s"/>`, line.class, strings.Join(points, " "))
	}
	for s := 0.0; s <= span; s += 5 {
		sayf(`<text class="tick" x="%.1f" y="%.1f">%.0f s</text>`, x(s), y+lines+16, s)
	}
}
