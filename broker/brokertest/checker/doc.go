// Package checker checks a broker by what its clients observe. A driver reports
// to it every SEND, RECEIPT, SUBSCRIBE, MESSAGE, ACK and end of a connection as
// it happens. After the run, [Checker.Report] lists each broken promise as a
// [Violation].
//
//	c := checker.New(checker.Options{})
//	s := c.Session(checker.Who{Node: "a", User: "ann", Session: "1"})
//	sub := s.Subscribe("0", "/topic/news", checker.Auto, nil) // before SUBSCRIBE is written
//	sub.Receipted("")                                         // after its RECEIPT was read
//	id := s.Send("/topic/news", "")                           // before SEND is written
//	body := checker.Body(id, 100)                             // the body of that SEND
//	s.Receipted(id)                                           // after its RECEIPT was read
//	s.Message(checker.Message{Subscription: "0", Body: body}) // after a MESSAGE was read
//
// # When to report
//
// Report what a client does (Send, Subscribe, Commit, Abort, Ack, Unsubscribe,
// Leave) before it is written, and what a client learns (Receipted, Committed,
// Message, Cut and the like) after it was read. The checker gives each event a
// later time than all events before it. So if A is earlier than B in the
// record, A had happened when B began, and every rule below holds whatever the
// network and the scheduler do. Report the frames of one connection in their
// order. All methods are safe for concurrent use.
//
// # Violations
//
// A SEND is receipted if its RECEIPT arrived. In a transaction the RECEIPT of
// the COMMIT counts instead, and the time of the COMMIT is the time of the
// SEND. Destinations selected by [Options].Queue are queues. All others are
// topics, where each matching subscription ([Options].Match) gets each message.
//
// [Lost], topics: a receipted SEND was made after the RECEIPT of a matching
// SUBSCRIBE, the subscription did not get it, and one of these is true:
//   - the subscription was still open at the time of the report;
//   - it got a later SEND of the same publisher to the same destination;
//   - its client ended it, and at least [Options].Grace had passed since the
//     RECEIPT of the SEND.
//
// [Lost], queues: a receipted SEND to a queue that the driver declared
// [Checker.Drained] was never delivered; or all subscriptions that got it ended
// before that without an ACK or a NACK, and no other got it again. It is not a
// violation if a consumer with ack:auto ended after the SEND, because the
// message may have been in transit to it.
//
// [Duplicate], topics: a subscription got a SEND twice. Queues: a SEND was
// delivered more than once without `redelivered:true`, or, with or without it,
// again after the RECEIPT of its ACK. A broker may set `redelivered:true`
// unnecessarily. A delivery from a destination other than that of the SEND (a
// dead letter) may lack it. It is not a violation if a MESSAGE is read from a
// cut connection after the RECEIPT of another consumer's ACK, unless the broker
// wrote it after that RECEIPT: the broker may have noticed the cut long before
// the client. The broker is known to have written it later if the SUBSCRIBE, or
// the SEND of an earlier MESSAGE on that connection, came later.
//
// [OutOfOrder]: a subscription got two SENDs of one publisher to one
// destination in the wrong order. A publisher is a session; a client that
// reconnects is a new one. No order is required
//   - among different publishers or different destinations, so a message that
//     the broker stored again after a lost confirmation may arrive after later
//     ones of other sessions;
//   - of queue messages with `redelivered:true`;
//   - of a SEND in a transaction and those that its session made outside of it
//     before the COMMIT: it counts as made at the COMMIT.
//
// [Misdelivered]: a MESSAGE reached a subscription that does not match the
// destination of its SEND; a user that [Options].Entitled excludes; a
// subscription that the session does not have; or a subscription after the
// RECEIPT of its UNSUBSCRIBE. Or its destination header is wrong.
//
// [RecoveredHole]: a subscription that continues an earlier one reported
// `recovered:true`, in its RECEIPT or in a MESSAGE; a receipted SEND was made
// after the RECEIPT of the first SUBSCRIBE and before that of the last, and
// neither got it; and the subscription was open at the time of the report or
// got a later SEND of the same publisher to the same destination. After
// `recovered:true` the rules on order and duplicates treat both as one
// subscription. Without it, no rule applies to what was sent in between.
//
// [Uncommitted]: a SEND in a transaction was delivered before its COMMIT was
// written, or although it was aborted or never committed.
//
// [Corrupt]: the body of a MESSAGE differs from that of its SEND, or there was
// no such SEND; or two SENDs have the same message-id in one subscription.
//
// # Limits
//
// A SEND without a RECEIPT may or may not be delivered, but at most once, in
// order, and only to entitled users. The same is true for one that was answered
// with ERROR. A subscription without a RECEIPT may miss anything. Data written
// to a connection that was cut may be lost. A broker that keeps messages in
// memory loses them when it is killed: call [Checker.MemoryLost]. The checker
// does not wait: the driver requests the report when nothing more should arrive
// ([Checker.Outstanding]). Whether a transaction is atomic is checked only if
// its COMMIT has a RECEIPT.
//
// The same events in the same order give the same report. A SEND takes 24 bytes
// of memory and a MESSAGE 32; a report takes about as much again.
package checker
