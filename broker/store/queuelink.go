package store

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// link asks the engine over one connection and hands each answer to the function
// that waits for it. Answers are handed over one at a time, in the order in which
// they come.
type link struct {
	conn  *nats.Conn
	inbox string
	sub   *nats.Subscription

	mu      sync.Mutex
	broken  error     // set while the engine is not used
	heard   time.Time // the last answer
	next    uint64
	waiting map[uint64]question
}

type question struct {
	since time.Time
	done  func(*nats.Msg, error)
}

func newLink(conn *nats.Conn) (*link, error) {
	l := &link{conn: conn, inbox: conn.NewInbox() + ".", waiting: make(map[uint64]question), broken: errStarting}
	var err error
	if l.sub, err = conn.Subscribe(l.inbox+"*", l.answer); err != nil {
		return nil, err
	}
	return l, l.sub.SetPendingLimits(-1, -1)
}

// ask sends a message to the engine. done is called once: with the answer, or
// with the error that makes the outcome unknown.
func (l *link) ask(m *nats.Msg, done func(*nats.Msg, error)) {
	token, err := l.expect(done)
	if err == nil {
		m.Reply = l.inbox + strconv.FormatUint(token, 36)
		if err = l.conn.PublishMsg(m); err != nil {
			done = l.take(token)
		}
	}
	if err != nil && done != nil {
		done(nil, err)
	}
}

// request is ask for a message without headers.
func (l *link) request(subject string, data []byte, done func(*nats.Msg, error)) {
	l.ask(&nats.Msg{Subject: subject, Data: data}, done)
}

// publish sends a message that has no answer.
func (l *link) publish(m *nats.Msg) error {
	l.mu.Lock()
	err := l.broken
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.conn.PublishMsg(m)
}

func (l *link) expect(done func(*nats.Msg, error)) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	l.next++
	l.waiting[l.next] = question{time.Now(), done}
	return l.next, nil
}

// take returns the function that waits for an answer, or nil if it has been
// called.
func (l *link) take(token uint64) func(*nats.Msg, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.waiting[token]
	if !ok {
		return nil
	}
	delete(l.waiting, token)
	l.heard = time.Now()
	return q.done
}

func (l *link) answer(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, l.inbox), 36, 64)
	if err != nil {
		return
	}
	done := l.take(token)
	if done == nil {
		return
	}
	if m.Header.Get("Status") == "503" {
		done(nil, errNobodyAnswers)
		return
	}
	done(m, nil)
}

var (
	errStarting      = errors.New("the store has not started")
	errNobodyAnswers = errors.New("the store does not answer: the stream or consumer is not there")
)

// shut ends all questions with an error, and refuses new ones with it.
func (l *link) shut(err error) {
	l.mu.Lock()
	list := l.waiting
	l.waiting, l.broken = make(map[uint64]question), err
	l.mu.Unlock()
	for _, q := range list {
		q.done(nil, err)
	}
}

func (l *link) open() {
	l.mu.Lock()
	l.broken = nil
	l.mu.Unlock()
}

// overdue reports whether the engine has been silent for that long although it
// was asked, or has not answered a question for much longer. An engine that is
// busy with many questions is not overdue.
func (l *link) overdue(limit time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, q := range l.waiting {
		if age := now.Sub(q.since); age > 6*limit || age > limit && now.Sub(l.heard) > limit {
			return true
		}
	}
	return false
}

func (l *link) close() {
	_ = l.sub.Unsubscribe() // fails only if the connection is closed
}
