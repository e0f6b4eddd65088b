package broker

import (
	"context"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"

	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// SelectorFunc compiles the `selector` header of a SUBSCRIBE (Spring, ActiveMQ
// and RabbitMQ use the same name). The subscription receives the messages for
// which match returns true. Package broker/selector has a SelectorFunc for
// Spring's selectors.
//
// The memory of the match function is estimated from the text and counted
// against Limits.SubscriptionBytes: at least 32 bytes for each word, quoted
// text or other character.
//
// It is called once for each distinct expression in use, on the goroutine of
// the first session that uses it, and must not block. Its error ends that
// session; the client receives the error text, cut to one line of 200 bytes.
//
// match is called on publishers' goroutines, several at a time, and must be
// fast: subscriptions with the same expression mostly share the call. It must
// neither modify the message nor keep it. If it panics, the message is not
// delivered, as in Spring (DefaultSubscriptionRegistry).
type SelectorFunc func(expression string) (match func(*Message) bool, err error)

// headerSelector is the header of a SUBSCRIBE that holds the expression.
const headerSelector = "selector"

const (
	maxSelector     = 1024 // bytes of an expression
	maxSelectorText = 200  // bytes of the error text for the client
	// maxJudged is the maximum number of verdicts of a publication in a list;
	// further verdicts are in a map.
	maxJudged = 8
)

// A selector is an expression that at least one subscription uses. Its
// subscriptions share it, so that each message is matched once, not once for
// each subscription.
type selector struct {
	expression string
	match      func(*Message) bool
	users      atomic.Int32 // subscriptions; changed under selectors.mu
	panicked   atomic.Bool  // a panic was logged
}

// judgement is the verdict of a selector about a publication.
type judgement struct {
	by    *selector
	match bool
}

// selects reports whether a subscription with this selector receives p.
func (l *selector) selects(p *publication, b *Broker) bool {
	for i := range p.judged {
		if p.judged[i].by == l {
			return p.judged[i].match
		}
	}
	if match, ok := p.judgedMore[l]; ok {
		return match
	}
	match := l.judge(p.message(), b, p.Offset.Number != 0)
	switch {
	case l.users.Load() == 1: // no other subscription uses it
	case len(p.judged) < maxJudged:
		p.judged = append(p.judged, judgement{l, match})
	default:
		if p.judgedMore == nil {
			p.judgedMore = make(map[*selector]bool)
		}
		p.judgedMore[l] = match
	}
	return match
}

// judge asks the selector about a message. If the publisher holds a lock, the
// logger of the program runs later.
func (l *selector) judge(m *Message, b *Broker, locked bool) (match bool) {
	defer func() {
		if v := recover(); v != nil {
			match = false
			if !l.panicked.Swap(true) { // log it only once, not for every message
				stack := string(debug.Stack())
				log := func() {
					b.o.Logger.Error("a selector panicked; the message is not delivered", "selector", l.expression, "panic", v, "stack", stack)
				}
				if !locked || !b.spawn(log) {
					log()
				}
			}
		}
	}()
	return l.match(m)
}

// selectors are the selectors in use, by expression. Every message to a topic
// is matched against each distinct selector there, so the number of distinct
// selectors of a user is limited.
type selectors struct {
	mu    sync.Mutex
	inUse map[string]*selector
	owned distinct
}

// acquire returns the selector of an expression; release releases it.
func (t *selectors) acquire(expression string, compile SelectorFunc) (*selector, error) {
	if l := t.find(expression); l != nil {
		return l, nil
	}
	expression = strings.Clone(expression) // a header's string keeps the whole header block alive
	match, err := compile(expression)      // user code: not under the lock
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.inUse[expression]
	if l == nil { // still missing
		l = &selector{expression: expression, match: match}
		if t.inUse == nil {
			t.inUse = make(map[string]*selector)
		}
		t.inUse[expression] = l
	}
	l.users.Add(1)
	return l, nil
}

func (t *selectors) find(expression string) *selector {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.inUse[expression]
	if l != nil {
		l.users.Add(1)
	}
	return l
}

func (t *selectors) release(l *selector) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.users.Add(-1) == 0 {
		delete(t.inUse, l.expression)
	}
}

// selective sets the selector that the SUBSCRIBE of sub requested. An
// unsupported selector is refused and never ignored: the client would receive
// messages that it did not ask for.
func (s *session) selective(sub *subscriber, f *frames.Frame, bt *batch) *Error {
	expression := f.Get(headerSelector)
	if expression == "" {
		return nil
	}
	switch kind := sub.dest.Kind; {
	case s.b.o.Selector == nil:
		return failure(ReasonDenied, "selector header: this broker has no selectors (selectors)")
	case kind == topics.App:
		return failure(ReasonDenied, "selector header: an application destination answers once and has no selector")
	case kind == topics.Reply:
		return failure(ReasonDenied, "selector header: a destination of answers has no selector")
	case sub.queue:
		return failure(ReasonDenied, "selector header: a work queue shares its messages out and has no selector")
	case len(expression) > maxSelector:
		return failure(ReasonProtocolError, "selector header: %d octets, the limit is %d", len(expression), maxSelector)
	}
	var l *selector
	var err error
	s.user(bt, func(context.Context) { l, err = s.b.selectors.acquire(expression, s.b.o.Selector) })
	if err != nil {
		return failure(ReasonProtocolError, "selector header: %s", oneLine(err.Error(), maxSelectorText))
	}
	each := limit.Exceeded{Limit: limit.SelectorsPerUser, Value: s.b.policy.Load().limits.SelectorsPerUser}
	if e := s.b.selectors.owned.take(s.ownerKey(), l.expression, each, limit.Exceeded{Value: unlimited}); e != nil {
		s.b.selectors.release(l)
		return s.b.refuse(e, s.peer, s.userName())
	}
	sub.selector = l
	return nil
}

// unselect releases the selector that selective acquired.
func (s *session) unselect(sub *subscriber) {
	if sub.selector != nil {
		s.b.selectors.owned.give(s.ownerKey(), sub.selector.expression)
		s.b.selectors.release(sub.selector)
	}
}

// oneLine makes a text valid for a header: no control characters, and at most n
// bytes.
func oneLine(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n], "")
	}
	return text
}
