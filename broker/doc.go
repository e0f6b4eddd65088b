// Package broker implements a STOMP broker over WebSocket and TCP, as an
// [http.Handler] that any program can mount. It supports STOMP 1.0, 1.1 and 1.2
// with topics, work queues, user destinations, application handlers, receipts,
// acknowledgements and transactions, with the semantics that Spring's clients
// expect.
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
// goroutine reads from it and runs the state machine of its session; an idle
// connection costs nothing more. A SEND becomes a publication, which the router
// (package topics) resolves to subscriptions. For each subscription, the
// shared, encoded frame is appended to the outbox of its session. All frames of
// one read form a batch. At the end of the batch, every touched outbox is
// written with one call: by the publisher if the socket accepts the bytes
// without blocking, else by a goroutine that lives until the outbox is empty. If
// the batch is large, a flusher makes the calls instead of the publisher. A
// sweeper handles everything that depends on the clock.
//
// # Files
//
// Each file holds one idea. In reading order:
//
//   - The program's side: doc, broker, options, limits, policy, shutdown, http, tcp,
//     transport, handler, later, inprocess, inprocessretry, inprocessreplay,
//     message, reason, observer, stats, log, relay, relayusers.
//   - Clients come and go: admit, origin, connect, ids, renew, expiry, revoke,
//     liveness, ending.
//   - A session and its frames: session, input, mailbox, commands, reserve,
//     authorize, acknowledge, transaction, receipt, completion, pause, notices.
//   - A message to its subscribers: publish, once, times, messageexpiry,
//     delayed, delayedmemory, delaystore, delayedstored, deliver, replies, subscriber, footprint, filter, selector,
//     publication, content, distinct, copies, outbox, batch, flusher,
//     flush.
//   - What topics keep, and who is there: topicset, history, historylist,
//     historystore, historystored, offset, replay, replaybudget, durable,
//     durablesession, durablestore, durableload, durablesend, durablelist,
//     durableposition, durablesaver, presence, presencelist.
//   - Work queues: queue, queuememory, queuequota, queuestore,
//     queuestored, queuedead, queuereader, queuedelivery,
//     queuebrowse, queuemove, queuestoredbrowse, queuestoredmove.
//
// # Locks
//
// Locks are taken in this order and never held during I/O or a callback:
//
//	durables.mu              held while a durable subscription is made, which adds it to the index, and quotas and distinct count it
//	Broker.mu, Sweeper.mu    registration and clock; no other lock is taken under them
//	credentialIndex, quotas  alone
//	admission: caps, throttle alone
//	admission: seats         held while a session joins or leaves the users in package topics
//	distinct                 alone
//	topics: users, index     inside package topics
//	completion.mu            alone, and not held while the callback runs
//	archive.mu               held while a message with a history is offered to its subscribers
//	storedQueues.mu          held while a queue of a store is opened or closed
//	storedQueue.pumping      held while the store is asked for messages
//	workqueue: one queue     held while Offer runs
//	judge.mu, Subscription.mu
//	outbox.mu                also guards its receipts, and its subscriptions' gates and unacknowledged
//	durableSaver.mu, lanes   alone; the first is also taken under any of the others
//	replay.mu, ring.Set      alone
//	storedHistory.mu         alone
//	presence.mu, roster      alone
//	replayBudget.mu          alone
//	schedule: Alarm, Schedule the second is also taken alone
//	storedDelays.mu          held while a goroutine is started
//	dedup.Window             alone, and not held while a callback runs
//	Broker.spawnMu           last, under any of the others; only counts goroutines
//	session.endMu            alone
//	selectors.mu, replies    alone
package broker
