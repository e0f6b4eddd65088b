package cluster

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// userInterests are the buckets with users here. They have a barrier of their
// own, which is a question: as soon as a bucket is known everywhere, nobody
// waits for it again. The lock of the Links guards them.
type userInterests struct {
	buckets [userBuckets]userBucket
	made    uint64 // buckets subscribed to so far
	known   uint64 // of them, those up to this one are known to all live nodes
	joins   uint64 // Links.joins when this was true
	waiters []waiter
	asking  bool
}

type userBucket struct {
	sessions int
	sub      *nats.Subscription
	made     uint64    // its number
	left     time.Time // when the last session went
}

// Join says that a session of a user is here.
func (l *Links) Join(user string) {
	n := bucketOf(user)
	l.mu.Lock()
	defer l.mu.Unlock()
	u := &l.users.buckets[n]
	u.sessions++
	if u.sub != nil || l.closed {
		return
	}
	sub, err := l.o.Conn.ChanSubscribe(l.subject.bucket(n), l.data)
	if err != nil { // only if the connection is closed
		l.log.Warn("other nodes cannot be told of a user", "error", err)
		return
	}
	l.users.made++
	u.sub, u.made = sub, l.users.made
}

// Leave says that a session of a user is no longer here. As with other
// interests, the bucket goes later.
func (l *Links) Leave(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := &l.users.buckets[bucketOf(user)]
	if u.sessions--; u.sessions == 0 {
		u.left = time.Now()
	}
}

// missReplies notices that replies were dropped because too many came at once.
// Outcomes may have been among them. The caller holds the lock.
func (l *Links) missReplies() {
	n, err := l.repliesFrom.Dropped()
	if err != nil || n == l.repliesDropped {
		return
	}
	l.lost(uint64(n-l.repliesDropped), "replies came faster than this node reads them", nil) //nolint:gosec // a count
	l.repliesDropped = n
	for id := range l.nodes {
		l.asks.uncertain(id)
	}
}

// expireUsers ends the buckets whose last session went long enough ago. The
// caller holds the lock.
func (l *Links) expireUsers(now time.Time) {
	for i := range l.users.buckets {
		u := &l.users.buckets[i]
		if u.sub == nil || u.sessions > 0 || now.Sub(u.left) < leaveAfter {
			continue
		}
		l.endUser(u)
	}
}

// endUser ends the subscription of a bucket. The caller holds the lock.
func (l *Links) endUser(u *userBucket) {
	if n, err := u.sub.Dropped(); err == nil {
		l.counts.dropped.Add(uint64(n)) //nolint:gosec // a count
	}
	if err := u.sub.Unsubscribe(); err != nil && !l.o.Conn.IsClosed() {
		l.log.Warn("other nodes cannot be told that a user has gone", "error", err)
	}
	u.sub = nil
}

// Known calls done when all live nodes know that a user is here.
func (l *Links) Known(user string, done func(error)) {
	l.mu.Lock()
	number := l.users.buckets[bucketOf(user)].made
	switch {
	case l.closed:
		l.mu.Unlock()
		done(errLinksClosed)
		return
	case l.usersKnown() >= number || len(l.nodes) == 0:
		l.mu.Unlock()
		done(nil)
		return
	}
	l.users.waiters = append(l.users.waiters, waiter{number, done})
	ask := !l.users.asking
	l.users.asking = true
	l.mu.Unlock()
	if ask {
		l.askKnown()
	}
}

// usersKnown returns the number up to which buckets are known to all live nodes.
// The caller holds the lock.
func (l *Links) usersKnown() uint64 {
	if l.users.joins != l.joins { // all is on its way again
		l.users.joins, l.users.known = l.joins, 0
	}
	return l.users.known
}

// askKnown asks all live nodes for an answer, which comes behind all buckets
// that were made before. One question is under way at a time: who comes
// meanwhile shares the next.
func (l *Links) askKnown() {
	l.mu.Lock()
	target, joins := l.users.made, l.joins
	l.mu.Unlock()
	l.inquire("", &broker.Question{Kind: toKnow}, func(_ broker.Answer, silent []string, err error) {
		if !errors.As(err, new(*broker.PartialError)) {
			silent = nil // the mistake is ours, if there is one
		} else {
			err = nil
		}
		l.answeredKnown(target, joins, silent, err)
	})
}

func (l *Links) answeredKnown(target, joins uint64, silent []string, err error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	for _, id := range silent { // they go first, then comes the answer
		l.forget(id, "it did not confirm that it knows of a user")
	}
	l.usersKnown()
	if err == nil && l.joins == joins {
		l.users.known = max(l.users.known, target)
	}
	var ready, waiting []waiter
	for _, w := range l.users.waiters {
		if w.generation <= l.users.known || err != nil {
			ready = append(ready, w)
		} else {
			waiting = append(waiting, w)
		}
	}
	l.users.waiters = waiting
	l.users.asking = len(waiting) > 0
	l.mu.Unlock()
	for _, w := range ready {
		w.done(err)
	}
	if len(waiting) > 0 {
		l.askKnown()
	}
}

// called returns the name of a node for people.
func (m *member) called(id string) string {
	if m.name == "" {
		return id
	}
	return m.name
}

// Ask puts a question to all other live nodes, or to those whose id begins with
// to.
func (l *Links) Ask(to string, q *broker.Question, done func(broker.Answer, error)) {
	if done == nil {
		l.inquire(to, q, nil)
		return
	}
	l.inquire(to, q, func(sum broker.Answer, _ []string, err error) { done(sum, err) })
}

func (l *Links) inquire(to string, q *broker.Question, done outcome) {
	finish := func(err error) { finished{done: done, err: err}.tell() }
	l.mu.Lock()
	if l.closed || !l.started {
		l.mu.Unlock()
		finish(broker.ErrClosed)
		return
	}
	left := make(map[string]string)
	for id, m := range l.nodes {
		if strings.HasPrefix(id, to) {
			left[id] = m.called(id)
		}
	}
	if len(left) == 0 {
		l.mu.Unlock()
		if to != "" {
			finish(fmt.Errorf("%w: its node %q is not there", broker.ErrNoSession, to))
			return
		}
		finish(nil)
		return
	}
	subjects := make([]string, 0, 1)
	if to == "" {
		subjects = append(subjects, l.subject.asked())
	} else {
		for id := range left {
			subjects = append(subjects, l.subject.askedOf(id))
		}
	}
	var a *query
	if done != nil {
		if a = l.asks.add(left, l.o.Deadline, q, done); a == nil {
			l.mu.Unlock()
			finish(fmt.Errorf("%w: too many questions to other brokers wait for answers", broker.ErrLimit))
			return
		}
	}
	l.mu.Unlock()
	if err := l.put(subjects, a, q); err != nil && a != nil {
		l.asks.fail(a, fmt.Errorf("%w: %w", errSilent, err))
	}
}

// put publishes a question.
func (l *Links) put(subjects []string, a *query, q *broker.Question) error {
	var id uint64
	if a != nil {
		id = a.id
	}
	for _, subject := range subjects {
		l.publishing.Lock()
		l.number++
		err := l.o.Conn.Publish(subject, appendQuestion(nil, l.peer.Node, l.number, id, q))
		l.publishing.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// hasAnswer answers a question that need not be delivered. It reports whether it
// was one.
func (l *Links) hasAnswer(h head, b []byte) bool {
	id, kind, ok := questionID(b)
	if !ok || kind != toKnow {
		return false
	}
	l.reply(h.node, &reply{kind: replyAnswer, id: id})
	return true
}

// refuse answers a question for which there is no room.
func (l *Links) refuse(h head, b []byte) {
	if id, _, ok := questionID(b); ok && id != 0 {
		l.reply(h.node, &reply{kind: replyRefused, id: id})
	}
}

// answer has the broker answer a question.
func (l *Links) answer(b []byte) {
	h, id, settles, q, err := decodeQuestion(b)
	if err != nil {
		l.unreadable(err)
		return
	}
	if settles && id != 0 {
		q.Settled = func(session string, o broker.Outcome) {
			l.reply(h.node, &reply{kind: replyOutcome, id: id, session: session, outcome: o})
		}
	}
	answer := l.peer.Answer(q)
	if id != 0 {
		l.reply(h.node, &reply{kind: replyAnswer, id: id, answer: answer})
	}
}

func (l *Links) reply(node string, r *reply) {
	r.node = l.peer.Node
	l.tell(l.subject.answers(node), r.encode())
}

// hearReplies handles what comes back to questions.
func (l *Links) hearReplies() {
	for {
		select {
		case <-l.done:
			return
		case m := <-l.replies:
			r, err := decodeReply(m.Data)
			if err != nil {
				l.unreadable(err)
				continue
			}
			l.asks.hear(r)
		}
	}
}

// listenDirected begins to listen for questions and replies.
func (l *Links) listenDirected() error {
	for _, subject := range []string{l.subject.asked(), l.subject.askedOf(l.peer.Node)} {
		s, err := l.o.Conn.ChanSubscribe(subject, l.data)
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		l.always = append(l.always, s)
	}
	s, err := l.o.Conn.ChanSubscribe(l.subject.answers(l.peer.Node), l.replies)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	l.repliesFrom = s
	l.always = append(l.always, s)
	return nil
}

// lose ends what is expected from a node that is no longer live. The caller
// holds the lock, and the goroutine is one that Close waits for.
func (l *Links) lose(node string) {
	over := l.asks.lose(node)
	if len(over) == 0 {
		return
	}
	l.running.Go(func() {
		for _, f := range over {
			f.tell()
		}
	})
}

// closeUsers ends the buckets and all questions.
func (l *Links) closeUsers() {
	l.mu.Lock()
	waiters := l.users.waiters
	l.users.waiters = nil
	for i := range l.users.buckets {
		if u := &l.users.buckets[i]; u.sub != nil {
			l.endUser(u)
		}
	}
	l.mu.Unlock()
	for _, w := range waiters {
		w.done(errLinksClosed)
	}
	l.asks.close()
}

var _ broker.Directed = (*Links)(nil)
