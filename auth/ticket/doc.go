// Package ticket mints and consumes tickets: 256 random bits, each of which
// lets one client connect once, within a few minutes. A page has a credential
// that it can send by HTTP but not with a WebSocket handshake. It exchanges the
// credential for a ticket and puts the ticket into the WebSocket's URL, where a
// long-lived secret must not be.
//
//	revocations := auth.NewRevocations() // the broker has the same
//	issuer, err := ticket.New(ticket.NewMemory(), revocations, ticket.Options{})
//	if err != nil {
//		return err
//	}
//	endpoint, err := issuer.Handler(ticket.HandlerOptions{Bearer: verify})
//	if err != nil {
//		return err
//	}
//	mux.Handle("/ws_ticket", endpoint)
//	b, err := broker.New(broker.Options{Authenticator: issuer, Revocations: revocations})
//
// What makes a ticket single-use is a [Store]: [Memory], or one that several
// processes share. Whether a ticket is still good is decided after the Store
// has given it out, by its expiry, its origin, [auth.Revocations] and its
// user's credential epoch. A ticket carries the epoch from before the
// credential was checked, and is dead if a later one has begun. So there is no
// order of revocation, minting and use in which a withdrawn credential
// connects. A Store that cannot answer rejects everybody.
//
// The package starts no goroutine and logs nothing: its errors have the texts
// for the log.
package ticket
