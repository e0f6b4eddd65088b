package broker

import (
	"github.com/hoofbeat/hoofbeat/topics"
)

// Limits bound the resources of one session, or of all unauthenticated clients
// together. A limit applies per session unless its comment says otherwise. Zero
// is the default, negative means no limit.
type Limits struct {
	Frame                     int // bytes of a frame, default 65,536
	UnauthenticatedFrame      int // the same before CONNECTED, default 8,192
	Headers                   int // headers of a frame, default 100 (20 before CONNECTED)
	HeaderBytes               int // bytes of all headers of a frame, default 8,192
	Subscriptions             int // default 1,000
	SubscriptionBytes         int // bytes of memory of all subscriptions, including ids, patterns and selectors, default 2 MiB
	ReplyDestinations         int // destinations for answers (reply-to:/temp-queue/…), each of which is also a subscription, default 100
	SlowPatterns              int // distinct patterns that are slow to match ([topics.Destination.Slow]), of all sessions, default 2,500
	SlowPatternsPerUser       int // the same, of the sessions of one user, or of the anonymous sessions of one address, default 250
	SelectorsPerUser          int // distinct selectors of the sessions of one user, or of the anonymous sessions of one address, default 100
	Durable                   int // durable subscriptions, of all users, default 1,000
	DurablePerUser            int // the same, of one user, default 100
	Transactions              int // open transactions, default 16
	TransactionFrames         int // frames in one transaction, default 1,000
	TransactionBytes          int // bytes of memory of all open transactions, default 1 MiB
	InFlight                  int // frames waiting for a store or for earlier receipts; at the limit, reading stops, default 1,000
	InFlightBytes             int // bytes of memory of these frames, default 1 MiB
	Unacknowledged            int // unacknowledged messages (of queues, and those with Message.Settled), default 1,000
	Outbox                    int // bytes waiting to be written, including bytes in flight, default 524,288
	ReplayBytes               int // bytes of history waiting to be written to all sessions, default 64 MiB
	DedupIDs                  int // ids of accepted messages that are remembered for two minutes (the header message-dedup-id), of all sessions, default 500,000
	DedupIDsPerUser           int // the same, of the sessions of one user, default 125,000
	PresenceLeaving           int // users who have left their topic of Options.Presence and may come back within 2 s, in total; beyond it the first to have left goes at once, default 100,000
	Unauthenticated           int // sockets before CONNECTED, in total, default 1,024
	UnauthenticatedPerAddress int // sockets before CONNECTED, from one address, default 64

	NUL NULMode // handling of a body with a NUL byte, default NULReplace

	Sessions           int // connected sessions in total, default 100,000
	SessionsPerUser    int // connected sessions of one user; anonymous sessions are not counted, default 1,000
	SessionsPerAddress int // connected sessions from one address (IPv6: one /64), default 10,000

	// LoginFailures is the number of wrong passcodes of one login from one
	// address that cause no delay. After that, one passcode at a time is
	// compared, after a wait that starts at 1 s and doubles with every failure
	// up to Options.FailureWait. Default 5.
	LoginFailures int
	// AddressFailures is the number of wrong passcodes from one address, for
	// any login, that cause no delay. After that, passcodes from this address
	// are compared at intervals of 50 ms, and none is rejected because of this
	// limit. Wrong tickets and tokens have a separate count; above it they are
	// answered with 429. Default 50.
	AddressFailures int
}

// QueueMode is the delivery mode of /queue destinations.
type QueueMode uint8

const (
	// QueueWork delivers each message to one of the competing consumers and
	// stores messages, within limits, while there is no consumer.
	QueueWork QueueMode = iota
	// QueueBroadcast makes /queue destinations behave like topics, as in
	// Spring's simple broker.
	QueueBroadcast
)

// Queues configure /queue destinations in [QueueWork] mode. Without
// Options.QueueStore messages are in memory only and are lost when the broker
// stops.
type Queues struct {
	Mode       QueueMode
	Messages   int   // messages in one queue, default 10,000
	Bytes      int64 // bytes in one queue, default 64 MiB
	Queues     int   // queues, default 1,000
	TotalBytes int64 // bytes in all queues together, default 1 GiB

	// QueuesPerUser and BytesPerUser are the share of Queues and TotalBytes for
	// one user, or for all anonymous sessions of one address (IPv6: one /64)
	// together. QueuesPerUser counts the queues that exist because these
	// sessions were the first to send or subscribe to them; BytesPerUser counts
	// the messages that they sent, in any queue. The program's own messages and
	// sessions with [auth.RoleBackend] have no share. Defaults 250 and 256 MiB.
	QueuesPerUser int
	BytesPerUser  int64

	// Delayed and DelayedBytes bound the messages with a delay that are not due
	// yet, to any destination and in any mode; DelayedPerUser and
	// DelayedBytesPerUser are the share of one user, or of all anonymous sessions
	// of one address. The program and sessions with [auth.RoleBackend] have no
	// share. Defaults 100,000, 256 MiB, 25,000 and 64 MiB.
	Delayed             int
	DelayedBytes        int64
	DelayedPerUser      int
	DelayedBytesPerUser int64

	// Expired is what happens to messages that expire in a queue (the headers
	// expires, expiration and ttl). Default ExpiredDrop.
	Expired ExpiredMode

	Attempts int // deliveries before a message goes to /queue/DLQ.<name>, default 5
	Prefetch int // unacknowledged messages of a subscription without `prefetch-count`, default 100

	// Transient are Ant patterns of queues that are not stored in any mode,
	// such as "/queue/**/*-user*": a message goes to all current subscribers
	// and to no later ones, as on a topic, and none of these limits applies.
	// Default none.
	//
	// Use them for queues that belong to one session and are useless after it
	// ends. Spring's broker relay maps /user destinations to such queues,
	// /queue/replies-user<session> (DefaultUserDestinationResolver). Without
	// Transient, messages that it sends to a session that has just ended would
	// be stored forever.
	//
	// A pattern must begin with /queue/ and not with /queue/DLQ.: dead-letter
	// queues are always stored. In QueueWork mode a SUBSCRIBE to a pattern of
	// queues is refused, whether the queues are transient or not.
	Transient []string
	transient []*topics.Pattern // the same, compiled
}

func (l *Limits) setDefaults() {
	set(&l.Frame, 64<<10, unlimited)
	set(&l.UnauthenticatedFrame, 8<<10, unlimited)
	set(&l.Headers, 100, unlimited)
	set(&l.HeaderBytes, 8<<10, unlimited)
	set(&l.Subscriptions, 1000, unlimited)
	set(&l.SubscriptionBytes, 2<<20, unlimited)
	set(&l.ReplyDestinations, 100, unlimited)
	set(&l.SlowPatterns, 2500, unlimited)
	set(&l.SlowPatternsPerUser, 250, unlimited)
	set(&l.SelectorsPerUser, 100, unlimited)
	set(&l.Durable, 1000, unlimited)
	set(&l.DurablePerUser, 100, unlimited)
	set(&l.Transactions, 16, unlimited)
	set(&l.TransactionFrames, 1000, unlimited)
	set(&l.TransactionBytes, 1<<20, unlimited)
	set(&l.InFlight, 1000, unlimited)
	set(&l.InFlightBytes, 1<<20, unlimited)
	set(&l.Unacknowledged, 1000, unlimited)
	set(&l.Outbox, 512<<10, unlimited)
	set(&l.ReplayBytes, 64<<20, unlimited)
	set(&l.DedupIDs, 500_000, unlimited)
	set(&l.DedupIDsPerUser, 125_000, unlimited)
	set(&l.PresenceLeaving, 100_000, unlimited)
	set(&l.Unauthenticated, 1024, unlimited)
	set(&l.UnauthenticatedPerAddress, 64, unlimited)
	set(&l.Sessions, 100_000, unlimited)
	set(&l.SessionsPerUser, 1000, unlimited)
	set(&l.SessionsPerAddress, 10_000, unlimited)
	set(&l.LoginFailures, 5, unlimited)
	set(&l.AddressFailures, 50, unlimited)
}
