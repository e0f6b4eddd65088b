package workqueue

// Purge removes the waiting messages of a queue and returns how many there
// were. It leaves unsettled messages with their consumers. found is false if
// there is no such queue.
func (s *Store[M, C]) Purge(name string) (removed int, found bool) {
	q := s.find(name)
	if q == nil {
		return 0, false
	}
	q.mu.Lock()
	found = q.exists()
	for q.waiting.len() > 0 {
		q.settle(q.waiting.front())
		q.waiting.pop()
		removed++
	}
	q.unlock()
	return removed, found
}
