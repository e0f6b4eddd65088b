// Package auth decides who a client is and what it may do: the hooks that a broker calls at the handshake, at
// CONNECT and for every SUBSCRIBE and SEND, and ready-made implementations of them.
//
// An [Authenticator] turns the credential of an [Attempt] into a [Principal]; several are joined with [Chain].
// An [Authorizer] answers whether a principal may subscribe or send to a destination; [Rules] is the one to start
// with, an ordered list in which the first match wins and no match means no.
//
//	rules, err := auth.Guarded().Prepend(
//		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/reminder/{user}"},
//		auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/reminder/**"},
//		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/**", Roles: []string{"service"}},
//	)
//	if err != nil {
//		return err
//	}
//	alice := &auth.Principal{Name: "alice"}
//	rules.Authorize(ctx, alice, auth.Subscribe, "/topic/reminder/alice") // nil
//	rules.Authorize(ctx, alice, auth.Subscribe, "/topic/reminder/bob")   // ErrDenied
//
// Everything fails closed: a nil principal without an error, an error that nobody knows and a panic in a hook all
// mean no, and the client is told a constant text. The package uses nothing but the standard library, keeps no
// state, starts no goroutine and logs nothing.
package auth
