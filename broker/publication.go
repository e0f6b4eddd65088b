package broker

import (
	"github.com/hoofbeat/hoofbeat/broker/internal/encode"
	"github.com/hoofbeat/hoofbeat/frames"
)

// A publication is one message being delivered to its subscribers: its frames,
// and what the broker has found out about it for all of them.
type publication struct {
	encode.Message
	times          // when it is due and when it expires
	msg   *Message // made on first use, for code that keeps the message
	hurry bool     // the publisher holds the lock of a history and must not wait
	verdicts
}

// verdicts are those of the selectors that were asked about a publication.
type verdicts struct {
	judged     []judgement        // of the first ones
	judgedMore map[*selector]bool // of all others
}

// reset clears all fields, so that a pooled batch keeps nothing alive.
func (p *publication) reset() {
	p.Reset()
	p.msg, p.times, p.hurry = nil, times{}, false
	clear(p.judged)
	p.verdicts = verdicts{judged: p.judged[:0]}
}

// message returns the publication as a Message that may be kept.
func (p *publication) message() *Message {
	if p.msg == nil {
		p.msg = keepMessage(p)
	}
	return p.msg
}

// set makes p the publication of a message that a program owns.
func (p *publication) set(m *Message, destination string) {
	p.ID, p.Destination, p.Headers, p.Body, p.Redelivered = m.ID, destination, m.Headers, m.Body, m.Redelivered
}

// fit returns the message in a form suitable for the session of sub: without
// the bytes that the transport cannot carry or that the client may misread.
func (p *publication) fit(f encode.Framing, sub *subscriber) *encode.Message {
	if p.Fits(f) {
		return &p.Message
	}
	return p.refit(f, sub.s)
}

func (p *publication) refit(f encode.Framing, s *session) *encode.Message {
	return p.Fit(f, s.version < frames.V12 && s.b.policy.Load().limits.NUL != NULPass)
}
