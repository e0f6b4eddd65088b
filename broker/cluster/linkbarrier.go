package cluster

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// waiter waits until a generation is settled.
type waiter struct {
	generation uint64
	done       func(error)
}

// barrier is one question to all live nodes. It travels behind the subscriptions
// that were made before it, over the same connections, so a node that answers has
// a server that knows them.
type barrier struct {
	id   uint64
	left map[string]struct{}
	done chan struct{} // closed when all have answered
}

// Settle calls done when all live nodes know the interests up to a generation,
// or with the error of Refused.
func (l *Links) Settle(generation uint64, done func(error)) {
	l.mu.Lock()
	l.await(&l.waiters, l.settled, waiter{generation, done})
}

// await adds to those that wait for a barrier, if it is not known already. The
// caller holds the lock, which await releases.
func (l *Links) await(list *[]waiter, known uint64, w waiter) {
	err := l.refusal()
	switch {
	case l.closed:
		err = errLinksClosed
	case err == nil && known < w.generation:
		*list = append(*list, w)
		l.wake()
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	w.done(err)
}

// awaited reports whether anybody waits for a barrier. The caller holds the lock.
func (l *Links) awaited() bool { return len(l.waiters)+len(l.users.waiters) > 0 }

// takeWaiters returns all that wait, and forgets them. The caller holds the lock.
func (l *Links) takeWaiters() []waiter {
	all := append(l.waiters, l.users.waiters...)
	l.waiters, l.users.waiters = nil, nil
	return all
}

// ready takes those out of a list that wait for no more than is known.
func ready(list *[]waiter, known uint64) (ready []waiter) {
	waiting := (*list)[:0]
	for _, w := range *list {
		if w.generation <= known {
			ready = append(ready, w)
		} else {
			waiting = append(waiting, w)
		}
	}
	clear((*list)[len(waiting):])
	*list = waiting
	return ready
}

// wake has the barriers looked at.
func (l *Links) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// unsettle makes all interest unsettled: a node has come, or a connection has
// returned, and with it all subscriptions are on their way again. The caller
// holds the lock.
func (l *Links) unsettle() {
	l.joins++
	l.settled, l.users.known, l.changed = 0, 0, true
	if l.awaited() {
		l.wake()
	}
}

// settle runs one barrier at a time: what comes meanwhile shares the next.
func (l *Links) settle() {
	for {
		select {
		case <-l.done:
			return
		case <-l.kick:
		}
		for l.pass() {
		}
	}
}

// pass runs a barrier for those that wait, if there are any that it can help, and
// for changes of subscriptions.
func (l *Links) pass() bool {
	l.mu.Lock()
	if l.closed || !l.awaited() && len(l.changes) == 0 {
		l.mu.Unlock()
		return false
	}
	if err := l.refusal(); err != nil {
		waiters := l.takeWaiters()
		l.mu.Unlock()
		for _, w := range waiters {
			w.done(err)
		}
		return false
	}
	var end []*nats.Subscription
	if changes := len(l.changes); l.settled < l.applied || len(l.users.waiters) > 0 || changes > 0 {
		target, users, joins := l.applied, l.users.made, l.joins
		l.changed = false
		l.barriers++
		b := &barrier{id: l.barriers, left: make(map[string]struct{}, len(l.nodes)), done: make(chan struct{})}
		asked := make([]string, 0, len(l.nodes))
		for id := range l.nodes {
			b.left[id] = struct{}{}
			asked = append(asked, id)
		}
		l.barrier = b
		l.mu.Unlock()
		if len(asked) > 0 {
			l.ask(b, asked)
		}
		l.mu.Lock()
		l.barrier = nil
		if l.closed { // the silence is ours
			l.mu.Unlock()
			return false
		}
		for id := range b.left { // the silent go first, then comes the answer
			l.forget(id, "it did not confirm an interest")
		}
		if l.joins != joins || l.refusal() != nil {
			l.mu.Unlock()
			return true
		}
		l.settled, l.users.known = target, users
		end = l.change(l.changes[:changes])
		l.changes = slices.Delete(l.changes, 0, changes)
	}
	settled := append(ready(&l.waiters, l.settled), ready(&l.users.waiters, l.users.known)...)
	again := len(l.waiters) > 0 && l.settled < l.applied || len(l.users.waiters) > 0 || len(l.changes) > 0
	l.mu.Unlock()
	for _, w := range settled {
		w.done(nil)
	}
	l.end(end)
	return again
}

// ask puts the question of a barrier and waits for the answers, up to the
// deadline.
func (l *Links) ask(b *barrier, nodes []string) {
	question := note{noteQuestion, l.peer.Node, b.id}.encode()
	for _, id := range nodes {
		if err := l.o.Conn.Publish(l.subject.node(id), question); err != nil {
			l.log.Warn("a node cannot be asked whether it knows an interest", "node", id, "error", err)
		}
	}
	late := time.NewTimer(l.o.Deadline)
	defer late.Stop()
	select {
	case <-b.done:
	case <-late.C:
	case <-l.done:
	}
}

// answered notes that a node has answered, or need not any more. The caller
// holds the lock.
func (l *Links) answered(id uint64, node string) {
	b := l.barrier
	if b == nil || b.id != id {
		return
	}
	if _, ok := b.left[node]; !ok {
		return
	}
	if delete(b.left, node); len(b.left) == 0 {
		close(b.done)
	}
}
