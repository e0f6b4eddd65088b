// Package auth identifies clients and decides what they may do. It has the
// hooks that a broker calls at the handshake, at CONNECT and for every
// SUBSCRIBE and SEND, and ready-made implementations of them.
//
// An [Authenticator] turns the credential of an [Attempt] into a [Principal];
// [Chain] joins several. An [Authorizer] decides whether a principal may
// subscribe or send to a destination. Start with [Rules], an ordered list in
// which the first matching rule decides and no match denies.
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
// A browser cannot send a token with a WebSocket handshake. With
// package auth/ticket it exchanges the token by HTTP for a ticket that is valid
// for one connection within a few minutes:
//
//	revocations := auth.NewRevocations() // shared with the broker, which ends the sessions that Revoke names
//	tickets, err := ticket.New(ticket.NewMemory(), revocations, ticket.Options{})
//	if err != nil {
//		return err
//	}
//	endpoint, err := tickets.Handler(ticket.HandlerOptions{Bearer: verify})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/ws_ticket", endpoint)
//	authenticator := auth.Chain(tickets, auth.Anonymous)
//
// Everything fails closed: a nil principal without an error, an unknown error
// and a panic in a hook all reject the client, which gets a constant text. The
// package uses only the standard library, keeps no state outside a
// [Revocations], starts no goroutine and logs nothing.
package auth
