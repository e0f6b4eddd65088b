package topics

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// trie holds the pattern subscriptions of an Index, by segments. A look-up
// follows all patterns at once: it keeps the set of branches that the path has
// reached, and advances it segment by segment. So it never tries a branch twice
// for the same segment, whatever the patterns are.
type trie[S comparable] struct {
	mu       sync.RWMutex
	patterns elastic[string, *leaf[S]]
	absolute branch[S] // patterns that begin with a separator
	relative branch[S] // all other patterns

	size       atomic.Int64  // number of subscriptions
	generation atomic.Uint64 // changes on every change; a value read under mu belongs to the data read with it
}

// leaf is one pattern and its subscribers.
type leaf[S comparable] struct {
	bag      bag[S]
	at       *branch[S]
	trailing bool // the pattern ends with a separator
}

// branch represents the first segments of a pattern.
type branch[S comparable] struct {
	segment segment
	parent  *branch[S] // nil for the two roots
	plain   bool       // no ** in its segments, so a look-up visits it at most once

	children children[S]
	whole    *branch[S] // the child "*"
	deep     *branch[S] // the child "**"
	globs    *globs[S]  // children with other wildcards, nil if none

	leaves []*leaf[S] // several only if patterns differ in empty segments alone
}

func newTrie[S comparable]() *trie[S] {
	return &trie[S]{
		absolute: branch[S]{plain: true},
		relative: branch[S]{plain: true},
	}
}

func (t *trie[S]) root(leading bool) *branch[S] {
	if leading {
		return &t.absolute
	}
	return &t.relative
}

// add adds s to the subscribers of a pattern. It returns the number of the
// change if s is the first, and else 0, and the number of the latest change
// then.
func (t *trie[S]) add(pattern string, s S, n *interests) (changed, current uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.patterns.all[pattern]
	if l == nil {
		p := newPattern(pattern)
		at := t.root(p.leading)
		for _, g := range p.segments {
			at = at.grow(g)
		}
		l = &leaf[S]{at: at, trailing: p.trailing}
		at.leaves = append(at.leaves, l)
		t.patterns.set(pattern, l)
		changed = n.change()
	}
	l.bag.add(s)
	t.size.Add(1)
	t.generation.Add(1)
	return changed, n.current()
}

// remove removes one s and reports whether there was one. It returns the number
// of the change if s was the last, and else 0.
func (t *trie[S]) remove(pattern string, s S, n *interests) (removed bool, changed uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.patterns.all[pattern]
	if l == nil || !l.bag.remove(s) {
		return false, 0
	}
	if l.bag.len() == 0 {
		changed = n.change()
		t.patterns.delete(pattern)
		i := slices.Index(l.at.leaves, l)
		l.at.leaves = slices.Delete(l.at.leaves, i, i+1)
		l.at.prune()
	}
	t.size.Add(-1)
	t.generation.Add(1)
	return true, changed
}

// match appends to found the snapshots of all patterns that match path. It
// returns the generation of those snapshots.
func (t *trie[S]) match(path string, found [][]S) ([][]S, uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var room [3][8]*branch[S]
	w := walk[S]{reached: room[0][:0], held: room[1][:0]}
	w = w.enter(t.root(strings.HasPrefix(path, "/")))
	spare := room[2][:0]
	for text, rest := nextSegment(path); text != ""; text, rest = nextSegment(rest) {
		from := w.reached
		w.reached = spare[:0]
		w = w.step(from, text)
		spare = from
	}
	return w.collect(strings.HasSuffix(path, "/"), found), t.generation.Load()
}

// counts yields each pattern with its number of subscriptions. It does not hold
// the lock while it yields.
func (t *trie[S]) counts() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		t.mu.RLock()
		found := make(map[string]int, len(t.patterns.all))
		for pattern, l := range t.patterns.all {
			found[pattern] = l.bag.len()
		}
		t.mu.RUnlock()
		for pattern, n := range found {
			if !yield(pattern, n) {
				return
			}
		}
	}
}

// grow returns the child for a segment, creating it if necessary.
func (b *branch[S]) grow(g segment) *branch[S] {
	if c := b.children.get(g.text); c != nil {
		return c
	}
	g.text = strings.Clone(g.text) // the branch may outlive the pattern that contains the text
	c := &branch[S]{segment: g, parent: b, plain: b.plain && g.form != deep}
	switch g.form {
	case whole:
		b.whole = c
	case deep:
		b.deep = c
	case starred, masked:
		if b.globs == nil {
			b.globs = new(globs[S])
		}
		b.globs.add(c)
	}
	b.children.add(c)
	return c
}

// prune removes the branch if it is unused, then likewise its parent.
func (b *branch[S]) prune() {
	for b.parent != nil && len(b.leaves) == 0 && b.children.len() == 0 {
		p := b.parent
		p.children.delete(b.segment.text)
		switch b.segment.form {
		case whole:
			p.whole = nil
		case deep:
			p.deep = nil
		case starred, masked:
			if p.globs.remove(b); p.globs.empty() {
				p.globs = nil
			}
		}
		b = p
	}
}
