package broker

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/topics"
)

// The Authorizer checks canonical names (topics.Names.Canonical), so that no
// spelling of a destination bypasses it. It also checks every other name of the
// same destination:
//
//   - a session's own destination is checked as /user/queue/x, also when the
//     client wrote /user/{name}/queue/x; auth.Rules know both names;
//   - a SEND to /user/queue/x or /user/topic/x goes to the handler of /app/x,
//     so both must be allowed;
//   - the dead letters of a queue come from that queue, so a SUBSCRIBE to
//     /queue/DLQ.x must be allowed for /queue/x as well.

// maySend authorises a SEND.
func (s *session) maySend(d topics.Destination, bt *batch) *Error {
	names := s.b.o.names
	fail := s.authorize(auth.Send, d, names.Canonical(d), bt)
	if fail == nil && d.Kind == topics.UserPrivate {
		handler := topics.Destination{Kind: topics.App, Name: d.Name, Path: names.Handler(d.Path)}
		fail = s.authorize(auth.Send, handler, s.b.appName(handler.Path), bt)
	}
	return fail
}

// mayObserve authorises a SUBSCRIBE. The destinations of another user are
// always denied, whatever the rules say. A pattern must not reveal a
// destination for which a literal SUBSCRIBE would be denied. Unless the rules
// prove that it cannot, every destination it matches is authorised before
// delivery.
func (s *session) mayObserve(sub *subscriber, bt *batch) *Error {
	d := sub.dest
	switch {
	case sub.present == watching || sub.present == listing:
		return s.mayObservePresence(sub, bt)
	case d.Kind == topics.Reply: // the session's own, and private
		return nil
	case d.Kind == topics.UserNamed && d.User != s.userName():
		s.b.stats.denied.Add(1)
		return failure(ReasonDenied, "not allowed to subscribe to the destinations of another user")
	case d.Kind == topics.UserNamed: // equivalent to the form without the user name
		return s.authorize(auth.Subscribe, d, topics.Collapse(s.b.userPrefix()+d.Path), bt)
	case d.Pattern && d.Kind == topics.Topic && s.b.presence.owns(d.Path):
		return failure(ReasonDenied, "presence is watched one topic at a time, not by a pattern")
	case d.Pattern:
		return s.mayObservePattern(sub, bt)
	}
	name := s.b.o.names.Canonical(d)
	fail := s.authorize(auth.Subscribe, d, name, bt)
	if source, ok := s.b.o.names.DeadLettersOf(name); ok && fail == nil && sub.queue {
		if fail = s.mayRead(source); fail != nil {
			return fail
		}
		fail = s.authorize(auth.Subscribe, d, source, bt)
	}
	return fail
}

func (s *session) mayObservePattern(sub *subscriber, bt *batch) *Error {
	pattern := topics.Collapse(sub.dest.Name)
	coverage, fail := s.covers(pattern, sub.dest, bt)
	if fail != nil {
		return fail
	}
	// /topic/a/* also matches /topic/a/, which is authorised as /topic/a.
	_, quirk := strings.CutSuffix(pattern, "/*")
	switch {
	case sub.durable && coverage != auth.All:
		s.b.stats.denied.Add(1)
		return failure(ReasonDenied, "not allowed to subscribe durably to %s: the rules must allow all its destinations", strconv.QuoteToASCII(sub.dest.Name))
	case sub.durable: // the list has no destination to which other rules apply
	case coverage != auth.All:
		sub.filter.Store(newFilter(sub, false))
	case quirk:
		sub.filter.Store(newFilter(sub, true))
	}
	return nil
}

// mayObservePresence authorises a SUBSCRIBE to the list or the events of a room.
// It needs a permission that was given for presence and not for all topics, and
// the permission to subscribe to the room.
func (s *session) mayObservePresence(sub *subscriber, bt *batch) *Error {
	d, presence := sub.dest, s.b.presence
	name, prefix := s.b.o.names.Canonical(d), presence.events
	if sub.present == listing {
		prefix = s.b.appName(presencePath)
	}
	if fail := s.authorizeExplicitly(d, name, prefix, bt); fail != nil {
		return fail
	}
	room := presence.room(sub.present, d)
	if !presence.keeps(room) {
		return failure(ReasonDenied, "no presence is kept for %s (presence)", quoted(room))
	}
	if d.Kind == topics.Topic && d.Path != name { // a topic without events
		return failure(ReasonProtocolError, "write %s without empty segments", quoted(d.Name))
	}
	return s.authorize(auth.Subscribe, topics.Destination{Kind: topics.Topic, Name: room, Path: room}, room, bt)
}

// authorizeExplicitly authorises a SUBSCRIBE for which a permission for more
// than the destinations below prefix does not count.
func (s *session) authorizeExplicitly(d topics.Destination, name, prefix string, bt *batch) *Error {
	p := s.b.policy.Load()
	a, ok := p.authorizer.(auth.ExplicitAuthorizer)
	if !ok {
		return s.authorize(auth.Subscribe, d, name, bt)
	}
	fail := s.denied(s.askAuthorizer(p, bt, func(ctx context.Context) error {
		return a.AuthorizeExplicit(ctx, s.principal.Load(), auth.Subscribe, name, prefix)
	}), auth.Subscribe, d.Name)
	if fail != nil {
		fail.Message += ": it needs a rule for " + prefix + "/"
	}
	return fail
}

// covers returns how much of a pattern the client may see.
func (s *session) covers(pattern string, d topics.Destination, bt *batch) (auth.Coverage, *Error) {
	p := s.b.policy.Load()
	pa, ok := p.authorizer.(auth.PatternAuthorizer)
	if !ok {
		return auth.Some, nil
	}
	var coverage auth.Coverage
	err := s.askAuthorizer(p, bt, func(ctx context.Context) (err error) {
		coverage, err = pa.AuthorizePattern(ctx, s.principal.Load(), pattern)
		return err
	})
	if err == nil && coverage == auth.None {
		err = auth.ErrDenied
	}
	return coverage, s.denied(err, auth.Subscribe, d.Name)
}

// authorize calls the Authorizer for an action on d under the given name.
func (s *session) authorize(act auth.Action, d topics.Destination, name string, bt *batch) *Error {
	if alwaysAllowed(act, d) {
		return nil
	}
	var err error
	if p := s.b.policy.Load(); p.rules != nil { // the usual case
		err = p.rules.Authorize(s.b.ctx, s.principal.Load(), act, name)
	} else {
		err = s.askAuthorizer(p, bt, func(ctx context.Context) error {
			return p.authorizer.Authorize(ctx, s.principal.Load(), act, name)
		})
	}
	return s.denied(err, act, d.Name)
}

// askAuthorizer calls f, which asks the Authorizer of p.
func (s *session) askAuthorizer(p *policy, bt *batch, f func(ctx context.Context) error) error {
	if p.direct {
		return hook.Call(s.b.hookPanicked, "Authorizer", func() error { return f(s.b.ctx) })
	}
	return s.callHook(bt, "Authorizer", f)
}

// alwaysAllowed reports whether a destination concerns only the session itself,
// or is one for answers: whoever knows its name was given the right to send
// there. No rule is checked for it.
func alwaysAllowed(act auth.Action, d topics.Destination) bool {
	switch d.Kind {
	case topics.App:
		return act == auth.Send && d.Path == sessionRefresh || act == auth.Subscribe && d.Path == bootstrap
	case topics.UserPrivate, topics.UserNamed: // a SUBSCRIBE can name only the session's own
		return act == auth.Subscribe && (d.Path == sessionNotices || d.Path == softErrors)
	case topics.Reply:
		return true
	}
	return false
}

func (s *session) denied(err error, act auth.Action, destination string) *Error {
	if err == nil {
		return nil
	}
	s.b.stats.denied.Add(1)
	if !errors.Is(err, auth.ErrDenied) {
		s.b.warn("the authorizer failed, so the request is denied", s.source(""), "session", s.id, "action", act.String(), "error", err)
	}
	return failure(ReasonDenied, "not allowed to %s %s %s", act, preposition(act), strconv.QuoteToASCII(destination))
}

func preposition(act auth.Action) string {
	if act == auth.Subscribe {
		return "to"
	}
	return "a message to"
}

// reconsider checks all subscriptions again as if they were new. It ends those
// that the principal is no longer allowed to have. If the principal may see
// fewer matches of a pattern than before, the subscription continues with those
// that are allowed.
func (s *session) reconsider(bt *batch) error {
	if s.judge != nil { // a later pattern subscription must not use old verdicts
		s.judge.mu.Lock()
		s.judge.forget()
		s.judge.mu.Unlock()
	}
	for _, sub := range slices.Clone(s.subs) {
		again := &subscriber{s: s, dest: sub.dest, queue: sub.queue, present: sub.present, durable: sub.durable}
		fail := s.mayObserve(again, bt)
		if fail != nil && fail.Reason != ReasonDenied {
			return fail
		}
		was, is := sub.filter.Load(), again.filter.Load()
		switch {
		case was != nil:
			was.forget(is != nil && is.proven, bt)
		case is != nil:
			is.sub = sub
			sub.filter.Store(is)
		}
		if fail != nil {
			s.withdraw(sub, EndedByRules, bt)
		}
	}
	return nil
}

// If a client is denied a destination, its session ends, as STOMP requires.
// Most client libraries reconnect at once and request the same destination
// again, without end. The broker therefore delays the ERROR of a user who is
// repeatedly denied from one network. This does not affect other users, or
// sessions of that user without denials.
const (
	freeDenials   = 5                      // within denialDecay, before the first delay
	firstHold     = 250 * time.Millisecond // doubles with each denial up to longestHold
	longestHold   = 5 * time.Second
	denialDecay   = time.Minute // denials are forgotten after this time without another
	maxDenialKeys = 4096
)

// denials counts the sessions that ended because of a denial. The zero value is
// ready to use.
type denials struct {
	mu   sync.Mutex
	seen map[denialKey]*denied
}

type denialKey struct {
	network netip.Addr
	user    string
}

type denied struct {
	n    int
	last time.Time
}

// count records a denial and returns the delay of its ERROR.
func (d *denials) count(now time.Time, key denialKey) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.seen[key]
	if e == nil || now.Sub(e.last) > denialDecay {
		d.makeRoom(now)
		e = new(denied)
		d.seen[key] = e
	}
	e.n, e.last = e.n+1, now
	over := e.n - freeDenials
	if over <= 0 {
		return 0
	}
	return min(firstHold<<min(over-1, 10), longestHold)
}

// makeRoom bounds the number of keys: it drops decayed keys and, if that is not
// enough, arbitrary ones. The caller holds the lock.
func (d *denials) makeRoom(now time.Time) {
	if d.seen == nil {
		d.seen = make(map[denialKey]*denied)
	}
	if len(d.seen) < maxDenialKeys {
		return
	}
	for k, e := range d.seen {
		if now.Sub(e.last) > denialDecay {
			delete(d.seen, k)
		}
	}
	for k := range d.seen {
		if len(d.seen) < maxDenialKeys*3/4 {
			return
		}
		delete(d.seen, k)
	}
}

// slowDenial delays the ERROR of a denied session if its user was denied
// several times just before. During the delay the broker reads nothing from the
// client, but continues to deliver messages to it.
func (s *session) slowDenial(bt *batch) {
	wait := s.b.denials.count(time.Now(), denialKey{httpsec.Network(s.peer.Addr()), s.userName()})
	if wait == 0 {
		return
	}
	s.user(bt, func(ctx context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
}
