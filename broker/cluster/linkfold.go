package cluster

import (
	"strings"

	"github.com/nats-io/nats.go"
)

// fold is one subscription in place of many: to all subjects that begin with
// the same tokens. More messages come than are wanted, and the broker sorts them
// out, but a subject costs 1.1 KiB here and 0.7 KiB on every other node.
type fold struct {
	prefix string // hb.t.topic.a stands for hb.t.topic.a.>
	sub    *nats.Subscription
	users  int  // as those of a subscription
	going  int  // how many subscriptions it will replace
	known  bool // all live nodes know it, and what it replaces is gone
}

// change is what waits until all live nodes know what was subscribed to before
// it. One of the two is set.
type change struct {
	to  *fold              // takes over
	end *nats.Subscription // is not needed any more
}

// covering returns the fold that stands for a subject: of several the most
// exact. A * counts as any other token. The caller holds the lock.
func (l *Links) covering(subject string) *fold {
	if len(l.folds) == 0 {
		return nil
	}
	for {
		end := strings.LastIndexByte(subject, '.')
		if end < 0 {
			return nil
		}
		subject = subject[:end]
		if f := l.folds[subject]; f != nil {
			return f
		}
	}
}

// fold replaces subscriptions by one that covers them. It is made at once, and
// they go when all live nodes know it, so nothing is missed. The caller holds the
// lock.
func (l *Links) fold() {
	prefix, n := l.heaviest()
	if n == 0 {
		return
	}
	sub, err := l.o.Conn.ChanSubscribe(prefix+".>", l.data)
	if err != nil { // only if the connection is closed
		l.log.Warn("other nodes cannot be told of an interest", "error", err)
		return
	}
	f := &fold{prefix: prefix, sub: sub, going: n}
	l.folds[prefix] = f
	l.going += n
	l.changed = true
	l.changes = append(l.changes, change{to: f})
	l.wake()
	l.log.Info("many interests become one, so this node gets messages that nobody here wants", "interest", sub.Subject, "subscriptions", n)
}

// heaviest returns the longest prefix that an eighth of the allowed number of
// subjects share, and how many share it. What is covered already does not count.
// The caller holds the lock.
func (l *Links) heaviest() (prefix string, n int) {
	prefix = l.subject.topics()
	list := make([]string, 0, len(l.held))
	for subject := range l.held {
		if strings.HasPrefix(subject, prefix+".") && l.covering(subject) == nil {
			list = append(list, subject)
		}
	}
	for {
		counts, best := make(map[string]int), ""
		for _, subject := range list {
			token, _, more := strings.Cut(subject[len(prefix)+1:], ".")
			if !more {
				continue // a fold does not cover its own prefix
			}
			counts[token]++
			if c := counts[token] - counts[best]; c > 0 || c == 0 && token < best {
				best = token
			}
		}
		if counts[best] < max(2, l.o.Interests/8) {
			return prefix, len(list)
		}
		prefix += "." + best
		kept := list[:0]
		for _, subject := range list {
			if strings.HasPrefix(subject, prefix+".") {
				kept = append(kept, subject)
			}
		}
		list = kept
	}
}

// unfold ends the smallest fold if half of the allowed number of subjects is
// enough for what it stands for and all others: so a node at its limit does not
// fold and unfold in turns. The caller holds the lock.
func (l *Links) unfold() {
	var f *fold
	for _, each := range l.folds {
		if each.known && (f == nil || each.users < f.users) {
			f = each
		}
	}
	if f == nil || len(l.changes) > 0 || len(l.held)+f.users > l.o.Interests/2 {
		return
	}
	made := make(map[string]struct{})
	for destination, i := range l.wanted {
		if !i.held {
			continue
		}
		for _, subject := range l.subject.interest(destination) {
			if l.covering(subject) != f {
				continue
			}
			if _, ok := made[subject]; !ok && l.held[subject] != nil {
				continue // never left
			}
			if l.subscribe(subject) {
				made[subject] = struct{}{}
			}
		}
	}
	delete(l.folds, f.prefix)
	l.changes = append(l.changes, change{end: f.sub})
	l.wake()
	l.log.Info("an interest that stood for many is one for each again", "interest", f.sub.Subject, "subscriptions", len(made))
}

// change makes the changes that have waited for a barrier. It returns the
// subscriptions that have to end. The caller holds the lock.
func (l *Links) change(list []change) (end []*nats.Subscription) {
	for _, c := range list {
		if c.to != nil {
			end = append(end, l.takeOver(c.to)...)
		} else {
			end = append(end, c.end)
		}
	}
	if len(l.held)-l.going > l.o.Interests { // less has gone than was expected
		l.fold()
	}
	return end
}

// takeOver makes a fold stand for all that it covers. It returns the
// subscriptions that have to end. The caller holds the lock.
func (l *Links) takeOver(f *fold) (end []*nats.Subscription) {
	l.going -= f.going
	if l.folds[f.prefix] != f {
		return nil // another one that covers it came first
	}
	f.known = true
	for subject, s := range l.held {
		if strings.HasPrefix(subject, f.prefix+".") {
			f.users += s.users
			delete(l.held, subject)
			end = append(end, s.sub)
		}
	}
	for prefix, smaller := range l.folds {
		if strings.HasPrefix(prefix, f.prefix+".") {
			f.users += smaller.users
			delete(l.folds, prefix)
			end = append(end, smaller.sub)
		}
	}
	return end
}

// end ends subscriptions.
func (l *Links) end(list []*nats.Subscription) {
	for _, sub := range list {
		if n, err := sub.Dropped(); err == nil {
			l.counts.dropped.Add(uint64(n)) //nolint:gosec // a count
		}
		if err := sub.Unsubscribe(); err != nil && !l.o.Conn.IsClosed() {
			l.log.Warn("other nodes cannot be told that an interest has ended", "error", err)
		}
	}
}
