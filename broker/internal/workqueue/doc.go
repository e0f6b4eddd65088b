// Package workqueue stores the messages of /queue/** destinations until a
// consumer has settled them. It is a bounded in-memory store with competing
// consumers, acknowledgement, redelivery and dead letters. It does bookkeeping
// only: it starts no goroutine, does no I/O, sets no timer, and knows neither
// sessions nor frames. M is the caller's message type. C is a value that each
// call passes through to the receivers, for example the set of outboxes to
// flush afterwards.
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
// Waiting messages are delivered in the order of Put, each to one consumer. A
// returned message (after Nack, or the Close of its consumer) goes back to its
// old place: before all newer messages, so usually to the very front, and after
// older returned ones. Consumers that can take a message take turns, starting
// with the one served longest ago. A consumer that cannot (no credit, parked,
// not started) is in no list that a Put walks.
//
// # Limits
//
// A message counts against the limits of its queue and of the store from Put
// until it is settled, including while a consumer holds it. A message that does
// not fit is refused with a [FullError]; an accepted message is never dropped.
// A queue exists while it has a message or a consumer, and leaves no memory
// behind.
//
// # Locks
//
// Each queue has its own lock. [Receiver.Offer] runs with the lock held and may
// take the lock of an outbox, so the order is queue before outbox: do not call
// into the store while holding an outbox. No call holds the locks of two
// queues, or a queue's lock during the dead-letter function. Every operation
// takes constant time per message that it stores, settles or delivers and per
// consumer that it parks. Only returning a message takes log r time, where r is
// the number of returned messages that wait.
package workqueue
