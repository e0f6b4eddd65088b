package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
)

// A chart is panels beside each other.
type chart struct {
	title, x string
	panels   []panel
}

type panel struct {
	title  string
	log    bool    // the x axis
	points []point // by x, which is above 0 on a logarithmic axis
}

// point is a median and the range of the runs.
type point struct{ x, y, low, high float64 }

// Pixels.
const (
	panelWidth  = 410
	chartHeight = 330
	left        = 56 // of the plot in its panel
	right       = 30
	top         = 76
	bottom      = 50
	inset       = 14 // of the first point, whose label would lie upon the other axis
)

// style has the colours of both schemes, with a background of its own: a page may
// be dark while the browser says that its user likes it light.
const style = `
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #59636e }
.back { fill: #ffffff; stroke: #d1d9e0 }
.head { font-size: 15px; font-weight: 600; fill: #1f2328 }
.name { font-size: 13px; fill: #1f2328 }
.grid { stroke: #e4e8ec }
.axis { stroke: #818b98 }
.line { fill: none; stroke: #0969da; stroke-width: 2; stroke-linejoin: round }
.range { stroke: #0969da; stroke-opacity: .4; stroke-width: 5; stroke-linecap: round }
.dot { fill: #0969da; stroke: #ffffff; stroke-width: 1.5 }
.value { font-size: 11px; fill: #1f2328; stroke: #ffffff; stroke-width: 3; paint-order: stroke; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
text { fill: #9198a1 }
.back { fill: #0d1117; stroke: #3d444d }
.head, .name { fill: #f0f6fc }
.grid { stroke: #21262d }
.axis { stroke: #656c76 }
.line, .range { stroke: #4493f8 }
.dot { fill: #4493f8; stroke: #0d1117 }
.value { fill: #f0f6fc; stroke: #0d1117 }
}
`

// svg draws the chart.
func (c chart) svg() []byte {
	var b bytes.Buffer
	width := panelWidth * len(c.panels)
	fmt.Fprintf(&b, "<svg xmlns=%q viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-labelledby=\"title desc\">\n",
		"http://www.w3.org/2000/svg", width, chartHeight, width, chartHeight)
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", html.EscapeString(c.title), html.EscapeString(c.description()))
	fmt.Fprintf(&b, "<style>%s</style>\n", style)
	fmt.Fprintf(&b, "<rect class=\"back\" x=\".5\" y=\".5\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", width-1, chartHeight-1)
	fmt.Fprintf(&b, "<text class=\"head\" x=\"20\" y=\"30\">%s</text>\n", html.EscapeString(c.title))
	for i, p := range c.panels {
		c.draw(&b, p, float64(i*panelWidth))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws one panel, which begins at a place.
func (c chart) draw(b *bytes.Buffer, p panel, offset float64) {
	x0, x1 := offset+left, offset+panelWidth-right
	y0, y1 := float64(chartHeight-bottom), float64(top)
	highest := slices.MaxFunc(p.points, func(a, b point) int { return cmp.Compare(a.high, b.high) }).high
	first, last := p.points[0].x, p.points[len(p.points)-1].x
	y, x := linear(highest*1.05, y0, y1), linear(last, x0, x1)
	if p.log {
		x = logarithmic(first, last, x0+inset, x1)
	}

	fmt.Fprintf(b, "<text class=\"name\" x=\"%.1f\" y=\"58\">%s</text>\n", offset+20, html.EscapeString(p.title))
	for _, t := range y.ticks {
		class := "grid"
		if t == 0 {
			class = "axis"
		}
		fmt.Fprintf(b, "<line class=%q x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", class, x0, y.at(t), x1, y.at(t))
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", x0-8, y.at(t)+4, number(t))
	}
	for _, t := range x.ticks {
		fmt.Fprintf(b, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x.at(t), y0, x.at(t), y0+5)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x.at(t), y0+19, number(t))
	}
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", (x0+x1)/2, y0+38, html.EscapeString(c.x))

	var path []string
	for _, pt := range p.points {
		path = append(path, fmt.Sprintf("%.1f,%.1f", x.at(pt.x), y.at(pt.y)))
		if pt.low < pt.high {
			fmt.Fprintf(b, "<line class=\"range\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x.at(pt.x), y.at(pt.low), x.at(pt.x), y.at(pt.high))
		}
	}
	fmt.Fprintf(b, "<polyline class=\"line\" points=%q/>\n", strings.Join(path, " "))
	var taken []label
	for i, pt := range slices.Backward(p.points) {
		fmt.Fprintf(b, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", x.at(pt.x), y.at(pt.y))
		anchor, aside := p.label(i)
		above := label{short(pt.y), anchor, x.at(pt.x) + aside, y.at(pt.high) - 10}
		before := label{short(pt.y), "end", x.at(pt.x) + 6, above.y}
		below := label{short(pt.y), "middle", x.at(pt.x), y.at(pt.low) + 18}
		for _, l := range []label{above, before, below} {
			if l.y > y0-4 || slices.ContainsFunc(taken, l.overlaps) {
				continue
			}
			taken = append(taken, l)
			fmt.Fprintf(b, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\" text-anchor=%q>%s</text>\n", l.x, l.y, l.anchor, l.text)
			break
		}
	}
}

// description says the same in words.
func (c chart) description() string {
	var b strings.Builder
	for _, p := range c.panels {
		fmt.Fprintf(&b, "%s by %s: ", p.title, c.x)
		for i, pt := range p.points {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s: %s", number(pt.x), number(pt.y))
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}
