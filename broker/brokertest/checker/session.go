package checker

import (
	"fmt"
	"time"
)

// Who is a session: on which node, as which user.
type Who struct{ Node, User, Session string }

// String returns user@node (session).
func (w Who) String() string { return fmt.Sprintf("%s@%s (%s)", w.User, w.Node, w.Session) }

// Session is one connection of a client, as publisher and as subscriber.
type Session struct {
	c      *Checker
	who    Who
	number int
	sends  []send
	txs    []transaction
	open   map[string]uint32        // the latest transaction of a name
	subs   map[string]*Subscription // the latest of an id
	all    []*Subscription
	acks   []ack
	end    time.Duration
}

// send is a SEND. A run has millions of them.
type send struct {
	at      time.Duration
	receipt time.Duration
	dest    uint32
	tx      uint32 // number of the transaction, from 1
}

// transaction is what became of a BEGIN.
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

// Session adds a connection, after its CONNECTED was read.
func (c *Checker) Session(w Who) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &Session{c: c, who: w, number: len(c.sessions), open: make(map[string]uint32), subs: make(map[string]*Subscription)}
	c.sessions = append(c.sessions, s)
	return s
}

// Send records a SEND before it is written, in a transaction unless tx is empty,
// and returns its ID, which its body must carry: see [Body].
func (s *Session) Send(destination, tx string) ID {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.sends++
	s.sends = append(s.sends, send{at: s.c.tick(), dest: s.c.number(destination), tx: s.open[tx]})
	return newID(s.number, len(s.sends)-1)
}

// Receipted records that the RECEIPT of a SEND was read. It means little for a
// SEND in a transaction: see [Session.Committed].
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

// settled returns when a SEND took effect at the earliest, and when a RECEIPT
// said that it did; 0 is never.
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

// Acknowledgement is an ACK whose RECEIPT may come.
type Acknowledgement struct {
	s *Session
	n int
}

// Ack records an ACK before it is written. With [Client] it is for all that the
// subscription got before, too.
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

// Receipted records that the RECEIPT of the ACK was read. In a transaction
// that of the COMMIT counts.
func (a Acknowledgement) Receipted() {
	a.s.c.mu.Lock()
	defer a.s.c.mu.Unlock()
	a.s.acks[a.n].receipt = a.s.c.tick()
}

// effective returns when an ACK was made, and when a RECEIPT confirmed it.
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

// Leave records that the client ends its connection, before it begins to.
func (s *Session) Leave() { s.ended(true) }

// Cut records that the connection has ended by itself, or is about to be ended
// by force. What was on its way may be gone.
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
