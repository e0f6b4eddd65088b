package handlers

import (
	"context"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

// patience is how long a request waits for in_flight. With the longest time-out
// it is less than the 30 s in which a session that waits must be answered.
const patience = 15 * time.Second

// The memory of a request beside the text of its question, which is there twice:
// as the question, and as the headers and body of the frame. The first request
// of a session that waits also needs a goroutine.
const (
	overhead     = 1024
	laneOverhead = 8192
)

// lane has the requests of one session that wait for the one that is handled.
type lane struct{ waiting []*job }

// job is a request that is not answered yet.
type job struct {
	h     *handler
	r     *broker.Request
	owner string
	id    string
	body  []byte
	size  int64
	done  func(error)
}

// ServeSTOMP hands the request to the lane of its session, or stores it in the
// queue. It waits while there is no room, so that the session stops reading.
func (h *handler) ServeSTOMP(ctx context.Context, r *broker.Request) error {
	id, body, err := h.question(r)
	if err != nil {
		return err
	}
	if h.Via != "" && !r.Subscribe {
		return h.store(ctx, r, id, body)
	}
	owner, size := ownerOf(r), h.set.sizeOf(r.Session, body)
	if !h.set.roomShares.take(ctx, owner, size) { // the session has ended
		return unavailable()
	}
	if !h.set.room.take(ctx, size) {
		h.set.roomShares.give(owner, size)
		return unavailable()
	}
	h.set.put(&job{h, r, owner, id, body, size, r.Later()})
	return nil
}

// sizeOf returns the memory that a request of a session will use.
func (s *Set) sizeOf(session string, question []byte) int64 {
	n := int64(2*len(question) + overhead)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes[session] == nil {
		n += laneOverhead
	}
	return n
}

// put adds a job to the lane of its session.
func (s *Set) put(j *job) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		j.end(unavailable())
		return
	}
	defer s.mu.Unlock()
	session := j.r.Session
	if l := s.lanes[session]; l != nil {
		l.waiting = append(l.waiting, j)
		return
	}
	s.lanes[session] = new(lane)
	s.running.Go(func() {
		for ; j != nil; j = s.next(session) {
			j.end(j.handle())
		}
	})
}

// next returns the next job of a session, or removes its lane.
func (s *Set) next(session string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[session]
	if len(l.waiting) == 0 {
		delete(s.lanes, session)
		return nil
	}
	j := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return j
}

func (j *job) end(err error) {
	j.h.set.room.give(j.size)
	j.h.set.roomShares.give(j.owner, j.size)
	j.done(err)
}

// handle posts the request and does what the answer says.
func (j *job) handle() error {
	h := j.h
	if e := j.r.Expires; !e.IsZero() && !time.Now().Before(e) {
		return nil // as a message that has expired when it arrives
	}
	a, f := h.ask(h.set.ctx, j.owner, j.id, j.body)
	if f == nil {
		f = h.carryOut(h.set.ctx, a, func(ctx context.Context, m *broker.Message) error {
			_, err := j.r.Reply(ctx, m)
			return err
		}, func(*failure, *broker.Message) bool { return false })
	}
	if f != nil {
		h.report(f, "event", eventOf(j.r), "user", j.r.Principal.Name, "session", j.r.Session)
		return f.public
	}
	h.handled.Add(1)
	if a.refuse != "" {
		return &broker.Error{Reason: broker.ReasonDenied, Message: a.refuse}
	}
	return nil
}

// turn waits until a request may be sent. It returns false if that takes too
// long. A request without an owner, of a queue, counts against no share.
func (h *handler) turn(ctx context.Context, owner string) (release func(), f *failure) {
	ctx, cancel := context.WithTimeout(ctx, h.set.patience)
	defer cancel()
	var taken []func()
	release = func() {
		for _, give := range taken {
			give()
		}
	}
	if owner != "" {
		for _, one := range []*shares{h.shares, h.set.shares} {
			if !one.take(ctx, owner, 1) {
				release()
				return nil, busy()
			}
			taken = append(taken, func() { one.give(owner, 1) })
		}
	}
	for _, slots := range []chan struct{}{h.slots, h.set.slots} {
		select {
		case slots <- struct{}{}:
			taken = append(taken, func() { <-slots })
		case <-ctx.Done():
			release()
			return nil, busy()
		}
	}
	return release, nil
}
