package cluster

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/topics"
)

// leaveAfter is how long an interest outlives its last subscriber: a page that
// is loaded anew does not make other nodes forget and learn it again.
const (
	leaveAfter  = 2 * time.Second
	leaveMillis = uint32(leaveAfter / time.Millisecond)
)

// interest is what the latest report said about a destination. There may be a
// million of them.
type interest struct {
	generation uint64
	left       uint32 // when the last subscriber went, see clock
	wanted     bool
	held       bool // its subjects are subscribed to
	queued     bool // in Links.leaving
}

// leaver is an interest that may end.
type leaver struct {
	destination string
	due         uint32 // see clock
}

// clock returns the milliseconds since the links were made. It starts again
// after 49 days, so only differences mean something.
func (l *Links) clock(t time.Time) uint32 { return uint32(t.Sub(l.born).Milliseconds()) } //nolint:gosec // see above

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
	if was := l.wanted[i.Destination]; i.Generation > was.generation {
		was.generation, was.wanted = i.Generation, i.Wanted
		if !i.Wanted {
			was.left = l.clock(time.Now())
			if !was.queued { // once, however often it comes and goes
				was.queued = true
				l.leaving = append(l.leaving, leaver{i.Destination, was.left + leaveMillis})
			}
		}
		join := i.Wanted && !was.held
		was.held = was.held || join
		l.wanted[i.Destination] = was
		if join {
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

// hold subscribes to the subjects of a destination, where no fold stands for
// them. The caller holds the lock.
func (l *Links) hold(destination string) {
	for _, subject := range l.subject.interest(destination) {
		if l.held[subject] == nil {
			if f := l.covering(subject); f != nil {
				f.users++
				l.changed = l.changed || !f.known
				continue
			}
		}
		l.subscribe(subject)
	}
	if len(l.held)-l.going > l.o.Interests {
		l.fold()
	}
}

// subscribe subscribes to a subject, or adds a user to it. The caller holds the
// lock.
func (l *Links) subscribe(subject string) bool {
	s := l.held[subject]
	if s == nil {
		sub, err := l.o.Conn.ChanSubscribe(subject, l.data)
		if err != nil { // only if the connection is closed
			l.log.Warn("other nodes cannot be told of an interest", "error", err)
			return false
		}
		s = &subscription{sub: sub}
		l.held[subject] = s
		l.changed = true
	}
	s.users++
	return true
}

// release undoes hold. The caller holds the lock.
func (l *Links) release(destination string) {
	for _, subject := range l.subject.interest(destination) {
		s := l.held[subject]
		if s == nil {
			if f := l.covering(subject); f != nil {
				f.users--
			}
			continue
		}
		if s.users--; s.users > 0 {
			continue
		}
		delete(l.held, subject)
		l.end([]*nats.Subscription{s.sub})
	}
}

// expire ends the interests whose last subscriber went long enough ago. A report
// that is still to come may be older than the one that is known, so an interest
// is not forgotten before all earlier reports are here. The caller holds the
// lock.
func (l *Links) expire(now time.Time) {
	clock := l.clock(now)
	passed := func(due uint32) bool { return clock-due < 1<<31 }
	var again []leaver
	n := 0
	for ; n < len(l.leaving) && passed(l.leaving[n].due); n++ {
		destination := l.leaving[n].destination
		i := l.wanted[destination]
		switch due := i.left + leaveMillis; {
		case i.wanted:
			i.queued = false
			l.wanted[destination] = i
		case !passed(due) || i.generation > l.applied:
			again = append(again, leaver{destination, due})
		default:
			if i.held {
				l.release(destination)
			}
			delete(l.wanted, destination)
		}
	}
	if l.leaving = append(slices.Delete(l.leaving, 0, n), again...); len(l.leaving) < cap(l.leaving)/8 {
		l.leaving = slices.Clip(slices.Clone(l.leaving))
	}
}
