package auth

import "slices"

// Open returns the rules of development mode, for a broker that only its developer can reach. A client may
//
//   - subscribe to its own /user/topic/**, /user/queue/**, /user/{user}/** and whatever else is its own below /user, such
//     as /user/events, and to /topic/**, /queue/** and /app/**
//   - send to /topic/**, /queue/** and /app/**, and to /user/topic/** and /user/queue/**, which go to handlers
//
// and nothing else: it can neither listen nor send to another user.
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
	return s.builtin(append(rules, s.others(Subscribe, Send)...))
}

// Guarded returns the rules to start from when clients have to authenticate. A client may
//
//   - subscribe to its own /user/topic/**, /user/queue/**, /user/{user}/** and whatever else is its own below /user, such
//     as /user/events, and to /topic/** and /app/**
//   - send to /app/** and to /user/topic/registration
//
// and nothing else. A back end without a name, as [Tickets.MintBackend] lets in, may subscribe to nothing below /user:
// what it has to say there is for others. Everything further is for the operator to allow or deny with
// [Rules.Prepend].
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

// own are the rules for what is a session's own, besides topics and queues.
func (s *space) own() []Rule {
	return []Rule{
		allow(s.user+"/{user}/**", Subscribe),
		{Effect: Allow, Actions: []Action{Subscribe}, Destination: s.user + "/**", private: true},
	}
}

// others are the rules for topics without a prefix, if there are any: whatever is nothing else.
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

// builtin compiles rules that are constants of this package, so an error is a mistake in this file.
func (s *space) builtin(rules []Rule) *Rules {
	r, err := s.newRules(rules)
	if err != nil {
		panic(err)
	}
	return r
}
