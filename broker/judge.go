package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/topics"
)

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
	bytes        int  // size of the waiting messages in all filters of the session
	renewals     int  // counts renewals; answers from before the last one are ignored
	stopped      bool // the broker has ended
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
