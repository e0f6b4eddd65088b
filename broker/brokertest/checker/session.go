package checker

import (
	"fmt"
	"time"
)

// Who identifies a session: its node, its user and its id.
type Who struct{ Node, User, Session string }

// String returns user@node (session).
func (w Who) String() string { return fmt.Sprintf("%s@%s (%s)", w.User, w.Node, w.Session) }

// Session is one connection of a client, both as publisher and as subscriber.
type Session struct {
	c      *Checker
	who    Who
	number int
	sends  []send
	txs    []transaction
	open   map[string]uint32        // latest transaction of each name
	subs   map[string]*Subscription // latest subscription of each id
	all    []*Subscription
	acks   []ack
	end    time.Duration
}

// send is a SEND. A run has millions of them.
type send struct {
	at      time.Duration
	receipt time.Duration
	dest    uint32
	tx      uint32 // number of the transaction, from 1; 0 = none
}

// transaction holds the times of a transaction's COMMIT, its RECEIPT, and its
// ABORT, 0 = never.
type transaction struct{ commit, receipt, abort time.Duration }

// ack is an ACK or a NACK.
type ack struct {
	sub     *Subscription
	id      ID
	tx      uint32
	nack    bool
	at      time.Duration
	receipt time.Duration
}

// Session adds a connection. Call it after reading CONNECTED.
func (c *Checker) Session(w Who) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Session{c: c, who: w, number: len(c.sessions), open: make(map[string]uint32), subs: make(map[string]*Subscription)}
	c.sessions = append(c.sessions, s)
	return s
}

// Send records a SEND before it is written, in transaction tx unless that is
// empty. It returns the ID that the body must carry; see [Body].
func (s *Session) Send(destination, tx string) ID {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.sends++
	s.sends = append(s.sends, send{at: s.c.tick(), dest: s.c.number(destination), tx: s.open[tx]})
	return newID(s.number, len(s.sends)-1)
}

// Receipted records that the RECEIPT of a SEND was read. For a SEND in a
// transaction it has little meaning; see [Session.Committed].
func (s *Session) Receipted(id ID) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.sends[id.seq()].receipt = s.c.tick()
}

// Begin records a BEGIN before it is written.
func (s *Session) Begin(tx string) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.txs = append(s.txs, transaction{})
	s.open[tx] = uint32(len(s.txs))
}

// Commit records a COMMIT before it is written.
func (s *Session) Commit(tx string) {
	s.turn(tx, func(t *transaction, at time.Duration) { t.commit = at })
}

// Committed records that the RECEIPT of the COMMIT was read.
func (s *Session) Committed(tx string) {
	s.turn(tx, func(t *transaction, at time.Duration) { t.receipt = at })
}

// Abort records an ABORT before it is written.
func (s *Session) Abort(tx string) {
	s.turn(tx, func(t *transaction, at time.Duration) { t.abort = at })
}

func (s *Session) turn(tx string, f func(*transaction, time.Duration)) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	n := s.open[tx]
	if n == 0 {
		panic("checker: no transaction " + tx)
	}
	f(&s.txs[n-1], s.c.tick())
}

// settled returns the earliest time at which a SEND took effect, and when a
// RECEIPT confirmed it, 0 = never.
func (s *Session) settled(m *send) (effective, receipted time.Duration) {
	if m.tx == 0 {
		return m.at, m.receipt
	}
	t := &s.txs[m.tx-1]
	if t.abort != 0 {
		return 0, 0
	}
	return t.commit, t.receipt
}

// Acknowledgement is a recorded ACK or NACK, which may get a RECEIPT.
type Acknowledgement struct {
	s *Session
	n int
}

// Ack records an ACK before it is written. In mode [Client] it also covers all
// earlier messages of the subscription.
func (s *Session) Ack(sub *Subscription, id ID, tx string) Acknowledgement {
	return s.acknowledge(ack{sub: sub, id: id}, tx)
}

// Nack records a NACK before it is written.
func (s *Session) Nack(sub *Subscription, id ID, tx string) Acknowledgement {
	return s.acknowledge(ack{sub: sub, id: id, nack: true}, tx)
}

func (s *Session) acknowledge(a ack, tx string) Acknowledgement {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	a.at, a.tx = s.c.tick(), s.open[tx]
	s.acks = append(s.acks, a)
	return Acknowledgement{s, len(s.acks) - 1}
}

// Receipted records that the RECEIPT of the ACK was read. In a transaction the
// RECEIPT of the COMMIT counts instead.
func (a Acknowledgement) Receipted() {
	a.s.c.mu.Lock()
	defer a.s.c.mu.Unlock()
	a.s.acks[a.n].receipt = a.s.c.tick()
}

// effective returns when an ACK took effect, and when a RECEIPT confirmed it, 0
// = never.
func (s *Session) effective(a *ack) (at, receipted time.Duration) {
	if a.tx == 0 {
		return a.at, a.receipt
	}
	t := &s.txs[a.tx-1]
	if t.abort != 0 {
		return 0, 0
	}
	return t.commit, t.receipt
}

// Leave records that the client closes its connection. Call it before closing.
func (s *Session) Leave() { s.ended(true) }

// Cut records that the connection was lost, or is about to be cut. Data in
// transit may be lost.
func (s *Session) Cut() { s.ended(false) }

func (s *Session) ended(chosen bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.end != 0 {
		return
	}
	s.end = s.c.tick()
	for _, u := range s.all {
		if u.end == 0 {
			u.end, u.chosen = s.end, chosen
		}
	}
}
