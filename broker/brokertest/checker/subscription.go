package checker

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Mode is the ack header of a SUBSCRIBE.
type Mode uint8

const (
	// Auto is ack:auto: a message is settled when it is written.
	Auto Mode = iota
	// Client is ack:client: an ACK also covers all earlier messages.
	Client
	// Individual is ack:client-individual.
	Individual
)

// Subscription is a period in which a session is subscribed.
type Subscription struct {
	c         *Checker
	s         *Session
	id        string
	dest      uint32
	mode      Mode
	before    *Subscription
	recovered bool

	asked   time.Duration
	receipt time.Duration
	end     time.Duration // when it was asked to end, or cut
	gone    time.Duration // when the RECEIPT of UNSUBSCRIBE arrived
	chosen  bool          // the client ended it

	got []delivery
}

// delivery is a MESSAGE. A run has millions of them.
type delivery struct {
	id          ID
	at          time.Duration
	name        uint64 // hash of the message-id, 0 if there was none
	redelivered bool
	elsewhere   bool // its destination is neither the SEND's nor the SUBSCRIBE's
}

// Subscribe records a SUBSCRIBE before it is written. continues is an earlier
// subscription, of this or another session, that it resumes, or nil. If the
// session has ended meanwhile, nothing is expected of the subscription.
func (s *Session) Subscribe(id, destination string, m Mode, continues *Subscription) *Subscription {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	u := &Subscription{c: s.c, s: s, id: id, dest: s.c.number(destination), mode: m, before: continues, asked: s.c.tick()}
	if s.end != 0 {
		u.end = u.asked
	}
	s.subs[id] = u
	s.all = append(s.all, u)
	s.c.subs = append(s.c.subs, u)
	return u
}

// Receipted records that the RECEIPT of the SUBSCRIBE was read. recovered is
// its recovered header, "" if there is none.
func (u *Subscription) Receipted(recovered string) {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	u.receipt = u.c.tick()
	u.recovered = u.recovered || recovered == "true"
}

// Unsubscribe records an UNSUBSCRIBE before it is written.
func (u *Subscription) Unsubscribe() {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	if u.end == 0 {
		u.end, u.chosen = u.c.tick(), true
	}
}

// Unsubscribed records that the RECEIPT of the UNSUBSCRIBE was read.
func (u *Subscription) Unsubscribed() {
	u.c.mu.Lock()
	defer u.c.mu.Unlock()
	u.gone = u.c.tick()
}

// Message is a MESSAGE as its client read it.
type Message struct {
	Subscription string
	// Destination and MessageID are not checked if they are empty.
	Destination string
	MessageID   string
	Redelivered bool
	// Recovered is the recovered header, "" if there is none.
	Recovered string
	Body      []byte
}

// Message records that a MESSAGE was read. It returns the ID of its SEND, and
// the subscription, nil if the session has none with that id.
func (s *Session) Message(m Message) (ID, *Subscription) {
	id, err := ParseBody(m.Body)
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	at := s.c.tick()
	s.c.moved++
	u := s.subs[m.Subscription]
	known := id.session() < len(s.c.sessions) && id.seq() < len(s.c.sessions[id.session()].sends)
	v := Violation{Message: id, Subscriber: s.who, Subscription: m.Subscription, At: at}
	if !known {
		v.Kind, v.Detail = Corrupt, fmt.Sprintf("nobody sent it: %.60q", m.Body)
		s.c.see(v)
		return id, u
	}
	from := s.c.sessions[id.session()]
	sent := &from.sends[id.seq()]
	if err != nil {
		s.c.describe(&v, id)
		v.Kind, v.Detail = Corrupt, err.Error()
		s.c.see(v)
	}
	if u == nil {
		s.c.describe(&v, id)
		v.Kind, v.Detail = Misdelivered, "the session has no such subscription"
		s.c.see(v)
		return id, nil
	}
	u.recovered = u.recovered || m.Recovered == "true"
	u.got = append(u.got, delivery{
		id: id, at: at, name: hash(m.MessageID), redelivered: m.Redelivered,
		elsewhere: m.Destination != "" && m.Destination != s.c.names[sent.dest] && m.Destination != s.c.names[u.dest],
	})
	return id, u
}

func hash(s string) uint64 {
	if s == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}

// see records a violation that later events cannot change. The caller has the
// lock.
func (c *Checker) see(v Violation) {
	if len(c.found) < c.o.Violations {
		c.found = append(c.found, v)
		return
	}
	c.foundMore++
}

// describe fills in the details of the SEND. The caller has the lock.
func (c *Checker) describe(v *Violation, id ID) {
	s := c.sessions[id.session()]
	m := &s.sends[id.seq()]
	_, receipted := s.settled(m)
	v.Message, v.Destination, v.Publisher, v.Sent, v.Receipted = id, c.names[m.dest], s.who, m.at, receipted
}
