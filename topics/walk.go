package topics

// walk is the state of one look-up in a trie. Its methods return the changed
// state instead of using a pointer, so that the lists can stay on the caller's
// stack.
type walk[S comparable] struct {
	reached []*branch[S] // reached by exactly the segments so far
	held    []*branch[S] // ** branches, which stay reached to the end
	// seen contains the held branches that can be reached again, namely those
	// below another **. Usually there are few or none, but a hostile set of
	// patterns must not make the check slow.
	seen map[*branch[S]]struct{}
}

// enter records that b is reached, and its child **, which may match no
// segment.
func (w walk[S]) enter(b *branch[S]) walk[S] {
	w.reached = append(w.reached, b)
	d := b.deep
	if d == nil {
		return w
	}
	if !b.plain {
		if _, ok := w.seen[d]; ok {
			return w
		}
		if w.seen == nil {
			w.seen = make(map[*branch[S]]struct{})
		}
		w.seen[d] = struct{}{}
	}
	w.held = append(w.held, d)
	return w
}

// step advances the walk by one segment of the path.
func (w walk[S]) step(from []*branch[S], text string) walk[S] {
	// A ** reached in this step applies from the next segment on.
	held := w.held
	for _, b := range from {
		w = w.take(b, text)
	}
	for _, b := range held {
		w = w.take(b, text)
	}
	return w
}

// take enters the children of b that match text.
func (w walk[S]) take(b *branch[S], text string) walk[S] {
	if c := b.children.get(text); c != nil && c.segment.form == literal {
		w = w.enter(c)
	}
	if b.whole != nil {
		w = w.enter(b.whole)
	}
	if b.globs != nil {
		w = w.takeGlobs(b.globs, text)
	}
	return w
}

// collect appends the snapshots of all patterns that match the whole path.
func (w walk[S]) collect(trailing bool, found [][]S) [][]S {
	for _, b := range w.reached {
		for _, l := range b.leaves {
			if l.trailing == trailing {
				found = append(found, l.bag.snapshot())
			}
		}
		if trailing && b.plain && b.whole != nil { // /a/* matches /a/
			for _, l := range b.whole.leaves {
				found = append(found, l.bag.snapshot())
			}
		}
	}
	for _, b := range w.held {
		for _, l := range b.leaves {
			found = append(found, l.bag.snapshot())
		}
	}
	return found
}
