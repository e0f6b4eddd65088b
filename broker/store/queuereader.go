package store

import (
	"slices"

	"github.com/hoofbeat/hoofbeat/broker"
)

// maxFeed is how many messages are handed over at once.
const maxFeed = 64

// reader reads one queue for one user. It takes as many messages from its source
// as the user wants. All its fields are guarded by the lock of the source.
type reader struct {
	s    *source
	feed broker.QueueFeed

	dead      bool  // closed or failed
	failure   error // to be told to the feed, once
	want      int
	wantBytes int64
	begun     bool // something was handed over since the last Want
	feeding   bool // somebody calls the feed
}

// Open implements [broker.QueueStore].
func (q *Queues) Open(queue string, feed broker.QueueFeed) (broker.QueueReader, error) {
	for {
		s, err := q.openSource(queue)
		if err != nil {
			return nil, err
		}
		if r := s.read(feed); r != nil {
			return r, nil
		}
		// It has ended meanwhile, and there will be another one.
	}
}

// read adds a reader, unless the source has ended.
func (s *source) read(feed broker.QueueFeed) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	r := &reader{s: s, feed: feed}
	s.readers = append(slices.Clone(s.readers), r)
	return r
}

// Want implements [broker.QueueReader].
func (r *reader) Want(messages int, bytes int64) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.dead {
		return
	}
	if bytes <= 0 {
		messages = 0
	}
	r.want, r.wantBytes, r.begun = max(messages, 0), max(bytes, 0), false
	if r.want > 0 && len(s.shelf) > 0 && !r.feeding {
		go r.deliver()
	}
	s.request()
}

// deliver hands over what is on the shelf and wanted. Only one call of it feeds.
func (r *reader) deliver() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.feeding {
		return
	}
	r.feeding = true
	for !r.dead {
		list := r.next()
		if len(list) == 0 {
			break
		}
		s.mu.Unlock()
		r.feed.Messages(list)
		s.mu.Lock()
	}
	r.feeding = false
	r.tellFailure()
	s.request()
}

// next takes the messages that are handed over next. It stops at one whose failed
// delivery is not recorded yet, because that comes before the later ones. The
// caller holds the lock.
func (r *reader) next() []broker.StoredMessage {
	s := r.s
	if s.paused > 0 {
		return nil
	}
	n, bytes := 0, int64(0)
	for n < len(s.shelf) && n < r.want && n < maxFeed {
		m := &s.shelf[n].message
		size := int64(m.Size)
		if len(s.recording) > 0 && s.recording[m.Sequence] > 0 || (n > 0 || r.begun) && bytes+size > r.wantBytes {
			break
		}
		bytes += size
		n++
	}
	if n == 0 {
		return nil
	}
	list := make([]broker.StoredMessage, n)
	for i, h := range s.shelf[:n] {
		h.reader = r
		m := &list[i]
		*m = h.message
		m.Attempts = s.q.attempts.get(m.Sequence)
		if s.q.ledger.hand(s.queue, m.Sequence) {
			m.Redelivered = true
		}
	}
	s.shelf = slices.Delete(s.shelf, 0, n)
	s.shelfBytes -= bytes
	r.begun = true
	r.want -= n
	r.wantBytes = max(0, r.wantBytes-bytes)
	if r.wantBytes == 0 {
		r.want = 0
	}
	return list
}

// tellFailure calls the feed for the last time. The caller holds the lock.
func (r *reader) tellFailure() {
	if err := r.failure; err != nil && !r.feeding {
		r.failure = nil
		r.feeding = true // nothing comes after it
		go r.feed.Failed(err)
	}
}

// Close implements [broker.QueueReader].
func (r *reader) Close() {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.dead {
		return
	}
	r.dead, r.want = true, 0
	s.returnAll(r)
	at := slices.Index(s.readers, r)
	s.readers = slices.Delete(slices.Clone(s.readers), at, at+1)
	if len(s.readers) == 0 {
		s.leave()
		return
	}
	go s.offer()
}
