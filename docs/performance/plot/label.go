package main

import "math"

// Pixels.
const (
	digit      = 7 // with some room
	lineHeight = 14
)

// A label stands at a point: above it, or where it would lie upon another a little
// before or below it. If all that is taken it is left out.
type label struct {
	text, anchor string
	x, y         float64
}

func (l label) overlaps(other label) bool {
	return math.Abs(l.y-other.y) < lineHeight && l.left() < other.left()+other.width() && other.left() < l.left()+l.width()
}

func (l label) width() float64 { return digit * float64(len(l.text)) }

func (l label) left() float64 {
	switch l.anchor {
	case "start":
		return l.x
	case "end":
		return l.x - l.width()
	}
	return l.x - l.width()/2
}

// label says where above a point its label is clear of the line.
func (p panel) label(i int) (anchor string, aside float64) {
	at := func(i int) float64 { return p.points[min(max(i, 0), len(p.points)-1)].y }
	switch before, here, after := at(i-1), at(i), at(i+1); {
	case before >= here && here > after:
		return "start", -6
	case before < here && here < after && i > 0:
		return "end", 6
	}
	return "middle", 0
}
