package cluster

import (
	"errors"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
)

const (
	// maxWaiting bounds the questions that wait for answers.
	maxWaiting = 1 << 14
	// maxOpen bounds them together with those whose outcomes are to come.
	maxOpen = 1 << 16
)

// asks are the questions of this node that are not over.
type asks struct {
	mu      sync.Mutex // taken with the lock of the Links held, or without
	last    uint64
	open    map[uint64]*query
	waiting int // of them, those that wait for answers
	calls   *mailbox[func()]
}

// query is one question. It is over when all nodes have answered and all outcomes
// have come.
type query struct {
	id      uint64
	left    map[string]string // names of the nodes whose answer is to come
	sum     broker.Answer
	silent  []string // names of the nodes that have not answered
	done    outcome  // nil when all have answered
	late    *time.Timer
	settled func(string, broker.Outcome)
	owed    map[string]int // outcomes to come from a node
	early   []*reply       // outcomes that have overtaken the answer of their node
}

// outcome is called with the answers to a question.
type outcome func(broker.Answer, error)

// finished is a question that has its answers.
type finished struct {
	done outcome
	sum  broker.Answer
	err  error
}

func (f finished) tell() {
	if f.done != nil {
		f.done(f.sum, f.err)
	}
}

// add begins a question to some nodes. It returns nil if there are too many.
func (x *asks) add(left map[string]string, deadline time.Duration, q *broker.Question, done outcome) *query {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting >= maxWaiting || len(x.open) >= maxOpen {
		return nil
	}
	x.last++
	x.waiting++
	a := &query{id: x.last, left: left, done: done, settled: q.Settled}
	x.open[a.id] = a
	a.late = time.AfterFunc(deadline, func() { x.fail(a, nil) })
	return a
}

// fail ends the wait for answers. The nodes that have not answered are missing,
// or the error says more.
func (x *asks) fail(a *query, err error) {
	x.mu.Lock()
	for node := range a.left {
		a.miss(node)
	}
	f := x.finish(a, err)
	x.mu.Unlock()
	f.tell()
}

// miss notes that a node does not answer.
func (a *query) miss(node string) {
	a.silent = append(a.silent, a.left[node])
	delete(a.left, node)
}

// finish ends a question if nothing more has to come. The caller holds the lock
// and tells what is returned without it.
func (x *asks) finish(a *query, err error) (f finished) {
	if len(a.left) > 0 {
		return f
	}
	if a.done != nil {
		a.late.Stop()
		if err == nil && len(a.silent) > 0 {
			err = &broker.PartialError{Missing: a.silent}
		}
		f = finished{a.done, a.sum, err}
		a.done, a.left, a.late, a.early = nil, nil, nil, nil
		x.waiting--
	}
	if len(a.owed) == 0 {
		delete(x.open, a.id)
	}
	return f
}

// hear handles a reply.
func (x *asks) hear(r *reply) {
	x.mu.Lock()
	a := x.open[r.id]
	if a == nil {
		x.mu.Unlock()
		return
	}
	_, asked := a.left[r.node]
	switch {
	case r.kind == replyOutcome && asked:
		a.early = append(a.early, r)
	case r.kind == replyOutcome:
		x.settle(a, r)
	case !asked:
	case r.kind == replyRefused:
		a.miss(r.node)
	case r.kind == replyAnswer:
		delete(a.left, r.node)
		a.sum.Subscriptions += r.answer.Subscriptions
		a.sum.Unacknowledged += r.answer.Unacknowledged
		a.sum.Sessions += r.answer.Sessions
		if a.settled != nil && r.answer.Unacknowledged > 0 {
			if a.owed == nil {
				a.owed = make(map[string]int, 1)
			}
			a.owed[r.node] = r.answer.Unacknowledged
		}
		for _, early := range a.early {
			if early.node == r.node {
				x.settle(a, early)
			}
		}
	}
	f := x.finish(a, nil)
	x.mu.Unlock()
	f.tell()
}

// settle passes an outcome on, unless its node owes none. The caller holds the
// lock.
func (x *asks) settle(a *query, r *reply) {
	if a.owed[r.node] == 0 {
		return
	}
	if a.owed[r.node]--; a.owed[r.node] == 0 {
		delete(a.owed, r.node)
	}
	x.calls.add(func() { a.settled(r.session, r.outcome) })
}

// lose ends what is expected from a node: its answers are missing, and what it
// owes is lost. It returns the questions that are over, to be told without a
// lock.
func (x *asks) lose(node string) (over []finished) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.open {
		if _, asked := a.left[node]; asked {
			a.miss(node)
		}
		x.lost(a, node)
		if f := x.finish(a, nil); f.done != nil {
			over = append(over, f)
		}
	}
	return over
}

// lost passes on that all outcomes that a node owes are Lost. Whose they are is
// not known. The caller holds the lock.
func (x *asks) lost(a *query, node string) {
	for range a.owed[node] {
		x.calls.add(func() { a.settled("", broker.Lost) })
	}
	delete(a.owed, node)
}

// uncertain loses the outcomes that a node owes, because some of them may have
// been lost on their way. Answers that are missing have their deadline.
func (x *asks) uncertain(node string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.open {
		x.lost(a, node)
		x.finish(a, nil) // has its answer, or waits for others
	}
}

// close ends all questions.
func (x *asks) close() {
	x.mu.Lock()
	var over []finished
	for _, a := range x.open {
		for node := range a.left {
			a.miss(node)
		}
		for node := range a.owed {
			x.lost(a, node)
		}
		if f := x.finish(a, broker.ErrClosed); f.done != nil {
			over = append(over, f)
		}
	}
	x.mu.Unlock()
	for _, f := range over {
		f.tell()
	}
	x.calls.close()
}

// run calls functions of the program one after another, so that one that waits
// for an answer does not hold up the answers. It returns when all are called
// after close.
func (x *asks) run() {
	for {
		list, closed := x.calls.take(nil)
		for _, f := range list {
			f()
		}
		if closed && len(list) == 0 {
			return
		}
	}
}

// errSilent is the error of a question that could not be put.
var errSilent = errors.New("cluster: a question could not be handed to other nodes")
