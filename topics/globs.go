package topics

import (
	"slices"
	"strings"
)

// fewGlobs is the number of globs below one branch up to which they are
// compared one by one.
const fewGlobs = 8

// globs are the children of a branch that contain wildcards and are neither *
// nor **. Each text occurs once, however many subscribe to it. If there are
// many, those whose only wildcard is one star at an end, such as a* and *a, are
// indexed by the text before or after it: a segment then costs one look-up per
// length of such texts, however many there are. The others are compared one by
// one; see [Destination.Slow].
type globs[S comparable] struct {
	compared     []*branch[S]
	heads, tails affixes[S] // empty while there are few globs
}

// affixes is an index of branches by their head, or by their tail.
type affixes[S comparable] struct {
	all   elastic[string, *branch[S]]
	sizes []affixSize // ascending
}

// affixSize counts the affixes of one length.
type affixSize struct{ size, affixes int }

// add adds a child with a new text.
func (g *globs[S]) add(c *branch[S]) {
	if g.indexed() && g.index(c) {
		return
	}
	g.compared = append(g.compared, c)
	if len(g.compared) > fewGlobs && !g.indexed() {
		g.compared = slices.DeleteFunc(g.compared, g.index)
	}
}

func (g *globs[S]) empty() bool { return len(g.compared) == 0 && !g.indexed() }

func (g *globs[S]) indexed() bool { return len(g.heads.sizes)+len(g.tails.sizes) > 0 }

// index adds c to the heads or tails. It reports false if c belongs to neither.
func (g *globs[S]) index(c *branch[S]) bool {
	head, tail, ok := affix(c.segment.text)
	switch {
	case !ok:
		return false
	case head != "":
		g.heads.add(head, c)
	default:
		g.tails.add(tail, c)
	}
	return true
}

// remove removes a child.
func (g *globs[S]) remove(c *branch[S]) {
	head, tail, ok := affix(c.segment.text)
	switch {
	case ok && head != "" && g.heads.delete(head, c):
	case ok && tail != "" && g.tails.delete(tail, c):
	default:
		i := slices.Index(g.compared, c)
		g.compared = slices.Delete(g.compared, i, i+1)
		if 4*len(g.compared) < cap(g.compared) {
			g.compared = slices.Clone(g.compared)
		}
	}
}

func (a *affixes[S]) add(text string, c *branch[S]) {
	a.all.set(text, c)
	i := a.search(len(text))
	if i == len(a.sizes) || a.sizes[i].size != len(text) {
		a.sizes = slices.Insert(a.sizes, i, affixSize{size: len(text)})
	}
	a.sizes[i].affixes++
}

func (a *affixes[S]) delete(text string, c *branch[S]) bool {
	if a.all.all[text] != c {
		return false
	}
	a.all.delete(text)
	i := a.search(len(text))
	if a.sizes[i].affixes--; a.sizes[i].affixes == 0 {
		a.sizes = slices.Delete(a.sizes, i, i+1)
	}
	return true
}

func (a *affixes[S]) search(size int) int {
	i, _ := slices.BinarySearchFunc(a.sizes, size, func(s affixSize, size int) int { return s.size - size })
	return i
}

// takeGlobs enters the globs that match text.
func (w walk[S]) takeGlobs(g *globs[S], text string) walk[S] {
	for _, c := range g.compared {
		if c.segment.match(text) {
			w = w.enter(c)
		}
	}
	for _, s := range g.heads.sizes {
		if s.size > len(text) {
			break
		}
		if c := g.heads.all.all[text[:s.size]]; c != nil {
			w = w.enter(c)
		}
	}
	for _, s := range g.tails.sizes {
		if s.size > len(text) {
			break
		}
		if c := g.tails.all.all[text[len(text)-s.size:]]; c != nil {
			w = w.enter(c)
		}
	}
	return w
}

// affix returns the text of a segment whose only wildcard is one star at its
// beginning or end. ok is false for all other segments.
func affix(segment string) (head, tail string, ok bool) {
	if strings.Count(segment, "*") != 1 || strings.Contains(segment, "?") {
		return "", "", false
	}
	head, tail, _ = strings.Cut(segment, "*")
	return head, tail, head == "" || tail == ""
}
