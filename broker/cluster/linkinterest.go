package cluster

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/topics"
)

// leaveAfter is how long an interest outlives its last subscriber: a page that
// is loaded anew does not make other nodes forget and learn it again.
const leaveAfter = 2 * time.Second

// interest is what the latest report said about a destination.
type interest struct {
	generation uint64
	wanted     bool
	held       bool // its subjects are subscribed to
	left       time.Time
}

// subscription is a subject that interests share.
type subscription struct {
	sub   *nats.Subscription
	users int
}

// Interest subscribes to what covers a destination.
func (l *Links) Interest(i topics.Interest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	was := l.wanted[i.Destination]
	if was == nil {
		was = new(interest)
		l.wanted[i.Destination] = was
	}
	if i.Generation > was.generation {
		was.generation, was.wanted = i.Generation, i.Wanted
		if !i.Wanted {
			was.left = time.Now()
		} else if !was.held {
			was.held = true
			l.hold(i.Destination)
		}
	}
	l.arrived(i.Generation)
}

// arrived notes that a report is here. The caller holds the lock.
func (l *Links) arrived(generation uint64) {
	l.early[generation] = struct{}{}
	before := l.applied
	for {
		if _, ok := l.early[l.applied+1]; !ok {
			break
		}
		l.applied++
		delete(l.early, l.applied)
	}
	if l.settled == before && !l.changed {
		l.settled = l.applied // the others have nothing to learn
	}
	if len(l.waiters) > 0 && l.applied > before {
		l.wake()
	}
}

// hold subscribes to the subjects of a destination. The caller holds the lock.
func (l *Links) hold(destination string) {
	for _, subject := range l.subject.interest(destination) {
		s := l.held[subject]
		if s == nil {
			sub, err := l.o.Conn.ChanSubscribe(subject, l.data)
			if err != nil { // only if the connection is closed
				l.log.Warn("other nodes cannot be told of an interest", "error", err)
				continue
			}
			s = &subscription{sub: sub}
			l.held[subject] = s
			l.changed = true
		}
		s.users++
	}
}

// release undoes hold. The caller holds the lock.
func (l *Links) release(destination string) {
	for _, subject := range l.subject.interest(destination) {
		s := l.held[subject]
		if s == nil {
			continue
		}
		if s.users--; s.users > 0 {
			continue
		}
		delete(l.held, subject)
		if n, err := s.sub.Dropped(); err == nil {
			l.counts.dropped.Add(uint64(n)) //nolint:gosec // a count
		}
		if err := s.sub.Unsubscribe(); err != nil {
			l.log.Warn("other nodes cannot be told that an interest has ended", "error", err)
		}
	}
}

// expire ends the interests whose last subscriber went long enough ago. A report
// that is still to come may be older than the one that is known, so an interest
// is not forgotten before all earlier reports are here. The caller holds the
// lock.
func (l *Links) expire(now time.Time) {
	for destination, i := range l.wanted {
		if i.wanted || i.generation > l.applied || now.Sub(i.left) < leaveAfter {
			continue
		}
		if i.held {
			l.release(destination)
		}
		delete(l.wanted, destination)
	}
}
