package workqueue

// Purge removes the messages that wait in a queue and returns how many there were. Those that consumers hold unsettled
// stay theirs. found is false if there is no such queue.
func (s *Store[M, C]) Purge(name string) (removed int, found bool) {
	sh := s.shard(name)
	sh.mu.RLock()
	q := sh.queues[name]
	sh.mu.RUnlock()
	if q == nil {
		return 0, false
	}
	q.mu.Lock()
	found = q.messages > 0 || q.consumers > 0
	for q.waiting.len() > 0 {
		q.settle(q.waiting.front())
		q.waiting.pop()
		removed++
	}
	q.unlock()
	return removed, found
}
