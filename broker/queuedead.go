package broker

import "sync/atomic"

// bury moves a message that was delivered too often to its queue of dead
// letters. The message stays with the store until that is done. If there is no
// room, it goes on being delivered.
func (s *storedQueues) bury(_ *batch, m storedItem, queue string, attempts int, back func(*batch)) bool {
	put, ok := s.letter(m.Message, queue, deadAttempts, m.share, attempts)
	if !ok {
		return false
	}
	s.replace(m, put, func(err error, bt *batch) {
		if err != nil {
			back(bt)
		}
	})
	return true
}

// buryOfList moves a message of a durable subscription to the queue of dead
// letters.
func (s *storedQueues) buryOfList(_ *batch, m *Message, name string, attempts int, back func(*batch)) bool {
	put, ok := s.letter(m, name, deadAttempts, "", attempts)
	if !ok {
		return false
	}
	var answered atomic.Bool
	s.store.Append([]QueuePut{put}, func(err error) {
		if err != nil && !answered.Swap(true) {
			bt := s.b.newBatch()
			back(bt)
			bt.flushLater()
		}
	})
	return true
}

// expired makes a dead letter of a message that has expired, or drops it.
func (s *storedQueues) expired(_ *batch, m storedItem, queue string, attempts int) {
	s.b.stats.expired.Add(1)
	put, ok := s.expiredLetter(m.Message, queue, m.share, attempts)
	if !ok {
		m.from.ack([]uint64{m.sequence}, false)
		return
	}
	s.replace(m, put, func(err error, _ *batch) {
		switch {
		case err == nil:
		case isFull(err):
			s.droppedExpired(queue, err)
			m.from.ack([]uint64{m.sequence}, false)
		default:
			m.from.reader.Return([]uint64{m.sequence}) // it expires again
		}
	})
}

// letter returns the dead letter for a message, and false if its queue has none.
func (s *storedQueues) letter(m *Message, queue, reason, share string, attempts int) (QueuePut, bool) {
	name, dead, size := deadLetters(s.b.o.names, reason)(m, queue, attempts)
	return QueuePut{Queue: name, Message: dead, Size: size, Share: share}, name != ""
}

// expiredLetter is letter for a message that has expired.
func (s *storedQueues) expiredLetter(m *Message, queue, share string, attempts int) (QueuePut, bool) {
	if s.b.o.Queues.Expired == ExpiredDrop {
		return QueuePut{}, false
	}
	return s.letter(m, queue, deadExpired, share, attempts)
}

func (s *storedQueues) droppedExpired(queue string, err error) {
	s.b.warn("an expired message was dropped because it does not fit into the queue of dead letters", source{what: queue}, "queue", queue, "error", err)
}

// replace has the store replace a message that the window has forgotten. The
// reader stays open until that is done.
func (s *storedQueues) replace(m storedItem, put QueuePut, then func(error, *batch)) {
	q := m.from.q
	s.mu.Lock()
	q.replacing++
	s.mu.Unlock()
	var answered atomic.Bool
	s.store.Replace(q.name, m.sequence, put, func(err error) {
		if answered.Swap(true) {
			return
		}
		bt := s.b.newBatch()
		then(err, bt)
		bt.flushLater()
		s.mu.Lock()
		q.replacing--
		s.stopIdle(q)
		s.mu.Unlock()
		q.pump()
	})
}
