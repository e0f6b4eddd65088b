// Package topics answers the question a message broker asks for every message: who listens here?
//
// It has four parts that build on one another. [Parse] reads a destination as a STOMP client writes it
// ("/topic/prices", "/user/queue/reply") into a typed [Destination]. [Pattern] matches Ant-style patterns
// with the outcomes of Spring's AntPathMatcher. [Index] finds the subscribers of a destination, literal and
// by pattern. [Router] puts an Index for the destinations everybody shares next to the private destinations
// of each session and a registry of which user has which sessions.
//
//	router := topics.NewRouter[string]()
//	prices, _ := topics.Parse("/topic/prices/*")
//	reply, _ := topics.Parse("/user/queue/reply")
//	router.Join("alice", "session-1")
//	router.Subscribe("session-1", prices, "alice's prices")
//	router.Subscribe("session-1", reply, "alice's replies")
//
//	gold, _ := topics.Parse("/topic/prices/gold")
//	fmt.Println(router.Match(gold))
//	for _, session := range router.Sessions("alice") {
//		fmt.Println(router.MatchSession(session, "/queue/reply"))
//	}
//
// # Snapshots
//
// Every list of subscribers or sessions that this package hands out is a snapshot: it is shared, must not be
// written to, and never changes afterwards. Taking one costs neither a copy nor an allocation unless patterns
// add to it, see [Index.Match]. A change that returned before a Match began is always seen by it. A Match that
// began earlier may still return a subscriber that is removed meanwhile, so whoever delivers checks for itself
// whether the subscription is still alive.
//
// # Cost
//
// A publication costs a look-up and not a scan, whatever the number of subscriptions; so does a subscription. Where
// destinations are hot it costs the same among a million subscriptions as among a thousand. Spread over a hundred
// thousand destinations it costs what the memory takes to answer, about as long as for a plain Go map of the same
// names: BenchmarkScale puts them side by side.
//
// Patterns aside, the subscribers of a destination are copied when somebody leaves for the first time after they
// were handed out: less work than handing them a message was. A subscription takes 18 bytes where many share a
// destination, 85 where it is alone, 100 where it is alone with its session and path, and the subscriber itself.
//
// # Locks
//
// The locks of this package are, in order: the shards of the user registry; the shards of the private and of
// the literal destinations; the pattern trie. No method holds two of them at a time, and none is held over the
// body of an iterator.
// A caller with locks of its own keeps to users, then topics, then outboxes.
package topics
