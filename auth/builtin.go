package auth

// Open returns the rules of development mode, for a broker that only its developer can reach. A client may
//
//   - subscribe to its own /user/topic/**, /user/queue/**, /user/{user}/** and whatever else is its own below /user, such
//     as /user/events, and to /topic/**, /queue/** and /app/**
//   - send to /topic/**, /queue/** and /app/**, and to /user/topic/** and /user/queue/**, which go to handlers
//
// and nothing else: it can neither listen nor send to another user.
func Open() *Rules {
	return builtin(
		allow("/user/topic/**", Subscribe, Send),
		allow("/user/queue/**", Subscribe, Send),
		allow("/user/{user}/**", Subscribe),
		Rule{Effect: Allow, Actions: []Action{Subscribe}, Destination: "/user/**", private: true},
		allow("/topic/**", Subscribe, Send),
		allow("/queue/**", Subscribe, Send),
		allow("/app/**", Subscribe, Send),
	)
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
func Guarded() *Rules {
	return builtin(
		Rule{Effect: Deny, Actions: []Action{Subscribe}, Destination: "/user/**", Roles: []string{RoleBackend}, Anonymous: true},
		allow("/user/topic/**", Subscribe),
		allow("/user/queue/**", Subscribe),
		allow("/user/{user}/**", Subscribe),
		Rule{Effect: Allow, Actions: []Action{Subscribe}, Destination: "/user/**", private: true},
		allow("/topic/**", Subscribe),
		allow("/app/**", Subscribe, Send),
		allow("/user/topic/registration", Send),
	)
}

func allow(destination string, actions ...Action) Rule {
	return Rule{Effect: Allow, Actions: actions, Destination: destination}
}

// builtin compiles rules that are constants of this package, so an error is a mistake in this file.
func builtin(rules ...Rule) *Rules {
	r, err := NewRules(rules...)
	if err != nil {
		panic(err)
	}
	return r
}
