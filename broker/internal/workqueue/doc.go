// Package workqueue keeps the messages of /queue/** destinations until a consumer has dealt with them: a bounded store
// in memory with competing consumers, acknowledgement, redelivery and dead letters. It is bookkeeping only: it starts
// no goroutine, does no I/O, sets no timer, and knows neither sessions nor frames. M is the caller's message; C is
// whatever one call of the caller carries along, for instance the set of outboxes to be woken when it is over.
//
//	store := workqueue.New[string, *batch](workqueue.Limits{}, nil)
//	consumer, err := store.Consume("/queue/jobs", worker, 10, false)
//	if err != nil {
//		return err
//	}
//	consumer.Start(b)
//	if err := store.Put(b, "/queue/jobs", "resize 1.png", 12); err != nil {
//		return err // a *FullError: nothing was stored, nothing was dropped
//	}
//	worker.last.Ack(b) // worker.Offer kept the *Delivery it was given
//
// # Order
//
// Waiting messages go out in the order in which they were put, each to one consumer. A message that comes back (Nack,
// or the Close of its consumer) takes its old place: before everything newer, so usually at the very front, and after
// an older one that came back as well. Consumers that can take a message take turns, the one served longest ago first;
// a consumer that cannot — no credit, parked, not started — is in no list that a Put walks.
//
// # Limits
//
// A message counts against the limits of its queue and of the store from Put until it is settled, so one that a
// consumer holds still counts. What does not fit is refused with a [FullError]; nothing that was accepted is dropped.
// A queue exists while it has a message or a consumer, and leaves no memory behind.
//
// # Locks
//
// Each queue has its own lock. [Receiver.Offer] runs under it, so it may take the lock of an outbox (queue before
// outbox), and whoever holds an outbox must not call into the store. No call ever holds the locks of two queues, and
// none holds a queue's lock over the dead-letter function. Every operation costs constant time for each message it
// stores, settles or delivers and each consumer it parks; only a message that comes back among r returned ones costs
// log r, for its old place.
package workqueue
