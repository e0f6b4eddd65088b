package schedule

// before is the order of the heap. Each item knows its place in the heap, so that
// it can be cancelled; container/heap would need a type of its own for that.
func (it *Item[O, T]) before(other *Item[O, T]) bool {
	return it.Due < other.Due || it.Due == other.Due && it.seq < other.seq
}

func (s *Schedule[O, T]) push(it *Item[O, T]) {
	s.heap = append(s.heap, it)
	s.up(it, len(s.heap)-1)
}

// take removes the item at a place.
func (s *Schedule[O, T]) take(i int) *Item[O, T] {
	it, end := s.heap[i], len(s.heap)-1
	last := s.heap[end]
	s.heap[end] = nil
	s.heap = s.heap[:end]
	if i < end {
		if i > 0 && last.before(s.heap[(i-1)/2]) {
			s.up(last, i)
		} else {
			s.down(last, i)
		}
	}
	it.index = taken
	if cap(s.heap) > 64 && len(s.heap) <= cap(s.heap)/4 {
		s.heap = append(make([]*Item[O, T], 0, cap(s.heap)/2), s.heap...)
	}
	return it
}

// up puts it at place i, or nearer to the front.
func (s *Schedule[O, T]) up(it *Item[O, T], i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !it.before(s.heap[parent]) {
			break
		}
		s.set(i, s.heap[parent])
		i = parent
	}
	s.set(i, it)
}

// down puts it at place i, or further from the front.
func (s *Schedule[O, T]) down(it *Item[O, T], i int) {
	for {
		child := 2*i + 1
		if child+1 < len(s.heap) && s.heap[child+1].before(s.heap[child]) {
			child++
		}
		if child >= len(s.heap) || it.before(s.heap[child]) {
			break
		}
		s.set(i, s.heap[child])
		i = child
	}
	s.set(i, it)
}

func (s *Schedule[O, T]) set(i int, it *Item[O, T]) {
	s.heap[i] = it
	it.index = i
}
