// Package topics finds the subscribers of each message: who subscribed to its
// destination?
//
// It has four parts that build on one another. [Parse] reads the destination of
// a STOMP frame ("/topic/prices", "/user/queue/reply") into a typed
// [Destination]. [Pattern] matches Ant-style patterns with the same results as
// Spring's AntPathMatcher. [Index] finds the subscribers of a destination,
// literal and by pattern. [Router] combines an Index of the shared
// destinations, the private destinations of each session, and a registry of the
// sessions of each user.
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
// Every list of subscribers or sessions that this package returns is a shared
// snapshot: do not write to it; it never changes. Taking one copies and
// allocates nothing, unless patterns contribute to it; see [Index.Match]. A
// Match sees every change that returned before the Match began. A Match that
// began earlier may still return a subscriber that is being removed, so the
// code that delivers must check that the subscription still exists.
//
// # Cost
//
// Publishing and subscribing take a look-up, not a scan, whatever the number of
// subscriptions. Among frequently used destinations a look-up takes as long
// with a million subscriptions as with a thousand. Spread over a hundred
// thousand destinations, it takes as long as the memory accesses do, about as
// long as a look-up in a plain Go map of the same names; BenchmarkScale
// compares the two.
//
// Patterns aside, the list of a destination's subscribers is copied only at the
// first removal after a snapshot was taken, which is less work than sending
// those subscribers a message. A subscription takes 18 bytes if it shares its
// destination with many, 85 if it is the only one of its destination, and 100
// if its session and path are its own too, in addition to the subscriber
// itself.
//
// # Locks
//
// The package has these locks, in order: the shards of the user registry; the
// shards of the private and of the literal destinations; the pattern trie. No
// method holds two of them at once, and none is held while the body of an
// iterator runs. Callers with locks of their own lock users first, then topics,
// then outboxes.
package topics
