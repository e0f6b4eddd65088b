package store

import "fmt"

// Shares returns what counts against each share.
func (q *Queues) Shares() map[string]string {
	q.ledger.mu.Lock()
	defer q.ledger.mu.Unlock()
	all := map[string]string{"total": fmt.Sprint(q.ledger.bytes, " ", q.ledger.counted, " ", q.ledger.expiring)}
	for name, s := range q.ledger.shares {
		all[name] = fmt.Sprint(s.bytes, " ", s.uses, " ", s.queues)
	}
	return all
}

// SubjectOf returns the subject of a queue.
func SubjectOf(queue string) string {
	token, _ := queueToken(queue)
	n := namesOf("")
	return n.subjects + token
}
