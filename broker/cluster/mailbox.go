package cluster

import "sync"

// mailbox hands what several goroutines put into it to one that works it off, in
// order. It has no bound of its own.
type mailbox[T any] struct {
	mu     sync.Mutex
	some   sync.Cond
	list   []T
	closed bool
}

func newMailbox[T any]() *mailbox[T] {
	m := new(mailbox[T])
	m.some.L = &m.mu
	return m
}

func (m *mailbox[T]) add(one T) {
	m.mu.Lock()
	m.list = append(m.list, one)
	m.mu.Unlock()
	m.some.Signal()
}

// close ends the wait of take. What is added later is not lost.
func (m *mailbox[T]) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.some.Signal()
}

// take waits until something is there or the mailbox is closed, and returns all
// that is there. What comes next is put into spare, which may be nil.
func (m *mailbox[T]) take(spare []T) (list []T, closed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.list) == 0 && !m.closed {
		m.some.Wait()
	}
	list, m.list = m.list, spare
	return list, m.closed
}
