package broker

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/hoofbeat/hoofbeat/auth"
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

// mayObserve authorises a SUBSCRIBE. A pattern must not reveal a destination
// for which a literal SUBSCRIBE would be denied. Unless the rules prove that it
// cannot, every destination it matches is authorised before delivery.
func (s *session) mayObserve(sub *subscription, bt *batch) *Error {
	d := sub.dest
	switch {
	case d.Kind == topics.UserNamed: // equivalent to the form without the user name
		return s.authorize(auth.Subscribe, d, topics.Collapse(s.b.userPrefix()+d.Path), bt)
	case d.Pattern:
		return s.mayObservePattern(sub, bt)
	}
	name := s.b.o.names.Canonical(d)
	fail := s.authorize(auth.Subscribe, d, name, bt)
	if source, ok := s.b.o.names.DeadLettersOf(name); ok && fail == nil && sub.queue {
		fail = s.authorize(auth.Subscribe, d, source, bt)
	}
	return fail
}

func (s *session) mayObservePattern(sub *subscription, bt *batch) *Error {
	pattern := topics.Collapse(sub.dest.Name)
	coverage, fail := s.covers(pattern, sub.dest, bt)
	if fail != nil {
		return fail
	}
	// /topic/a/* also matches /topic/a/, which is authorised as /topic/a.
	_, quirk := strings.CutSuffix(pattern, "/*")
	switch {
	case coverage != auth.All:
		sub.filter.Store(newFilter(sub, false))
	case quirk:
		sub.filter.Store(newFilter(sub, true))
	}
	return nil
}

// covers returns how much of a pattern the client may see.
func (s *session) covers(pattern string, d topics.Destination, bt *batch) (auth.Coverage, *Error) {
	pa, ok := s.b.policy.Load().authorizer.(auth.PatternAuthorizer)
	if !ok {
		return auth.Some, nil
	}
	var coverage auth.Coverage
	var err error
	s.user(bt, func(ctx context.Context) {
		coverage, err = hook.Guard(s.b.hookPanicked, "Authorizer", func() (auth.Coverage, error) {
			return pa.AuthorizePattern(ctx, s.principal.Load(), pattern)
		})
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
	if p := s.b.policy.Load(); p.rules != nil { // never blocks
		err = p.rules.Authorize(s.b.ctx, s.principal.Load(), act, name)
	} else {
		s.user(bt, func(ctx context.Context) {
			err = hook.Call(s.b.hookPanicked, "Authorizer", func() error {
				return s.b.policy.Load().authorizer.Authorize(ctx, s.principal.Load(), act, name)
			})
		})
	}
	return s.denied(err, act, d.Name)
}

// alwaysAllowed reports whether a destination concerns only the session itself.
// No rule is checked for it.
func alwaysAllowed(act auth.Action, d topics.Destination) bool {
	switch d.Kind {
	case topics.App:
		return act == auth.Send && d.Path == sessionRefresh || act == auth.Subscribe && d.Path == bootstrap
	case topics.UserPrivate, topics.UserNamed: // a SUBSCRIBE can name only the session's own
		return act == auth.Subscribe && (d.Path == sessionNotices || d.Path == softErrors)
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
