package roster

// list is a doubly linked list of members.
type list struct {
	first, last *member
	n           int
}

func (l *list) push(m *member) {
	if m.prev = l.last; m.prev != nil {
		m.prev.next = m
	} else {
		l.first = m
	}
	l.last = m
	l.n++
}

func (l *list) remove(m *member) {
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		l.first = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		l.last = m.prev
	}
	m.prev, m.next = nil, nil
	l.n--
}
