package config

import "time"

// Limits is the section limits.
type Limits struct {
	// Largest STOMP frame, headers and body.
	Frame Bytes `key:"limits.frame,live" default:"64KiB" range:"1KiB to 1GiB, or off"`
	// Largest STOMP frame before CONNECTED.
	UnauthenticatedFrame Bytes `key:"limits.unauthenticated_frame,live" default:"8KiB" range:"512 to 1GiB, or off"`
	// Headers of one frame.
	Headers int `key:"limits.headers,live" default:"100" range:"1 to 10000, or off"`
	// Bytes of all headers of one frame.
	HeaderBytes Bytes `key:"limits.header_bytes,live" default:"8KiB" range:"512 to 16MiB, or off"`
	// Subscriptions of one session.
	Subscriptions int `key:"limits.subscriptions,live" default:"1000" range:"1 to 1000000, or off"`
	// Memory of the subscriptions of one session: ids, patterns, selectors.
	SubscriptionBytes Bytes `key:"limits.subscription_bytes,live" default:"2MiB" range:"1KiB to 1GiB, or off"`
	// Destinations of one session for answers (reply-to:/temp-queue/…). Each is
	// also a subscription.
	ReplyDestinations int `key:"limits.reply_destinations,live" default:"100" range:"1 to 1000000, or off"`
	// Distinct slow patterns of all sessions: the broker compares every
	// message to a new destination with each of them. Slow are patterns with a
	// segment like a?, a*b or *a*, with two segments like a* or *a, or with
	// more than three wildcard segments.
	SlowPatterns int `key:"limits.slow_patterns,live" default:"2500" range:"1 to 10000000, or off"`
	// Distinct slow patterns of one user, or of the anonymous sessions of one
	// address.
	SlowPatternsPerUser int `key:"limits.slow_patterns_per_user,live" default:"250" range:"1 to 10000000, or off"`
	// Distinct selectors of one user, or of the anonymous sessions of one
	// address. Each one judges every message to its topic.
	SelectorsPerUser int `key:"limits.selectors_per_user,live" default:"100" range:"1 to 10000000, or off"`
	// Durable subscriptions of all users.
	Durable int `key:"limits.durable,live" default:"1000" range:"1 to 1000000, or off"`
	// Durable subscriptions of one user.
	DurablePerUser int `key:"limits.durable_per_user,live" default:"100" range:"1 to 1000000, or off"`
	// Open transactions of one session.
	Transactions int `key:"limits.transactions,live" default:"16" range:"1 to 10000, or off"`
	// Frames in one transaction.
	TransactionFrames int `key:"limits.transaction_frames,live" default:"1000" range:"1 to 1000000, or off"`
	// Bytes of all open transactions of one session.
	TransactionBytes Bytes `key:"limits.transaction_bytes,live" default:"1MiB" range:"1KiB to 1GiB, or off"`
	// Frames of one session that wait for a store, or for the receipts of
	// earlier frames. At the limit the broker stops reading from the session
	// until half of them are done. Queues in memory never wait.
	InFlight int `key:"limits.in_flight,live" default:"1000" range:"1 to 1000000, or off"`
	// Memory of these frames.
	InFlightBytes Bytes `key:"limits.in_flight_bytes,live" default:"1MiB" range:"1KiB to 1GiB, or off"`
	// Messages delivered to one session and not yet acknowledged.
	Unacknowledged int `key:"limits.unacknowledged,live" default:"1000" range:"1 to 1000000, or off"`
	// Ids of accepted messages that the broker remembers for two minutes, so
	// that a message sent again with the same message-dedup-id is accepted
	// once. Each takes 160 bytes. At the limit a message with this header is
	// refused.
	DedupIDs int `key:"limits.dedup_ids,live" default:"500000" range:"1 to 100000000, or off"`
	// The same, of one user. Sessions with the role backend do not count.
	DedupIDsPerUser int `key:"limits.dedup_ids_per_user,live" default:"125000" range:"1 to 100000000, or off"`
	// Users who have left a topic of presence and can come back within 2s
	// without having left, in total. At the limit the one who left first is
	// gone at once, and watchers of the topic ask for the list again.
	PresenceLeaving int `key:"limits.presence_leaving,live" default:"100000" range:"1 to 100000000, or off"`
	// Bytes waiting to be written to one session. A client that reads too
	// slowly and exceeds it is disconnected.
	Outbox Bytes `key:"limits.outbox,live" default:"512KiB" range:"4KiB to 1GiB, or off"`
	// Bytes of history waiting to be written to all sessions together. Beyond
	// this, clients that come back get their history in turns, at least a
	// message at a time.
	ReplayBytes Bytes `key:"limits.replay_bytes,live" default:"64MiB" range:"64KiB to 1TiB, or off"`
	// Time from the connection to CONNECTED.
	ConnectDeadline time.Duration `key:"limits.connect_deadline" default:"5s" range:"100ms to 10m, or off"`
	// Disconnect a client that accepts no data for this long.
	WriteDeadline time.Duration `key:"limits.write_deadline" default:"10s" range:"10ms to 1h, or off"`
	// Connections before CONNECTED, in total.
	Unauthenticated int `key:"limits.unauthenticated,live" default:"1024" range:"1 to 10000000, or off"`
	// Connections before CONNECTED from one address.
	UnauthenticatedPerAddress int `key:"limits.unauthenticated_per_address,live" default:"64" range:"1 to 10000000, or off"`
	// HTTP connections of the public listener that are not WebSockets, in
	// total: idle ones, requests, and SockJS. At the limit the one that has
	// been idle longest is closed. The defaults of this key, of
	// connections_per_address, and of the unauthenticated and sessions keys
	// are lower if the process can open few files (`ulimit -n`).
	Connections int `key:"limits.connections,live" default:"65536" range:"1 to 10000000, or off" needs:"listen"`
	// HTTP connections that are not WebSockets from one address that is not in
	// auth.trusted_proxies. At the limit the connection of that address that
	// has been idle longest is closed.
	ConnectionsPerAddress int `key:"limits.connections_per_address,live" default:"1024" range:"1 to 10000000, or off" needs:"listen"`
	// CONNECTED sessions, in total. At the limit a new session is refused with
	// 503, or with an ERROR and 4429 if the limit is reached only at CONNECT.
	Sessions int `key:"limits.sessions,live" default:"100000" range:"1 to 100000000, or off"`
	// CONNECTED sessions of one user. Clients without a name are not counted
	// here.
	SessionsPerUser int `key:"limits.sessions_per_user,live" default:"1000" range:"1 to 100000000, or off"`
	// CONNECTED sessions from one address. All clients behind a proxy that is
	// not listed in auth.trusted_proxies share one address.
	SessionsPerAddress int `key:"limits.sessions_per_address,live" default:"10000" range:"1 to 100000000, or off"`
	// Wrong passcodes for one login from one address before attempts are
	// slowed down. Beyond this the broker compares one passcode at a time,
	// after a wait that starts at 1s and doubles with every failure.
	LoginFailures int `key:"limits.login_failures,live" default:"5" range:"1 to 1000000, or off" needs:"authentication"`
	// Wrong passcodes from one address, for any login, before attempts are
	// slowed down. Beyond this the broker compares passcodes from that address
	// one after another, 50ms apart, and still compares every one. Invalid
	// tickets and tokens are counted separately; beyond this number they are
	// answered with 429, and auth.introspection and auth.userinfo are asked
	// about tokens from there only every 50ms.
	AddressFailures int `key:"limits.address_failures,live" default:"50" range:"1 to 1000000, or off" needs:"authentication"`
	// Longest wait of a login after wrong passcodes.
	FailureWait time.Duration `key:"limits.failure_wait" default:"1m" range:"1s to 24h" needs:"authentication"`
	// Time without a failure after which failure counts are halved. off:
	// never.
	FailureDecay time.Duration `key:"limits.failure_decay" default:"2m" range:"1s to 24h, or off" needs:"authentication"`
	// SockJS sessions without a WebSocket, in total; one address can have at
	// most half of them. At the limit a new one is refused with 503.
	SockJSSessions int `key:"limits.sockjs_sessions" default:"10000" range:"1 to 10000000, or off" needs:"listen sockjs"`
	// Largest answer from a resource of auth.oauth[].fetch.
	FetchedAnswer Bytes `key:"limits.fetched_answer" default:"256KiB" range:"1KiB to 16MiB" needs:"fetch"`
	// Bytes of all fetched answers, for all users. Beyond this an answer is
	// published and not stored.
	FetchedAnswers Bytes `key:"limits.fetched_answers" default:"64MiB" range:"1KiB to 1TiB" needs:"fetch"`
	// What to do with a message with a NUL byte in its body. stompjs 2.3.3 and
	// other old browser libraries parse the rest of such a body as further
	// frames, so a sender could forge messages in their pages. replace:
	// clients of STOMP 1.0 and 1.1 over WebSocket and SockJS get U+FFFD, the
	// replacement character, for NULs; all others get the body unchanged.
	// refuse: no client can send a NUL; this also protects pages with
	// webstomp-client, which speaks 1.2. pass: every client gets the body
	// unchanged.
	NUL string `key:"limits.nul,live" oneof:"replace refuse pass" default:"replace"`
}

// Queues is the section queues.
type Queues struct {
	// Meaning of /queue/**. work: each message goes to one of the competing
	// consumers, and waits while there is none. broadcast: the same as /topic,
	// like Spring's simple broker.
	Mode string `key:"queues.mode" oneof:"work broadcast" default:"work" needs:"-" spring:"broadcast"`
	// Messages in one queue. A full queue refuses new messages and never drops
	// any.
	Messages int `key:"queues.messages" default:"10000" range:"1 to 1000000000, or off"`
	// Bytes of the messages in one queue.
	Bytes Bytes `key:"queues.bytes" default:"64MiB" range:"1KiB to 1TiB, or off"`
	// Deliveries of a message before it goes to /queue/DLQ.<name>.
	Attempts int `key:"queues.attempts" default:"5" range:"1 to 1000, or off"`
	// What happens to a message that expires in a queue, because of its header
	// expires, expiration or ttl. drop: it is dropped and counted.
	// dead_letter: it goes to /queue/DLQ.<name> with the header
	// dead-letter-reason:expired.
	Expired string `key:"queues.expired" oneof:"drop dead_letter" default:"drop"`
	// Messages with a delay that are not due yet, to any destination. They are
	// in memory and are lost when the broker stops. At the limit a message
	// with a delay is refused.
	Delayed int `key:"queues.delayed" default:"100000" range:"1 to 1000000000, or off" needs:"-"`
	// Memory of these messages.
	DelayedBytes Bytes `key:"queues.delayed_bytes" default:"256MiB" range:"1KiB to 1TiB, or off" needs:"-"`
	// Messages with a delay of one user, or of the anonymous clients of one
	// address. Those of the admin API and of sessions with the role backend do
	// not count here.
	DelayedPerUser int `key:"queues.delayed_per_user" default:"25000" range:"1 to 1000000000, or off" needs:"-"`
	// Memory of these messages.
	DelayedBytesPerUser Bytes `key:"queues.delayed_bytes_per_user" default:"64MiB" range:"1KiB to 1TiB, or off" needs:"-"`
	// Number of queues at one time.
	Queues int `key:"queues.queues" default:"1000" range:"1 to 10000000, or off"`
	// Bytes of the messages in all queues.
	TotalBytes Bytes `key:"queues.total_bytes" default:"1GiB" range:"1KiB to 1TiB, or off"`
	// Queues created by one user, or by the anonymous clients of one address:
	// a queue counts for the client that sent or subscribed to it first.
	// Messages of the admin API and sessions with the role backend do not
	// count.
	QueuesPerUser int `key:"queues.queues_per_user" default:"250" range:"1 to 10000000, or off"`
	// Bytes of the messages in all queues sent by one user, or by the
	// anonymous clients of one address.
	BytesPerUser Bytes `key:"queues.bytes_per_user" default:"256MiB" range:"1KiB to 1TiB, or off"`
	// Unacknowledged messages of a subscription without a prefetch-count
	// header.
	Prefetch int `key:"queues.prefetch" default:"100" range:"1 to 1000000, or off"`
	// Queues that are never kept: a message goes to all clients that are
	// subscribed at that moment, as on a topic, and the limits of queues do
	// not apply. Behind Spring's broker relay, set `/queue/*-user*`: Spring
	// translates a /user destination to such a queue for each session, and
	// messages to a session that has ended would otherwise be kept forever.
	// Dead letters, in /queue/DLQ.<name>, are always kept.
	Transient []string `key:"queues.transient" is:"queue patterns"`
}
