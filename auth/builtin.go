package auth

import "slices"

// Open returns the rules of development mode, for a broker that only its
// developer can reach. A client may
//
//   - subscribe to its own destinations: /user/topic/**, /user/queue/**,
//     /user/{user}/** and anything else of its own below /user, such as
//     /user/events
//   - subscribe to /topic/**, /queue/** and /app/**
//   - list and watch presence: subscribe to /app/presence/** and
//     /topic/presence/**, if the broker keeps it
//   - send to /topic/**, /queue/** and /app/**, and to /user/topic/** and
//     /user/queue/**, which go to handlers
//
// Everything else is denied: a client can neither subscribe as another user nor
// send to one.
func Open() *Rules { return standard.open() }

func (s *space) open() *Rules {
	var rules []Rule
	for _, prefix := range s.shared {
		rules = append(rules, allow(s.user+prefix+"/**", Subscribe, Send))
	}
	rules = append(rules, s.own()...)
	for _, prefix := range slices.Concat(s.topic, s.queue, s.app) {
		rules = append(rules, allow(prefix+"/**", Subscribe, Send))
	}
	rules = append(rules, allow(s.events()+"/**", Subscribe), allow(s.app[0]+presence+"/**", Subscribe))
	return s.builtin(append(rules, s.others(Subscribe, Send)...))
}

// Guarded returns the basic rules for clients that must authenticate. A client
// may
//
//   - subscribe to its own destinations: /user/topic/**, /user/queue/**,
//     /user/{user}/** and anything else of its own below /user, such as
//     /user/events
//   - subscribe to /topic/** and /app/**, except for presence, which needs rules
//     of its own ([ExplicitAuthorizer])
//   - send to /app/** and to /user/topic/registration
//
// Everything else is denied. A backend without a name, as accepted by
// MintBackend of package auth/ticket, may subscribe to nothing below /user,
// because it only publishes for others. Add further rules with [Rules.Prepend].
func Guarded() *Rules { return standard.guarded() }

func (s *space) guarded() *Rules {
	rules := []Rule{{Effect: Deny, Actions: []Action{Subscribe}, Destination: s.user + "/**", Roles: []string{RoleBackend}, Anonymous: true}}
	for _, prefix := range s.shared {
		rules = append(rules, allow(s.user+prefix+"/**", Subscribe))
	}
	rules = append(rules, s.own()...)
	for _, prefix := range s.topic {
		rules = append(rules, allow(prefix+"/**", Subscribe))
	}
	rules = append(rules, allow(s.app[0]+"/**", Subscribe, Send), allow(s.user+"/topic/registration", Send))
	return s.builtin(append(rules, s.others(Subscribe)...))
}

// presence is in the destinations of presence, behind the prefix.
const presence = "/presence"

// events returns the prefix of the events of presence: below the first prefix of
// topics.
func (s *space) events() string {
	if len(s.topic) == 0 {
		return presence
	}
	return s.topic[0] + presence
}

// own returns the rules for a session's own destinations other than topics and
// queues.
func (s *space) own() []Rule {
	return []Rule{
		allow(s.user+"/{user}/**", Subscribe),
		{Effect: Allow, Actions: []Action{Subscribe}, Destination: s.user + "/**", private: true},
	}
}

// others returns the rules for topics without a prefix, if the broker has such
// topics: any destination that no other prefix claims.
func (s *space) others(actions ...Action) []Rule {
	if !s.rest {
		return nil
	}
	var rules []Rule
	for _, prefix := range append(slices.Concat(s.queue, s.app), s.user) {
		rules = append(rules, Rule{Effect: Deny, Actions: actions, Destination: prefix + "/**"})
	}
	return append(rules, Rule{Effect: Allow, Actions: actions, Destination: "/**", AnyUser: true})
}

func allow(destination string, actions ...Action) Rule {
	return Rule{Effect: Allow, Actions: actions, Destination: destination}
}

// builtin compiles rules that are constants of this package. It panics on an
// error, which is a mistake in this file.
func (s *space) builtin(rules []Rule) *Rules {
	r, err := s.newRules(rules)
	if err != nil {
		panic(err)
	}
	return r
}
