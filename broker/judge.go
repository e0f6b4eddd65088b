package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/topics"
)

// What a judge may hold, whatever its session subscribes to. The messages that
// wait for it are bounded by Limits.Outbox.
const (
	// maxQuestions is how many destinations are asked about at a time.
	maxQuestions = 8
	// maxVerdictBytes is the memory for the answers that are remembered: some 2,000
	// destinations of ordinary length. Beyond it a random one is forgotten, so that
	// of a few more than fit most are still known.
	maxVerdictBytes = 256 << 10
	// verdictOverhead is what an answer takes beside the name.
	verdictOverhead = 96
)

// A judge asks the Authorizer, for one session, which destinations its pattern
// subscriptions may see, and remembers the answers.
type judge struct {
	s *session

	mu           sync.Mutex
	verdicts     map[string]verdict
	verdictBytes int
	questions    []*question          // not asked yet
	asked        map[string]*question // these, and those being asked
	workers      int
	bytes        int  // of the messages that wait, in all filters of the session
	renewals     int  // answers from before the last one do not count
	stopped      bool // the broker has ended
}

// question is a destination with the messages that wait for the answer.
type question struct {
	destination string
	matches     []*match
}

// verdict is a remembered answer. A no is asked again after a while: it may have
// been for want of an answer, and permissions change.
type verdict struct {
	allowed bool
	until   int64 // broker clock, for a no
}

const rememberDenial = int64(10 * time.Second)

func newJudge(s *session) *judge {
	return &judge{s: s, verdicts: make(map[string]verdict), asked: make(map[string]*question)}
}

// remembered returns the answer that is known. The caller has the lock.
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

// remember keeps an answer. The caller has the lock.
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
		destination = strings.Clone(destination) // it lies in the message with everything else
		j.verdictBytes += cost
	}
	j.verdicts[destination] = v
}

// forget lets go of all answers, those that are still to come included. The caller
// has the lock.
func (j *judge) forget() {
	clear(j.verdicts)
	j.verdictBytes = 0
	j.renewals++
}

// ask has the destination of w asked about. It reports whether the caller must
// start a goroutine for that, which runs [judge.run]. The caller has the lock.
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

// run asks until nothing is left to ask.
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

// put asks a question, remembers the answer and delivers what it sets free. A hook
// that failed has not answered: the first message that waits is withheld, and the
// next one asks again. An answer about a credential that was renewed meanwhile is
// not taken: it asks again. The lock is held before and after.
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

// needless reports whether nobody waits for the answer any more.
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
	_, err := guard(s.b, "Authorizer", func() (struct{}, error) {
		return struct{}{}, s.b.policy.Load().authorizer.Authorize(s.context(), s.principal.Load(), auth.Subscribe, name)
	})
	if err != nil {
		s.b.stats.denied.Add(1)
		if !errors.Is(err, auth.ErrDenied) {
			s.b.warn("the authorizer failed, so a message is withheld", s.source(""), "session", s.id, "error", err)
		}
	}
	return err
}

// stop forgets what is to be asked: the broker starts no goroutine any more.
func (j *judge) stop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stopped = true
	j.questions = nil
	clear(j.asked)
}
