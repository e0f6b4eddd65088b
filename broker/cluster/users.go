package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hoofbeat/hoofbeat/broker"
)

// userInterests are the buckets with users here. The lock of the Links guards
// them.
type userInterests struct {
	buckets [userBuckets]userBucket
	made    uint64 // buckets subscribed to so far
	known   uint64 // of them, those up to this one are known to all live nodes
	waiters []waiter
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
		l.end([]*nats.Subscription{u.sub})
		u.sub = nil
	}
}

// Known calls done when all live nodes know that a user is here, or with the
// error of Refused. As soon as a bucket is known, nobody waits for it again.
func (l *Links) Known(user string, done func(error)) {
	l.mu.Lock()
	number := l.users.buckets[bucketOf(user)].made
	l.await(&l.users.waiters, l.users.known, waiter{number, done})
}

// Ask puts a question to all other live nodes, or to those whose id begins with
// to.
func (l *Links) Ask(to string, q *broker.Question, done func(broker.Answer, error)) {
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
	var subs []*nats.Subscription
	l.mu.Lock()
	for i := range l.users.buckets {
		if u := &l.users.buckets[i]; u.sub != nil {
			subs = append(subs, u.sub)
			u.sub = nil
		}
	}
	l.mu.Unlock()
	l.end(subs)
	l.asks.close()
}

var _ broker.Directed = (*Links)(nil)
