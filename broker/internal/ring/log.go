package ring

import (
	"slices"
	"sort"
)

// chunkSize is the number of places in a chunk: 4 KiB.
const chunkSize = 256

// log lists the messages of a set, ordered by number, in chunks. A place stays
// after its message has been dropped, and is dead then, so that readers notice
// the loss. The dead ones at the front are removed at once. The others are
// removed a few chunks at a time when they are more than the living. What was
// lost with the removed ones stays known as one loss for a chunk.
type log[T any] struct {
	chunks  []*chunk[T]
	n       int  // places
	cleaned int  // chunk that compact continues with
	trimmed loss // before the first chunk
}

type chunk[T any] struct {
	places []place[T] // never empty
	lost   loss       // among the removed places of this chunk and before it
}

type place[T any] struct {
	number uint64
	r      *ring[T]
}

// alive reports whether the message is still kept. A ring drops its messages in
// order.
func (p *place[T]) alive() bool { return p.r.n > 0 && p.r.first().Number <= p.number }

// record returns the message of a place that is alive, and its index in its
// ring.
func (p *place[T]) record() (*Record[T], int) {
	i := p.r.after(p.number - 1)
	return p.r.at(i), i
}

// loss returns the loss of a dead place, the zero loss if the message expired.
// Its clock may be that of a later loss of the destination.
func (p *place[T]) loss() loss {
	if p.r.lost.number < p.number {
		return loss{}
	}
	return loss{p.number, p.r.lost.clock}
}

// add includes another loss in l.
func (l *loss) add(other loss) {
	l.number, l.clock = max(l.number, other.number), max(l.clock, other.clock)
}

func (l *log[T]) push(number uint64, r *ring[T]) {
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last].places) == cap(l.chunks[last].places) {
		size := chunkSize
		if last < 0 { // small sets are many
			size = 8
		}
		l.chunks = append(l.chunks, &chunk[T]{places: make([]place[T], 0, size)})
		last++
	}
	c := l.chunks[last]
	c.places = append(c.places, place[T]{number, r})
	l.n++
}

// oldest returns the ring with the oldest message of the set, nil if nothing is
// kept. It removes the dead places before it.
func (l *log[T]) oldest() *ring[T] {
	for len(l.chunks) > 0 {
		c := l.chunks[0]
		i := 0
		for i < len(c.places) && !c.places[i].alive() {
			l.trimmed.add(c.places[i].loss())
			c.places[i] = place[T]{}
			i++
		}
		l.n -= i
		if i < len(c.places) {
			c.places = c.places[i:]
			return c.places[0].r
		}
		l.trimmed.add(c.lost)
		l.remove(0)
	}
	l.chunks = nil
	return nil
}

func (l *log[T]) remove(i int) {
	l.chunks = slices.Delete(l.chunks, i, i+1)
	if l.cleaned > i {
		l.cleaned--
	}
}

// compact removes dead places if they are more than half. alive is the number
// of the others. It is called after each push and does its work when a chunk
// is full.
func (l *log[T]) compact(alive int) {
	last := len(l.chunks) - 1
	if last < 1 || len(l.chunks[last].places) < cap(l.chunks[last].places) || !l.sparse(alive) {
		return
	}
	l.cleanSome()
}

// sparse reports whether more than half of the places are dead.
func (l *log[T]) sparse(alive int) bool { return l.n > 2*alive+2*chunkSize }

// cleanSome cleans the next chunks. It returns false if there are none.
func (l *log[T]) cleanSome() bool {
	for range 4 {
		last := len(l.chunks) - 1
		if last < 1 {
			return false
		}
		if l.cleaned >= last { // never the chunk that is being filled
			l.cleaned = 0
		}
		l.clean(l.cleaned)
	}
	return true
}

// clean removes the dead places of a chunk, which is not the last, and joins it
// with the one before if both fit into one. Their loss is remembered in this
// chunk, and in the next for readers that have read the rest of this one.
func (l *log[T]) clean(i int) {
	c, next := l.chunks[i], l.chunks[i+1]
	before := len(c.places)
	c.places = slices.DeleteFunc(c.places, func(p place[T]) bool {
		if p.alive() {
			return false
		}
		c.lost.add(p.loss())
		next.lost.add(p.loss())
		return true
	})
	l.n -= before - len(c.places)
	switch {
	case len(c.places) == 0:
		next.lost.add(c.lost)
		l.remove(i)
	case i > 0 && len(l.chunks[i-1].places)+len(c.places) <= chunkSize:
		into := l.chunks[i-1]
		into.places = append(into.places, c.places...)
		into.lost.add(c.lost)
		l.remove(i)
	default:
		l.cleaned = i + 1
	}
}

// position is a place in the log. It is valid only while the set is locked.
type position struct{ chunk, i int }

// after returns the position of the first place with a greater number.
func (l *log[T]) after(number uint64) position {
	chunk := sort.Search(len(l.chunks), func(i int) bool {
		c := l.chunks[i].places
		return c[len(c)-1].number > number
	})
	if chunk == len(l.chunks) {
		return position{chunk, 0}
	}
	c := l.chunks[chunk].places
	return position{chunk, sort.Search(len(c), func(i int) bool { return c[i].number > number })}
}

// next returns the place at a position and moves on. It returns nil at the end.
func (l *log[T]) next(at *position) *place[T] {
	if at.chunk >= len(l.chunks) {
		return nil
	}
	c := l.chunks[at.chunk].places
	p := &c[at.i]
	if at.i++; at.i == len(c) {
		*at = position{at.chunk + 1, 0}
	}
	return p
}

// previous returns the place before a position and moves there. It returns nil
// at the front.
func (l *log[T]) previous(at *position) *place[T] {
	if at.i == 0 {
		if at.chunk == 0 {
			return nil
		}
		*at = position{at.chunk - 1, len(l.chunks[at.chunk-1].places)}
	}
	at.i--
	return &l.chunks[at.chunk].places[at.i]
}
