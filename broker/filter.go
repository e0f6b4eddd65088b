package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/topics"
)

// filter guards a pattern subscription that may match destinations the session
// must not see. The session's [judge] authorises each destination, because the
// Authorizer may be slow and a publisher never waits. Meanwhile the messages
// for this subscription wait in order.
type filter struct {
	sub *subscriber
	j   *judge

	// Guarded by the lock of the judge.

	// proven means that every destination is allowed, except that destinations
	// with a trailing slash must be authorised.
	proven    bool
	waiting   []*match
	releasing bool // a goroutine is delivering the waiting messages
	closed    bool
}

// match is a message that waits for the verdict on its destination, or for the
// messages before it.
type match struct {
	f       *filter
	m       *Message
	at      encode.Offset
	expires int64 // see times
	verdict answer
}

// answer is the verdict on a destination.
type answer uint8

const (
	unanswered answer = iota
	allowed
	refused
)

func newFilter(sub *subscriber, proven bool) *filter {
	s := sub.s
	if s.judge == nil {
		s.judge = newJudge(s)
	}
	return &filter{sub: sub, j: s.judge, proven: proven}
}

// known returns the known verdict on a destination. The caller holds the lock.
func (f *filter) known(destination string) answer {
	if f.proven && !strings.HasSuffix(destination, "/") {
		return allowed
	}
	return f.j.remembered(destination)
}

// offer passes p on if its destination is allowed. It also reports true while
// the verdict is pending.
func (f *filter) offer(p *publication, bt *batch) bool {
	j := f.j
	j.mu.Lock()
	verdict := f.known(p.Destination)
	if verdict != unanswered && len(f.waiting) == 0 && !f.releasing {
		j.mu.Unlock()
		return verdict == allowed && f.sub.enqueue(p, bt)
	}
	if f.closed || verdict == refused {
		j.mu.Unlock()
		return false
	}
	m := p.message()
	size, limit := messageSize(m), j.s.b.policy.Load().limits.Outbox
	if j.bytes+size > limit {
		j.mu.Unlock()
		j.s.end(failure(ReasonAuthorizerSlow, "more than %d bytes wait for the authorization of your patterns (limits.outbox)", limit), "", bt)
		return false
	}
	w := &match{f, m, p.Offset, p.expires, verdict}
	f.waiting = append(f.waiting, w)
	j.bytes += size
	start := verdict == unanswered && j.ask(w)
	j.mu.Unlock()
	if start && !j.s.b.spawn(j.run) {
		j.stop()
		return false
	}
	return true
}

// release delivers the waiting messages whose destinations are allowed, in
// order, up to the first message without a verdict. Only one goroutine at a
// time does this for a filter. The caller holds the lock; release unlocks it
// during delivery and returns with it held.
func (f *filter) release(bt *batch) {
	if f.releasing {
		return // the releasing goroutine sees the new verdicts
	}
	f.releasing = true
	for len(f.waiting) > 0 && f.waiting[0].verdict != unanswered {
		w := f.waiting[0]
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		f.j.bytes -= messageSize(w.m)
		if w.verdict == refused || f.j.s.b.tooLate(w.expires) {
			continue
		}
		f.j.mu.Unlock()
		var p publication
		p.set(w.m, w.m.Destination)
		p.msg, p.Offset, p.Single = w.m, w.at, true
		f.sub.enqueue(&p, bt)
		f.j.mu.Lock()
	}
	if len(f.waiting) == 0 {
		f.waiting = nil
	}
	f.releasing = false
	f.j.unpark()
}

// forget has every destination authorised again, except those that are proven
// now.
func (f *filter) forget(proven bool, bt *batch) {
	f.j.mu.Lock()
	f.proven = proven
	f.j.forget()
	workers := 0
	for _, w := range f.waiting {
		switch f.known(w.m.Destination) {
		case allowed:
			w.verdict = allowed
		default:
			if w.verdict == allowed {
				w.verdict = unanswered
				if f.j.ask(w) {
					workers++
				}
			}
		}
	}
	f.release(bt)
	f.j.mu.Unlock()
	for range workers {
		if !f.j.s.b.spawn(f.j.run) {
			f.j.stop()
		}
	}
}

// close discards the waiting messages: the subscription has ended.
func (f *filter) close() {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	f.closed = true
	for _, w := range f.waiting {
		f.j.bytes -= messageSize(w.m)
	}
	f.waiting = nil
	f.j.unpark()
}

func (f *filter) isProven() bool {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	return f.proven
}

// crowded reports whether so many messages wait that replays must. The caller
// holds the lock.
func (j *judge) crowded() bool { return j.bytes > j.s.b.policy.Load().limits.Outbox/4 }

// idle reports whether no message waits and none is being delivered. The caller
// holds the lock.
func (f *filter) idle() bool { return len(f.waiting) == 0 && !f.releasing }

// Limits of a judge, regardless of its session's subscriptions. Limits.Outbox
// bounds the waiting messages.
const (
	// maxQuestions is the maximum number of concurrent calls of the Authorizer.
	maxQuestions = 8
	// maxVerdictBytes is the memory for remembered answers: some 2,000
	// destinations of ordinary length. When it is full, random answers are
	// forgotten, so that most answers stay known if only a few do not fit.
	maxVerdictBytes = 256 << 10
	// verdictOverhead is the memory for an answer besides the name, in bytes.
	verdictOverhead = 96
)

// judge asks the Authorizer which destinations the pattern subscriptions of one
// session may see, and remembers the answers.
type judge struct {
	s *session

	mu           sync.Mutex
	verdicts     map[string]verdict
	verdictBytes int
	questions    []*question          // not yet asked
	asked        map[string]*question // questions, and those being asked
	workers      int
	parked       []*replay // wait for the messages of their filter, or until fewer wait in all
	bytes        int       // size of the waiting messages in all filters of the session
	renewals     int       // counts renewals; answers from before the last one are ignored
	stopped      bool      // the broker has ended
}

// question is a destination and the messages that wait for the answer.
type question struct {
	destination string
	matches     []*match
}

// verdict is a remembered answer. After a denial, the Authorizer is asked again
// after a while: the hook may have failed to answer, and permissions change.
type verdict struct {
	allowed bool
	until   int64 // broker clock, for a denial
}

const rememberDenial = int64(10 * time.Second)

func newJudge(s *session) *judge {
	return &judge{s: s, verdicts: make(map[string]verdict), asked: make(map[string]*question)}
}

// remembered returns the known answer. The caller holds the lock.
func (j *judge) remembered(destination string) answer {
	v, ok := j.verdicts[destination]
	switch {
	case ok && v.allowed:
		return allowed
	case ok && j.s.b.now() < v.until:
		return refused
	}
	return unanswered
}

// remember stores an answer. The caller holds the lock.
func (j *judge) remember(destination string, v verdict) {
	if _, again := j.verdicts[destination]; !again {
		cost := verdictOverhead + len(destination)
		for other := range j.verdicts {
			if j.verdictBytes+cost <= maxVerdictBytes {
				break
			}
			delete(j.verdicts, other)
			j.verdictBytes -= verdictOverhead + len(other)
		}
		destination = strings.Clone(destination) // it shares memory with the whole message
		j.verdictBytes += cost
	}
	j.verdicts[destination] = v
}

// forget discards all answers, including those still pending. The caller holds
// the lock.
func (j *judge) forget() {
	clear(j.verdicts)
	j.verdictBytes = 0
	j.renewals++
}

// ask queues a question about the destination of w. It reports whether the
// caller must start a goroutine that runs [judge.run]. The caller holds the
// lock.
func (j *judge) ask(w *match) (start bool) {
	if j.stopped {
		return false
	}
	if q := j.asked[w.m.Destination]; q != nil {
		q.matches = append(q.matches, w)
		return false
	}
	q := &question{w.m.Destination, []*match{w}}
	j.asked[q.destination] = q
	j.questions = append(j.questions, q)
	if j.workers == maxQuestions {
		return false
	}
	j.workers++
	return true
}

// run asks until no question is left.
func (j *judge) run() {
	bt := j.s.b.newBatch()
	defer bt.release()
	j.mu.Lock()
	for len(j.questions) > 0 && phase(j.s.phase.Load()) != phaseEnding {
		q := j.questions[0]
		j.questions[0] = nil
		j.questions = j.questions[1:]
		j.put(q, bt)
		j.mu.Unlock()
		bt.flush()
		j.mu.Lock()
	}
	j.workers--
	if j.workers == 0 && len(j.questions) == 0 {
		j.questions = nil
	}
	j.mu.Unlock()
}

// put asks a question, remembers the answer and delivers the messages that
// waited for it. A failed hook gives no answer: the first waiting message is
// withheld, and the next one asks again. If the credential was renewed
// meanwhile, put ignores the answer and asks again. The caller holds the lock;
// put returns with it held.
func (j *judge) put(q *question, bt *batch) {
	for len(q.matches) > 0 {
		renewals := j.renewals
		if j.needless(q) {
			break
		}
		j.mu.Unlock()
		err := j.authorize(q.destination)
		j.mu.Lock()
		if j.renewals != renewals {
			continue
		}
		settled, verdictOf := q.matches, allowed
		switch {
		case err == nil:
			j.remember(q.destination, verdict{allowed: true})
		case errors.Is(err, auth.ErrDenied):
			j.remember(q.destination, verdict{until: j.s.b.now() + rememberDenial})
			verdictOf = refused
		default:
			settled, verdictOf = q.matches[:1], refused
			if w := settled[0]; w.at.Number != 0 && w.f.sub.resumes { // it would miss a message without a sign
				j.mu.Unlock()
				j.s.end(failure(ReasonInternalError, "the authorizer failed, so a message of a history could not be delivered"), "", bt)
				j.mu.Lock()
			}
		}
		q.matches = q.matches[len(settled):]
		for _, w := range settled {
			w.verdict = verdictOf
		}
		for _, w := range settled {
			w.f.release(bt)
		}
	}
	delete(j.asked, q.destination)
}

// needless reports whether no subscription waits for the answer any more.
func (j *judge) needless(q *question) bool {
	if phase(j.s.phase.Load()) == phaseEnding {
		return true
	}
	for _, w := range q.matches {
		if !w.f.closed {
			return false
		}
	}
	return true
}

func (j *judge) authorize(destination string) error {
	s, name := j.s, topics.Collapse(destination)
	err := hook.Call(s.b.hookPanicked, "Authorizer", func() error {
		return s.b.policy.Load().authorizer.Authorize(s.context(), s.principal.Load(), auth.Subscribe, name)
	})
	if err != nil {
		s.b.stats.denied.Add(1)
		if !errors.Is(err, auth.ErrDenied) {
			s.b.warn("the authorizer failed, so a message is withheld", s.source(""), "session", s.id, "error", err)
		}
	}
	return err
}

// stop discards all questions: the broker starts no more goroutines.
func (j *judge) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	j.questions = nil
	clear(j.asked)
}
