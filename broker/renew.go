package broker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/frames"
)

// The destinations that every session may use whatever the rules say: they
// concern itself only.
const (
	sessionNotices = "/user/topic/session"  // what happens to its credential
	softErrors     = "/user/queue/errors"   // what was denied, when denials are soft
	sessionRefresh = "/app/session/refresh" // a new credential in place
	bootstrap      = "/app/bootstrap"       // who am I, and which nodes are there
)

func ownBusiness(act auth.Action, destination string) bool {
	switch destination {
	case sessionRefresh:
		return act == auth.Send
	case sessionNotices, softErrors, bootstrap:
		return act == auth.Subscribe
	}
	return false
}

// setExpiry notes when the session's credential runs out, on the broker's clock.
func (s *session) setExpiry(p *auth.Principal) {
	at := int64(never)
	if !p.Expires.IsZero() {
		at = int64(p.Expires.Sub(s.b.started))
	}
	s.expireAt.Store(at)
	s.b.sweeper.reschedule(s, s.b.now())
}

// checkExpiry ends a session with its credential, and says so in good time.
func (s *session) checkExpiry(now int64, bt *batch) int64 {
	at := s.expireAt.Load()
	notice := at - int64(s.b.o.ExpiryNotice)
	switch {
	case at == never:
		return never
	case now >= at:
		s.end(failure(ReasonExpired, "the credential has expired"), "", bt)
		return never
	case now < notice:
		return notice
	case s.warned.Swap(at) != at:
		s.notify(sessionNotices, sessionEvent{Event: "auth-expiring", Expires: s.principal.Load().Expires.Unix()}, bt)
	}
	return at
}

// sessionEvent is the body of a message on /user/topic/session.
type sessionEvent struct {
	Event        string `json:"event"`
	Expires      int64  `json:"expires,omitempty"` // Unix seconds
	Subscription string `json:"subscription,omitempty"`
	Destination  string `json:"destination,omitempty"`
}

// notify sends JSON to a destination of this session.
func (s *session) notify(destination string, v any, bt *batch) {
	body, err := json.Marshal(v)
	if err != nil {
		s.b.o.Logger.Error("a notice could not be encoded", "error", err)
		return
	}
	p := &publication{prefix: s.b.idPrefix, seq: s.b.nextID()}
	p.set(&Message{Headers: jsonHeaders, Body: body}, destination)
	s.b.deliverToSession(s.id, destination[len(userPrefix):], p, bt, new(Delivery))
}

// refresh handles SEND /app/session/refresh: a ticket in the JSON body
// {"ticket":"…"}, or an Authorization header. The session goes on under the same
// id, with the same subscriptions as far as the renewed credential allows them.
// Whoever presents another user's credential, or a wrong one, is out.
func (b *Broker) refresh(ctx context.Context, r *Request) error {
	s, old := r.s, r.Principal
	if r.Subscribe {
		return failure(ReasonDenied, "%s takes messages", sessionRefresh)
	}
	var body struct {
		Ticket string `json:"ticket"`
	}
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &body) != nil {
		return failure(ReasonProtocolError, `the body must be {"ticket":"…"}`)
	}
	a := &auth.Attempt{
		Stage: auth.StageRenew, Session: s.id, Principal: old, Ticket: body.Ticket,
		Bearer: bearerToken(firstOf(r.Header("Authorization"), r.Header("authorization"))),
		Header: r.Header, Remote: s.peer,
	}
	if a.Ticket == "" && a.Bearer == "" {
		return failure(ReasonProtocolError, "no ticket and no bearer token to renew with")
	}
	p, err := guard(func() (*auth.Principal, error) { return b.o.Authenticator.Authenticate(ctx, a) })
	if err != nil || p == nil {
		b.stats.authFailures.Add(1)
		b.o.Logger.Info("renewal refused", "session", s.id, "error", refusalForLog(err))
		return refusedBy(err)
	}
	if p.Name != old.Name {
		b.stats.authFailures.Add(1)
		return failure(ReasonRefused, "the credential belongs to another user")
	}
	s.principal.Store(p)
	if b.revoked(p) {
		return failure(ReasonRevoked, "session revoked")
	}
	s.setExpiry(p)
	if err := s.reconsider(r.bt); err != nil {
		return err
	}
	event := sessionEvent{Event: "auth-renewed"}
	if !p.Expires.IsZero() {
		event.Expires = p.Expires.Unix()
	}
	s.notify(sessionNotices, event, r.bt)
	return nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// refusedBy is what a client is told of an authenticator's error.
func refusedBy(err error) *Error {
	f := &Error{Reason: ReasonRefused, Message: "authentication failed"}
	var r *auth.Refusal
	if errors.As(err, &r) && r.Reason != "" {
		f.Message = r.Reason
	}
	return f
}

// reconsider ends the subscriptions that the principal may not have any more.
func (s *session) reconsider(bt *batch) error {
	for _, sub := range slices.Clone(s.subs) {
		again := &subscription{s: s, dest: sub.dest}
		fail := s.mayObserve(again, bt)
		if fail != nil && fail.Reason != ReasonDenied {
			return fail
		}
		if sub.filter != nil {
			sub.filter.forget()
		}
		if fail == nil && (again.filter == nil || sub.filter != nil) {
			continue
		}
		i := slices.Index(s.subs, sub)
		s.subs = slices.Delete(s.subs, i, i+1)
		s.drop(sub, bt)
		s.notify(sessionNotices, sessionEvent{Event: "subscription-ended", Subscription: sub.id, Destination: sub.dest.Name}, bt)
	}
	return nil
}

// bootstrap answers a SUBSCRIBE to /app/bootstrap.
func (b *Broker) bootstrap(ctx context.Context, r *Request) error {
	if !r.Subscribe {
		return failure(ReasonDenied, "%s is for subscribing", bootstrap)
	}
	type node struct {
		ID       string `json:"id"`
		URL      string `json:"url"`
		Attached bool   `json:"attached"`
	}
	answer := struct {
		User  string `json:"user"`
		Node  string `json:"node"`
		Nodes []node `json:"nodes"`
	}{User: r.Principal.Name, Node: b.o.Node, Nodes: []node{}}
	for _, n := range b.o.Nodes {
		answer.Nodes = append(answer.Nodes, node{n.ID, n.URL, n.ID == b.o.Node})
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	_, err = r.Reply(ctx, &Message{Headers: jsonHeaders, Body: body})
	return err
}

// softly tells the client what was denied and lets the session live, if the
// broker is so configured: one refused SUBSCRIBE should not end all others.
func (s *session) softly(fail *Error, f *frames.Frame, bt *batch) bool {
	if !s.b.o.SoftDenial || fail.Reason != ReasonDenied {
		return false
	}
	s.notify(softErrors, struct {
		Error       string `json:"error"`
		Message     string `json:"message"`
		Command     string `json:"command"`
		Destination string `json:"destination,omitempty"`
		ID          string `json:"id,omitempty"`
		Receipt     string `json:"receipt,omitempty"`
	}{"denied", fail.Message, f.Command, f.Get(frames.HeaderDestination), f.Get(frames.HeaderID), f.Get(frames.HeaderReceipt)}, bt)
	return true
}

// expiryNotice is how long before its end a session is told, by default.
const expiryNotice = time.Minute

// nodesValid checks the list that bootstrap shows.
func nodesValid(nodes []Node) error {
	for _, n := range nodes {
		if n.ID == "" {
			return errors.New("broker: Options.Nodes: a node without an ID")
		}
	}
	return nil
}
