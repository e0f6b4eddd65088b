// Package broker is a STOMP broker over WebSocket and TCP, as an [http.Handler]
// that any program mounts: topics, work queues, destinations of one user,
// application handlers, receipts, acknowledgements and transactions of STOMP
// 1.0, 1.1 and 1.2, with the semantics that Spring's clients expect.
//
//	b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
//	if err != nil {
//		return err
//	}
//	defer b.Close()
//	err = b.Handle("/app/echo", broker.HandlerFunc(func(ctx context.Context, r *broker.Request) error {
//		_, err := r.Reply(ctx, &broker.Message{Body: r.Body})
//		return err
//	}))
//	http.Handle("/ws", b)
//
// # How it works
//
// A connection is a wire (WebSocket, TCP, or a [Transport] from outside). One
// goroutine reads from it and runs the state machine of its session; that is
// all an idle connection costs. A SEND becomes a publication, which the router
// (package topics) resolves to subscriptions; each gets the shared, encoded
// frame appended to the outbox of its session. At the end of the batch that one
// read brought, every outbox that was touched is written with one call, by the
// publisher if the socket takes it without blocking, else by a goroutine that
// lives until the outbox is empty. What depends on the clock is the sweeper's.
//
// # Locks
//
// Taken in this order, and never held over I/O or a callback:
//
//	Broker.mu, sweeper.mu    registration and clock, never with another below them
//	credentialIndex, quotas  alone
//	distinct                 alone
//	topics: users, index     inside package topics
//	completion.mu            alone, and not while it calls what follows
//	workqueue: one queue     Offer runs under it
//	judge.mu, Subscription.mu
//	outbox.mu                also guards its receipts, and its subscriptions' gates and unacknowledged
//	Broker.spawnMu           last, under any of the others: counts a goroutine and no more
//	session.endMu            alone
//	selectors.mu             alone
package broker
