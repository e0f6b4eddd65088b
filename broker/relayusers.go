package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Directed is a [Relay] that also finds users and sessions on other brokers. If
// Options.Relay has these methods, a message to a user reaches the user's
// sessions on all brokers, and whatever names a session works from any of them.
//
// All methods are safe for concurrent use, and none may wait for another node
// or call the broker before it returns, except where it says so.
type Directed interface {
	Relay
	// Join says that a session of a user is connected here, Leave that it is no
	// longer. [Relay.Publish] gets the messages to a user: see [Envelope].
	Join(user string)
	Leave(user string)
	// Known is [Relay.Settle] for a user: it calls done once when every live
	// broker knows that the user is here.
	Known(user string, done func(error))
	// Ask puts a question to all other live brokers, or to the one whose Node
	// begins with to. It calls done once, on any goroutine and perhaps before it
	// returns, with the sum of the answers. The error is *[PartialError] if a
	// broker has not answered in time, ErrNoSession if to names none that is
	// live, or ErrLimit if too many questions wait. With a nil done nobody waits
	// for an answer.
	//
	// The order among questions and messages with the same Origin is kept.
	// Questions to one broker may be answered at the same time otherwise.
	Ask(to string, q *Question, done func(Answer, error))
}

// A Question is what one broker asks of others about users and sessions. Like
// an [Envelope], it owns nothing but Settled.
type Question struct {
	Kind QuestionKind
	// User or Session is what the question is about.
	User, Session string
	// Message is the one to deliver. Its Destination is in the form that
	// PublishToUser takes, or the name of a destination for answers.
	Message     Envelope
	Redelivered bool
	// Text is the reason of an EndSession or EndUser, for the client.
	Text string
	// Revocation is that of an EndRevoked.
	Revocation auth.Revocation
	// Settled, if set, is called once for each delivery that Answer counts as
	// unacknowledged, as [Message.Settled] is, on any goroutine. If the broker
	// that has delivered it is no longer live, the outcome is Lost. After a
	// [PartialError] it is not called for the brokers that are missing.
	Settled func(session string, outcome Outcome)
}

// QuestionKind is what a [Question] is about.
type QuestionKind uint8

// The kinds of questions. The values are those on the wire.
const (
	ToUser     QuestionKind = iota + 1 // deliver Message to the sessions of User
	ToSession                          // deliver Message to Session
	ToReplies                          // deliver Message to the destination for answers that it names
	EndSession                         // end Session
	EndUser                            // end the sessions of User
	EndRevoked                         // end the sessions that Revocation names
)

// Answer is what a broker answers to a [Question].
type Answer struct {
	Delivery
	// Sessions is how many sessions the question was about: for a message to a
	// session 0 or 1, and else how many it has ended.
	Sessions int
}

// PartialError says that some brokers have not answered in time. What the
// others did is done, and counted in the result beside the error. Those that
// are missing may have done it or not.
type PartialError struct {
	Missing []string // their names
}

func (e *PartialError) Error() string {
	return "broker: no answer in time from " + strings.Join(e.Missing, ", ")
}

// elsewhere returns the tag of the node that made an id of a session, or of a
// destination for answers, if another node may know it.
func (b *Broker) elsewhere(id string) (tag string, ok bool) {
	if b.directed == nil || len(id) != sessionIDSize || strings.HasPrefix(id, b.nodeID[:nodeTagSize]) {
		return "", false
	}
	return id[:nodeTagSize], true
}

// ask puts a question to other brokers and waits for the answer, which comes
// within the deadline of the relay.
func (b *Broker) ask(ctx context.Context, to string, q *Question) (Answer, error) {
	type result struct {
		answer Answer
		err    error
	}
	done := make(chan result, 1)
	b.directed.Ask(to, q, func(a Answer, err error) { done <- result{a, err} })
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// asking returns a question that has other brokers deliver a program's message.
func (b *Broker) asking(kind QuestionKind, m *Message) *Question {
	q := &Question{Kind: kind, Redelivered: m.Redelivered, Message: Envelope{Destination: m.Destination, ID: m.ID, Headers: m.Headers, Body: m.Body}}
	if settled := m.Settled; settled != nil {
		q.Settled = func(session string, o Outcome) {
			_ = hook.Call(b.hookPanicked, "Settled", func() error { settled(session, o); return nil }) // logged
		}
	}
	return q
}

// identified returns m with an id, which is the same on all brokers.
func (b *Broker) identified(m *Message) *Message {
	if m.ID != "" || b.directed == nil {
		return m
	}
	c := *m
	c.ID = b.idPrefix + strconv.FormatUint(b.nextID(), 10)
	return &c
}

// toUserElsewhere adds to a Delivery the subscriptions on other brokers.
func (b *Broker) toUserElsewhere(ctx context.Context, user string, m *Message, here Delivery) (Delivery, error) {
	if b.directed == nil {
		return here, nil
	}
	q := b.asking(ToUser, m)
	q.User = user
	a, err := b.ask(ctx, "", q)
	here.Subscriptions += a.Subscriptions
	here.Unacknowledged += a.Unacknowledged
	return here, err
}

// toSessionElsewhere is PublishToSession for a session that is not here.
func (b *Broker) toSessionElsewhere(ctx context.Context, session string, m *Message) (Delivery, error) {
	tag, ok := b.elsewhere(session)
	if !ok {
		return Delivery{}, ErrNoSession
	}
	if _, _, err := readTimes(m.Headers); err != nil {
		return Delivery{}, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	q := b.asking(ToSession, b.identified(m))
	q.Session = session
	a, err := b.ask(ctx, tag, q)
	if err == nil && a.Sessions == 0 {
		err = ErrNoSession
	}
	if err == nil {
		b.stats.published.Add(1)
	}
	return a.Delivery, err
}

// answerElsewhere hands an answer to the broker of the session that waits for
// it. The error is errNobody if that is certain at once; later ends with it.
// For a client all errors are that one.
func (b *Broker) answerElsewhere(name string, p *publication, from *session) (later *completion, err error) {
	tag, ok := b.elsewhere(strings.TrimPrefix(name, replyPrefix))
	if !ok {
		return nil, errNobody
	}
	q := &Question{Kind: ToReplies, Redelivered: p.Redelivered, Message: b.envelope(p, name, from)}
	later = new(completion)
	b.directed.Ask(tag, q, func(a Answer, err error) {
		if err == nil && a.Subscriptions == 0 || err != nil && from != nil {
			err = errNobody
		}
		later.end(err)
	})
	return later, nil
}

// endElsewhere ends sessions that other brokers have, and returns how many.
func (b *Broker) endElsewhere(to string, q *Question) (int, error) {
	a, err := b.ask(context.Background(), to, q)
	return a.Sessions, err
}

// endRevokedElsewhere has other brokers end the sessions that a revocation
// names, if it was decided here.
func (b *Broker) endRevokedElsewhere(e auth.Event) {
	if b.directed == nil || !e.Local || e.Revocation == (auth.Revocation{}) {
		return
	}
	b.directed.Ask("", &Question{Kind: EndRevoked, Revocation: e.Revocation}, nil)
}

// answerOther answers the question of another broker.
func (b *Broker) answerOther(q *Question) Answer {
	if b.ctx.Err() != nil {
		return Answer{}
	}
	switch q.Kind {
	case ToUser, ToSession:
		return b.deliverDirected(q)
	case ToReplies:
		return b.deliverReply(q)
	case EndSession:
		if b.disconnect(q.Session, q.Text) {
			return Answer{Sessions: 1}
		}
	case EndUser:
		return Answer{Sessions: b.disconnectUser(q.User, q.Text)}
	case EndRevoked:
		return Answer{Sessions: b.endRevokedHere(q.Revocation)}
	}
	return Answer{}
}

// deliverDirected delivers a message of another broker to a user or session.
func (b *Broker) deliverDirected(q *Question) (a Answer) {
	if q.Kind == ToSession {
		if b.session(q.Session) == nil {
			return Answer{}
		}
		a.Sessions = 1
		if b.replies.of(q.Message.Destination, q.Session) {
			return b.deliverReply(q)
		}
	}
	path, err := b.privatePath(b.ctx, &Message{Destination: q.Message.Destination, Body: q.Message.Body})
	if err != nil {
		return a // the other broker has other prefixes or limits
	}
	bt, p := b.foreign(q, b.userPrefix()+path)
	if p == nil {
		return a
	}
	defer bt.flushLater()
	if q.Kind == ToUser {
		a.Delivery = b.fanOutToUser(q.User, path, p, bt)
	} else {
		a.Delivery = b.deliverToSession(q.Session, path, p, bt)
	}
	return a
}

// deliverReply delivers an answer of another broker.
func (b *Broker) deliverReply(q *Question) Answer {
	bt, p := b.foreign(q, q.Message.Destination)
	if p == nil {
		return Answer{Delivery: Delivery{Subscriptions: 1}, Sessions: 1} // too late, which is no error
	}
	defer bt.flushLater()
	out, err := b.answer(q.Message.Destination, p, bt)
	if err != nil {
		return Answer{}
	}
	return Answer{Delivery: out, Sessions: 1}
}

// foreign begins the publication of another broker's message. It returns nil if
// the message has expired.
func (b *Broker) foreign(q *Question, destination string) (*batch, *publication) {
	bt := b.newBatch()
	p := &bt.pub
	e := &q.Message
	p.ID, p.Destination, p.Headers, p.Body, p.Redelivered = e.ID, destination, e.Headers, e.Body, q.Redelivered
	if asked(e.Headers)&asksTime != 0 && p.honour() != nil || b.tooLate(p.expires) {
		bt.release()
		return nil, nil
	}
	if q.Settled != nil {
		m := *p.message()
		m.Settled = q.Settled
		p.msg = &m
	}
	return bt, p
}

// userKnownElsewhere returns what ends when all live brokers know that the user
// of a session is here, or nil if nothing has to be waited for.
func (s *session) userKnownElsewhere(sub *subscriber) *completion {
	user := s.userName()
	if s.b.directed == nil || user == "" || sub.dest.Kind != topics.UserPrivate && sub.dest.Kind != topics.UserNamed {
		return nil
	}
	c := new(completion)
	s.b.directed.Known(user, func(err error) { c.end(s.notKnown(sub, err)) })
	return c
}

// notKnown returns the error for a client whose subscription other brokers
// cannot know.
func (s *session) notKnown(sub *subscriber, err error) error {
	if err == nil {
		return nil
	}
	s.b.warn("other brokers do not know a subscription", s.source(sub.dest.Name), "session", s.id, "destination", sub.dest.Name, "error", err)
	return failure(ReasonInternalError, "other brokers could not be told of the subscription")
}

// disconnect ends a session of this broker.
func (b *Broker) disconnect(session, text string) bool {
	s := b.session(session)
	if s == nil {
		return false
	}
	s.endNow(kicked(text))
	return true
}

// disconnectUser ends the sessions of a user on this broker, and returns how
// many.
func (b *Broker) disconnectUser(user, text string) (n int) {
	for _, id := range b.router.Sessions(user) {
		if b.disconnect(id, text) {
			n++
		}
	}
	return n
}

func kicked(text string) *Error {
	if text == "" {
		text = "session ended by the operator"
	}
	return &Error{Reason: ReasonKicked, Message: text}
}

// Disconnect ends a session, on whichever broker it is: its client receives an
// ERROR with the text, and close code 1008. It returns ErrNoSession if no
// session has this id. With a [Directed] Relay it may wait for another broker,
// and the error is *[PartialError] if that one does not answer in time.
func (b *Broker) Disconnect(session, text string) error {
	if b.disconnect(session, text) {
		return nil
	}
	tag, ok := b.elsewhere(session)
	if !ok {
		return ErrNoSession
	}
	n, err := b.endElsewhere(tag, &Question{Kind: EndSession, Session: session, Text: text})
	if err == nil && n == 0 {
		err = ErrNoSession
	}
	return err
}

// DisconnectUser ends all sessions of a user, as Disconnect does, and returns
// how many there were. With a [Directed] Relay these are the sessions on all
// brokers; the error is *[PartialError] if one of these does not answer in time.
// The user may connect again: to prevent that, revoke the user.
func (b *Broker) DisconnectUser(user, text string) (int, error) {
	if user == "" {
		return 0, fmt.Errorf("%w: anonymous sessions have no user", ErrNoSession)
	}
	n := b.disconnectUser(user, text)
	if b.directed == nil {
		return n, nil
	}
	others, err := b.endElsewhere("", &Question{Kind: EndUser, User: user, Text: text})
	return n + others, err
}
