// Package checker judges a broker by what its clients saw. A driver tells it
// every SEND, RECEIPT, SUBSCRIBE, MESSAGE, ACK and end of a connection while
// they happen. After the run, [Checker.Report] states each broken promise as a
// [Violation].
//
//	c := checker.New(checker.Options{})
//	s := c.Session(checker.Who{Node: "a", User: "ann", Session: "1"})
//	sub := s.Subscribe("0", "/topic/news", checker.Auto, nil) // before SUBSCRIBE is written
//	sub.Receipted("")                                         // after its RECEIPT was read
//	id := s.Send("/topic/news", "")                           // before SEND is written
//	body := checker.Body(id, 100)                             // what that SEND carries
//	s.Receipted(id)                                           // after its RECEIPT was read
//	s.Message(checker.Message{Subscription: "0", Body: body}) // after a MESSAGE was read
//
// # When to tell
//
// Tell what a client does (Send, Subscribe, Commit, Abort, Ack, Unsubscribe,
// Leave) before it is written, and what a client learns (Receipted, Committed,
// Message, Cut and the like) after it was read. The checker gives each event a
// time that is larger than all earlier ones. So if A is earlier than B there, A
// had happened when B began, and every rule below is sound whatever the network
// and the scheduler do. The frames of one connection must be told in their order.
// All methods may be called from several goroutines.
//
// # What is a violation
//
// A SEND is receipted if its RECEIPT came. In a transaction the RECEIPT of the
// COMMIT counts instead, and the time of the COMMIT is the time of the SEND.
// Destinations that [Options].Queue names are queues; all others are topics, where
// each subscription that matches ([Options].Match) gets each message.
//
// [Lost], topics: a receipted SEND was made after the RECEIPT of a SUBSCRIBE that
// matches, the subscription did not get it, and one of these holds:
//   - the subscription was still open when the report was made;
//   - it got a later SEND of the same publisher to the same destination;
//   - it was ended by its client, and [Options].Grace or more had passed since the
//     RECEIPT of the SEND.
//
// [Lost], queues: a receipted SEND to a queue that the driver has declared
// [Checker.Drained] was never delivered to anybody; or all who got it ended
// before that without an ACK or a NACK, and nobody got it again. It is no violation
// if a consumer with ack:auto ended after the SEND, because the message may have
// been on its way to it.
//
// [Duplicate], topics: a subscription got a SEND twice. Queues: a SEND was
// delivered more than once without `redelivered:true`, or, with or without it,
// again after the RECEIPT of its ACK. A broker may set `redelivered:true` too often.
// A delivery from another destination than that of the SEND (a dead letter) may be
// without it. It is no violation if a MESSAGE is read after the RECEIPT of
// another consumer's ACK from a connection that was cut, unless it was written
// after it, which is known if the SUBSCRIBE or the SEND of an earlier MESSAGE
// there came later: the broker may have noticed the cut long before the client.
//
// [OutOfOrder]: a subscription got two SENDs of one publisher to one destination
// in another order than they were made. A publisher is a session: one who
// reconnects is another. No order is asked
//   - among different publishers or different destinations, so that a
//     message that the broker stored again after a lost confirmation may come
//     after later ones of other sessions;
//   - of queue messages with `redelivered:true`;
//   - of a SEND in a transaction against those that its session made outside of it
//     before the COMMIT: it counts as made with the COMMIT.
//
// [Misdelivered]: a MESSAGE came to a subscription that does not match the
// destination of its SEND, to a user that [Options].Entitled denies it, to a
// subscription that the session does not have, after the RECEIPT of its
// UNSUBSCRIBE, or with the destination of something else.
//
// [RecoveredHole]: a subscription that continues an earlier one said
// `recovered:true`, in its RECEIPT or in a MESSAGE, and a receipted SEND that was
// made after the RECEIPT of the first SUBSCRIBE and before that of the last came to
// neither, although the subscription was open when the report was made or got a
// later SEND of the same publisher to the same destination. After `recovered:true`
// order and duplicates are judged as if both were one subscription. Without it, what
// was sent in between is no subject of any rule.
//
// [Uncommitted]: a SEND of a transaction was delivered before its COMMIT was
// written, or though it was aborted or never committed.
//
// [Corrupt]: a MESSAGE whose body is not what its SEND carried, or that nobody
// sent; or one message-id for two SENDs in one subscription.
//
// # What it cannot know
//
// A SEND without a RECEIPT may or may not be delivered; but once at most, in
// order, and to those entitled. The same holds for one that was answered with
// ERROR. A subscription without a RECEIPT may miss anything. What was written to a
// connection that was cut may be gone. What a broker in memory held is gone after
// a kill: tell [Checker.MemoryLost]. The checker does not wait: the driver makes the
// report when nothing more is to come ([Checker.Outstanding]). That a transaction is all or
// nothing is judged only where its COMMIT has a RECEIPT.
//
// The same events in the same order give the same report. A SEND takes 24 bytes of
// memory and a MESSAGE 32, and a report about as much again.
package checker
