package broker

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/frames"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Options configure a Broker. They are copied and checked by [New]. The zero
// value works: for every number and duration zero means the default that its
// comment names and a negative value switches the limit off.
type Options struct {
	// Authenticator decides who may connect and as whom. Nil refuses every
	// CONNECT: [auth.Anonymous] lets everybody in.
	Authenticator auth.Authenticator
	// Authorizer decides about each SUBSCRIBE and SEND. Nil means [auth.Guarded].
	Authorizer auth.Authorizer

	// Selector compiles the `selector` header of a SUBSCRIBE, at most 1 KiB, so
	// that the subscription gets only what it selects: selector.Compile of package
	// broker/selector for Spring's. Work queues and /app have no selectors. Nil
	// refuses every SUBSCRIBE that has the header, since a selector that is not
	// applied delivers what the client did not ask for.
	Selector SelectorFunc

	// Revocations, when set, is asked about every credential at CONNECT and
	// renewal, and every session that a revocation names is ended at once. Give
	// the same to the issuer of tickets.
	Revocations *auth.Revocations

	// Origins are the web origins whose pages may connect beside those of the
	// host that the request was sent to, as "https://app.example.com". "*" may
	// be the first label of the host, for any subdomain, and the port, for any;
	// "null", "file://" and the schemes of apps, as "capacitor://localhost", are
	// origins too; "*" alone allows all. [httpsec.NewList] has the rules.
	// Requests without an Origin header do not come from a page and are not
	// asked. A page of another origin is refused with 403, and logged as a
	// warning.
	Origins []string
	// Hosts are the names under which clients reach the broker, as
	// "broker.example.com", which has any port, or "broker.example.com:8443". "*"
	// may be the first label, for any subdomain; "*" alone is every host.
	// [httpsec.NewHosts] has the rules. With Hosts the Host of a request must be
	// one of them, the host of one of Origins, localhost, a name below localhost,
	// or an IP address, else it is refused with 403 and logged as a warning. This
	// is for a broker in a private network that lets anonymous clients in: without
	// it, a page of any site can make a name of its own mean the broker's address
	// (DNS rebinding), is then a page of our host, and connects from a browser in
	// that network. A broker whose clients all need a credential does not need it,
	// since such a page has none. TCP has no Host and is not concerned. Empty, the
	// default, allows every Host.
	Hosts []string
	// LoopbackOnly is for a broker that listens on this machine alone and lets
	// everybody in. A page of any site could make a name of its own mean
	// 127.0.0.1 (DNS rebinding) and would then be a page of our host. So the Host
	// of a handshake must be localhost, a name below localhost, a loopback
	// address, or the host of one of Origins or Hosts, else it is refused with
	// 403, whatever "*" is in; and
	// with no Origins every page of such a host may connect, whatever its scheme
	// and port, since it comes from this machine too. TCP is not concerned.
	LoopbackOnly bool
	// TrustedProxies are the networks whose X-Forwarded-For header is believed.
	TrustedProxies []netip.Prefix
	// TrustUnixSockets believes X-Forwarded-For of requests that come over a Unix
	// socket, where only a proxy on this machine can be. Without it they have no
	// address, and no limit per address concerns them.
	TrustUnixSockets bool

	// Compression accepts permessage-deflate (RFC 7692) from WebSocket clients that
	// offer it, in both directions and without context takeover: an idle
	// connection costs no more than without, and a MESSAGE is compressed once
	// for all its subscribers. The limits count what is inflated, and one
	// WebSocket message of such a client may hold twice Limits.Frame in all.
	//
	// It is off by default, since it pays where bandwidth is dearer than CPU:
	// compressing a message of 1 KiB takes some 17 µs, as long as writing it to
	// four or five connections. And leave it off where one frame can hold both a secret and
	// text that somebody else chose: over TLS the length of the compressed frame
	// tells, guess by guess, what they have in common (as CRIME and BREACH did).
	Compression bool

	// HeartBeat is what the broker offers in CONNECTED: Send is how often it can
	// send, Receive how often it wants to hear. Default 10 s both, negative none.
	HeartBeat frames.HeartBeat
	// HeartBeatPatience is how long a client that negotiated heart-beats may send
	// no byte of STOMP, and only answer pings of the WebSocket or of SockJS: its
	// page or program hangs. The timers of a page in the background run once a
	// minute, so it stays; one that the browser has frozen is ended, and connects
	// again when it wakes up. Never less than three intervals of that client.
	// Default 10 min, at most a week.
	HeartBeatPatience time.Duration
	// PingInterval is how long a WebSocket that negotiated no heart-beat may be
	// silent before it is pinged, so that proxies keep it open and dead peers
	// are found. Default 25 s.
	PingInterval time.Duration

	// ConnectDeadline is the time from the handshake to CONNECTED. Default 5 s.
	ConnectDeadline time.Duration
	// WriteDeadline is how long a client may take to read 64 KiB, or what is
	// left if that is less, before it is ended as a slow consumer. Default 10 s.
	WriteDeadline time.Duration
	// FailureWait is the longest that a login has to wait for its next try after
	// wrong passcodes, see Limits.LoginFailures. Default 1 min.
	FailureWait time.Duration
	// FailureDecay is the time without a failure after which counts of failures
	// are halved. Default 2 min, negative never.
	FailureDecay time.Duration
	// LingerTimeout bounds the goodbye: how long a closed session waits for its
	// last bytes to be taken and for the peer's close frame. A slow consumer gets
	// the rest of the frame that is half out, an ERROR and close code 4500; if it
	// reads nothing for LingerTimeout, the connection is aborted, and if it
	// reads, but slowly, after five times that. Default 2 s.
	LingerTimeout time.Duration

	Limits Limits
	Queues Queues

	// SoftDenial answers a denied SUBSCRIBE or SEND with a message on
	// /user/queue/errors instead of an ERROR, and the session lives. STOMP asks
	// for the ERROR; a page with many subscriptions may rather lose one.
	SoftDenial bool
	// ExpiryNotice is how long before its credential expires a session is told
	// on /user/topic/session, so that it can renew. Default 60 s.
	ExpiryNotice time.Duration

	// DrainDelay is how long [Broker.Drain] waits, with [Broker.Ready] saying no and
	// new sessions still let in, until a load balancer has noticed. Default none.
	DrainDelay time.Duration
	// DrainSpread is the time over which Drain ends the sessions, if there are
	// more than a hundred. Zero, and every value above it, means four fifths of
	// the time that its context leaves; negative ends all at once.
	DrainSpread time.Duration

	// Node is this broker's id among others. Default a random one.
	Node string
	// Destinations are the prefixes of topics, queues, handlers and user
	// destinations. What is left out is as in [topics.DefaultPrefixes]. Rules for
	// other prefixes are made by [auth.Prefixes].
	Destinations topics.Prefixes
	names        *topics.Names // the same, compiled

	// Nodes are what a SUBSCRIBE to /app/bootstrap is told, so that a page knows
	// where else it can connect. May be empty.
	Nodes []Node

	// Server is the `server` header of CONNECTED. Default "hoofbeat".
	Server string
	// Logger receives what operators need to know. Nil discards.
	Logger *slog.Logger
	// SessionLog is the level of the two records of each session, "session
	// started" and "session ended". Nil means [slog.LevelInfo], and [LogOff] means
	// none. A [*slog.LevelVar] may change while the broker runs. A session that
	// was ended because it was denied, exceeded a limit, read too slowly or met an
	// internal error is logged as a warning at every setting, at most once a
	// second for each reason and user of a network.
	SessionLog slog.Leveler
}

// Node is one broker as clients reach it.
type Node struct {
	ID  string
	URL string // of its WebSocket endpoint
}

// Limits bound what one session, or strangers together, may cost. Per session
// unless said otherwise; zero is the default, negative is no limit.
type Limits struct {
	Frame                     int // bytes of a frame, default 65,536
	UnauthenticatedFrame      int // the same before CONNECTED, default 8,192
	Headers                   int // headers of a frame, default 100 (20 before CONNECTED)
	HeaderBytes               int // bytes of all headers of a frame, default 8,192
	Subscriptions             int // default 1,000
	SubscriptionBytes         int // memory that all subscriptions take, their ids, patterns and selectors included, default 2 MiB
	SlowPatterns              int // different patterns that are slow to compare ([topics.Destination.Slow]), of all sessions, default 2,500
	SlowPatternsPerUser       int // the same, of the sessions of a user or the anonymous ones of an address, default 250
	SelectorsPerUser          int // different selectors of the sessions of a user or the anonymous ones of an address, default 100
	Transactions              int // open transactions, default 16
	TransactionFrames         int // frames in one transaction, default 1,000
	TransactionBytes          int // memory that all open transactions take, default 1 MiB
	InFlight                  int // frames that wait for a store, or for the receipts of those before them, until nothing more is read, default 1,000
	InFlightBytes             int // memory that these take, default 1 MiB
	Unacknowledged            int // messages delivered and not acknowledged (of queues, and those with Message.Settled), default 1,000
	Outbox                    int // bytes waiting to be written, those in flight included, default 524,288
	Unauthenticated           int // sockets before CONNECTED, in all, default 1,024
	UnauthenticatedPerAddress int // sockets before CONNECTED, from one address, default 64

	NUL NULMode // what happens to a body with a NUL byte, default NULReplace

	Sessions           int // CONNECTED in all, default 100,000
	SessionsPerUser    int // CONNECTED of one user, those without a name aside, default 1,000
	SessionsPerAddress int // CONNECTED from one address (IPv6: one /64), default 10,000

	// LoginFailures is how many wrong passcodes of one login from one address
	// are free. Beyond it one passcode at a time is compared, after a wait that
	// begins with 1 s and doubles with every failure up to Options.FailureWait.
	// Default 5.
	LoginFailures int
	// AddressFailures is how many wrong passcodes, whatever the login, from one
	// address are free. Beyond it passcodes from there are compared 50 ms apart,
	// and none is refused for it. Wrong tickets and tokens have a count of their
	// own, beyond which they are answered with 429. Default 50.
	AddressFailures int
}

// QueueMode says what a /queue destination is.
type QueueMode uint8

const (
	// QueueWork hands each message to one of the competing consumers and keeps
	// it, bounded, while there is none.
	QueueWork QueueMode = iota
	// QueueBroadcast makes /queue a second /topic, as Spring's simple broker does.
	QueueBroadcast
)

// Queues configure /queue destinations in [QueueWork] mode. Messages live in
// memory: they are gone when the broker is.
type Queues struct {
	Mode       QueueMode
	Messages   int   // messages in one queue, default 10,000
	Bytes      int64 // bytes in one queue, default 64 MiB
	Queues     int   // queues, default 1,000
	TotalBytes int64 // bytes in all queues together, default 1 GiB

	// QueuesPerUser and BytesPerUser are the share of Queues and TotalBytes that one
	// user can take, or the anonymous sessions of one address (of one /64 for IPv6)
	// together: the queues that exist because they sent or subscribed there first,
	// and the messages that they sent, wherever those are. The program's own
	// messages, and sessions with [auth.RoleBackend], have no share. Default 250 and
	// 256 MiB.
	QueuesPerUser int
	BytesPerUser  int64

	Attempts int // deliveries before a message goes to /queue/DLQ.<name>, default 5
	Prefetch int // unacknowledged messages of a subscription without `prefetch-count`, default 100

	// Transient are Ant patterns of queues that are never kept, in any mode, such
	// as "/queue/**/*-user*": a message goes to all who are subscribed at that moment
	// and to nobody later, as on a topic, and none of these limits concerns it.
	// Default none.
	//
	// They are for queues that belong to one session and are worthless after it.
	// Spring's broker relay makes them of /user destinations,
	// /queue/replies-user<session> (DefaultUserDestinationResolver), and what it
	// sends to a session that has just gone would otherwise be kept for ever.
	//
	// A pattern begins with /queue/ and not with /queue/DLQ.: whatever the
	// patterns, queues of dead letters are kept. A SUBSCRIBE to a pattern of queues
	// is refused in QueueWork mode, whether they are transient or not.
	Transient []string
	transient []*topics.Pattern // the same, compiled
}

// set replaces zero by the default and a negative value by off.
func set[T int | int64 | time.Duration](v *T, def, off T) {
	if *v == 0 {
		*v = def
	} else if *v < 0 {
		*v = off
	}
}

func (l *Limits) setDefaults() {
	set(&l.Frame, 64<<10, unlimited)
	set(&l.UnauthenticatedFrame, 8<<10, unlimited)
	set(&l.Headers, 100, unlimited)
	set(&l.HeaderBytes, 8<<10, unlimited)
	set(&l.Subscriptions, 1000, unlimited)
	set(&l.SubscriptionBytes, 2<<20, unlimited)
	set(&l.SlowPatterns, 2500, unlimited)
	set(&l.SlowPatternsPerUser, 250, unlimited)
	set(&l.SelectorsPerUser, 100, unlimited)
	set(&l.Transactions, 16, unlimited)
	set(&l.TransactionFrames, 1000, unlimited)
	set(&l.TransactionBytes, 1<<20, unlimited)
	set(&l.InFlight, 1000, unlimited)
	set(&l.InFlightBytes, 1<<20, unlimited)
	set(&l.Unacknowledged, 1000, unlimited)
	set(&l.Outbox, 512<<10, unlimited)
	set(&l.Unauthenticated, 1024, unlimited)
	set(&l.UnauthenticatedPerAddress, 64, unlimited)
	set(&l.Sessions, 100_000, unlimited)
	set(&l.SessionsPerUser, 1000, unlimited)
	set(&l.SessionsPerAddress, 10_000, unlimited)
	set(&l.LoginFailures, 5, unlimited)
	set(&l.AddressFailures, 50, unlimited)
}

const longestPatience = 7 * 24 * time.Hour

const unlimited = int(^uint(0) >> 1)

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.names, err = topics.NewNames(o.Destinations); err != nil {
		return o, badOption("Destinations", "%v", err)
	}
	o.Destinations = o.names.Prefixes()
	if o.Authorizer == nil {
		o.Authorizer = auth.Prefixes(o.Destinations).Guarded()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SessionLog == nil {
		o.SessionLog = slog.LevelInfo
	}
	if o.Server == "" {
		o.Server = "hoofbeat"
	}
	set(&o.HeartBeat.Send, 10*time.Second, 0)
	set(&o.HeartBeat.Receive, 10*time.Second, 0)
	set(&o.HeartBeatPatience, 10*time.Minute, 0)
	set(&o.PingInterval, 25*time.Second, 0)
	set(&o.ConnectDeadline, 5*time.Second, 0)
	set(&o.WriteDeadline, 10*time.Second, 0)
	set(&o.FailureWait, time.Minute, 0)
	set(&o.FailureDecay, 2*time.Minute, math.MaxInt64)
	set(&o.LingerTimeout, 2*time.Second, 2*time.Second)
	set(&o.ExpiryNotice, expiryNotice, 0)
	if o.Node == "" {
		o.Node = uuid.NewString()
	}
	o.Nodes = slices.Clone(o.Nodes)
	o.Origins = slices.Clone(o.Origins)
	o.Hosts = slices.Clone(o.Hosts)
	o.TrustedProxies = slices.Clone(o.TrustedProxies)
	o.Limits.setDefaults()
	q := &o.Queues
	set(&q.Messages, 10_000, -1)
	set(&q.Bytes, 64<<20, -1)
	set(&q.Queues, 1000, -1)
	set(&q.TotalBytes, 1<<30, -1)
	set(&q.QueuesPerUser, 250, -1)
	set(&q.BytesPerUser, 256<<20, -1)
	set(&q.Attempts, 5, -1)
	set(&q.Prefetch, 100, unlimited)
	q.Transient = slices.Clone(q.Transient)
	if q.transient, err = compileTransient(q.Transient, o.names); err != nil {
		return o, err
	}
	return o, o.validate()
}

// OptionError is the error of [New] and [Broker.SetPolicy] about one field.
type OptionError struct {
	Field   string // of Options, such as "Limits.Outbox"
	Problem string
}

func (e *OptionError) Error() string { return "broker: Options." + e.Field + ": " + e.Problem }

func badOption(field, format string, args ...any) error {
	return &OptionError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func (o *Options) validate() error {
	if q := o.Queues.Mode; q != QueueWork && q != QueueBroadcast {
		return badOption("Queues.Mode", "%d is neither QueueWork nor QueueBroadcast", q)
	}
	if o.Limits.NUL > NULPass {
		return badOption("Limits.NUL", "%d is neither NULReplace, NULRefuse nor NULPass", o.Limits.NUL)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"HeartBeat.Send", o.HeartBeat.Send}, {"HeartBeat.Receive", o.HeartBeat.Receive},
		{"HeartBeatPatience", o.HeartBeatPatience},
		{"PingInterval", o.PingInterval}, {"WriteDeadline", o.WriteDeadline},
	} {
		if d.value != 0 && d.value < 10*time.Millisecond {
			return badOption(d.name, "%v is less than 10ms", d.value)
		}
	}
	if o.HeartBeatPatience > longestPatience {
		return badOption("HeartBeatPatience", "%v is more than %v; a negative value switches it off", o.HeartBeatPatience, longestPatience)
	}
	if l := o.Limits; l.Frame != unlimited && l.Outbox/2 < l.Frame {
		return badOption("Limits.Outbox", "%d is less than twice the largest frame of %d: one frame could make a client a slow consumer", l.Outbox, l.Frame)
	}
	for _, c := range o.Server {
		if c < ' ' || c == 0x7f {
			return badOption("Server", "has a control character")
		}
	}
	if err := nodesValid(o.Nodes); err != nil {
		return err
	}
	if _, err := httpsec.NewList(o.Origins); err != nil {
		return badOption("Origins", "%v", err)
	}
	if _, err := httpsec.NewHosts(o.Hosts); err != nil {
		return badOption("Hosts", "%v", err)
	}
	return nil
}
