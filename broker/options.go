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

// Options configure a Broker. [New] copies and checks them. The zero value
// works: for every number and duration, zero means the default named in its
// comment, and a negative value disables the limit.
type Options struct {
	// Authenticator authenticates each CONNECT and returns its principal. Nil
	// rejects every CONNECT; [auth.Anonymous] accepts every client.
	Authenticator auth.Authenticator
	// Authorizer decides about each SUBSCRIBE and SEND. Nil means [auth.Guarded].
	Authorizer auth.Authorizer

	// Selector compiles the `selector` header of a SUBSCRIBE, at most 1 KiB, so
	// that the subscription receives only matching messages. For Spring's
	// selectors, use selector.Compile of package broker/selector. Work queues
	// and /app do not support selectors. Nil refuses every SUBSCRIBE with this
	// header, because ignoring a selector would deliver messages that the
	// client did not ask for.
	Selector SelectorFunc

	// Revocations, if set, is checked for every credential at CONNECT and
	// renewal. Every session named by a revocation is ended at once. Give the
	// same value to the ticket issuer.
	Revocations *auth.Revocations

	// Origins are the web origins whose pages may connect, such as
	// "https://app.example.com", in addition to pages of the host that the
	// request was sent to. "*" may be the first label of the host (any
	// subdomain) and the port (any port). "null", "file://" and app schemes
	// such as "capacitor://localhost" are origins too; "*" alone allows all
	// origins. [httpsec.NewList] defines the rules. Requests without an Origin
	// header do not come from a page and are not checked. A page of another
	// origin is refused with 403, and the refusal is logged as a warning.
	Origins []string
	// Hosts are the names under which clients reach the broker, such as
	// "broker.example.com" (any port) or "broker.example.com:8443". "*" may be
	// the first label (any subdomain); "*" alone allows every host.
	// [httpsec.NewHosts] defines the rules. If Hosts is set, the Host of a
	// request must be in Hosts, the host of an entry of Origins, localhost, a
	// name below localhost, or an IP address. Otherwise the request is refused
	// with 403 and logged as a warning.
	//
	// Use Hosts for a broker in a private network that accepts anonymous
	// clients. Without it, a page of any site can resolve its own name to the
	// broker's address (DNS rebinding), then counts as a page of the broker's
	// host, and connects from a browser in that network. A broker that requires
	// a credential from every client does not need Hosts, since such a page has
	// no credential. TCP has no Host and is not affected. The default, empty,
	// allows every Host.
	Hosts []string
	// LoopbackOnly is for a broker that listens on loopback only and accepts
	// every client. A page of any site could resolve its own name to 127.0.0.1
	// (DNS rebinding) and would then count as a page of the broker's host. So
	// the Host of a handshake must be localhost, a name below localhost, a
	// loopback address, or the host of an entry of Origins or Hosts; otherwise
	// it is refused with 403, even if a list contains "*". If Origins is empty,
	// every page of such a host may connect, whatever its scheme and port,
	// since it comes from this machine too. TCP is not affected.
	LoopbackOnly bool
	// TrustedProxies are the networks whose X-Forwarded-For header is trusted.
	TrustedProxies []netip.Prefix
	// TrustUnixSockets trusts X-Forwarded-For of requests that arrive over a
	// Unix socket, where the peer can only be a proxy on this machine. Without
	// it these requests have no address, and no per-address limit applies to
	// them.
	TrustUnixSockets bool

	// Compression accepts permessage-deflate (RFC 7692) from WebSocket clients
	// that offer it, in both directions and without context takeover: an idle
	// connection uses no additional memory, and a MESSAGE is compressed once
	// for all its subscribers. The limits count inflated bytes, and one
	// WebSocket message of such a client may hold at most twice Limits.Frame.
	//
	// Compression is off by default, since it pays only where bandwidth costs
	// more than CPU: compressing a message of 1 KiB takes about 17 µs, as long
	// as writing it to four or five connections. Leave it off if one frame can
	// contain both a secret and text chosen by another user: over TLS the
	// length of the compressed frame reveals, guess by guess, what the two have
	// in common (as in CRIME and BREACH).
	Compression bool

	// HeartBeat is the broker's offer in CONNECTED: Send is how often the
	// broker can send, Receive how often it wants to receive. Default 10 s for
	// both; negative disables.
	HeartBeat frames.HeartBeat
	// HeartBeatPatience is how long a client that negotiated heart-beats may
	// send no byte of STOMP while it only answers WebSocket or SockJS pings,
	// which means that its page or program hangs. The timers of a page in the
	// background run once a minute, so its session stays; the session of a page
	// that the browser has frozen is ended, and the page reconnects when it
	// wakes up. The effective value is at least three heart-beat intervals of
	// that client. Default 10 min, at most a week.
	HeartBeatPatience time.Duration
	// PingInterval is how long a WebSocket that negotiated no heart-beat may be
	// silent before the broker pings it. Pings keep proxies from closing the
	// connection and detect dead peers. Default 25 s.
	PingInterval time.Duration

	// ConnectDeadline is the time from the handshake to CONNECTED. Default 5 s.
	ConnectDeadline time.Duration
	// WriteDeadline is how long a client may take to read 64 KiB, or the
	// remaining bytes if fewer, before its session is ended as a slow consumer.
	// Default 10 s.
	WriteDeadline time.Duration
	// FailureWait is the longest wait before the next attempt of a login after
	// wrong passcodes, see Limits.LoginFailures. Default 1 min.
	FailureWait time.Duration
	// FailureDecay is the time without a failure after which failure counts are
	// halved. Default 2 min; negative means never.
	FailureDecay time.Duration
	// LingerTimeout is how long a closed session waits for the client to read
	// the last bytes and to send its close frame. A slow consumer receives the
	// rest of a partly written frame, an ERROR and close code 4500. If the
	// client reads nothing for LingerTimeout, the connection is aborted; if it
	// reads, but slowly, the connection is aborted after five times
	// LingerTimeout. Default 2 s.
	LingerTimeout time.Duration

	Limits Limits
	Queues Queues
	// QueueStore keeps the messages of work queues outside the memory of the
	// broker, so that they survive it: the RECEIPT of a SEND, or the end of
	// Publish, says that the store has the message. Of Queues, the limits of
	// what is stored are then the store's; Prefetch, Attempts, Queues and
	// QueuesPerUser apply to what has consumers here. If it is a [DelayStore], it
	// also keeps delayed messages, whose limits are then the store's; otherwise
	// they are in memory. The broker does not close the store. Nil keeps the
	// messages in memory. It has no effect in QueueBroadcast mode.
	QueueStore QueueStore
	// DurableStore keeps durable subscriptions, and what waits for them, outside
	// the memory of the broker, so that they survive it. The RECEIPT of a SUBSCRIBE
	// then says that the store has the subscription; that of a SEND which durable
	// subscriptions want, or the end of Publish, that it has the message, which is
	// delivered only then; that of an ACK that the message does not come again.
	// New waits until what is stored is loaded. The broker does not close the
	// store. Nil keeps durable subscriptions in memory.
	DurableStore DurableStore

	// History are the topics whose latest messages are kept, in memory or in the
	// HistoryStore. Default none.
	History []History
	// HistoryBytes bounds the sum of the Bytes of all entries of History.
	// Default 256 MiB.
	HistoryBytes int64
	// HistoryStore keeps the messages of History outside the memory of the
	// broker, so that they and their offsets survive it: the RECEIPT of a SEND to
	// such a topic, or the end of Publish, says that the store has the message,
	// and subscribers get it after that. The broker does not close the store. Nil
	// keeps the messages in memory.
	HistoryStore HistoryStore

	// Relay joins the broker to others: see [Relay]. Nil, the default, means that
	// it is alone. History, Durable and Presence cannot be used with it.
	Relay Relay

	// Presence are Ant patterns of topics for which the broker tells who is
	// subscribed, such as "/topic/room/**", see docs/presence.md: to clients
	// that subscribe to /app/presence/topic/room/7 or
	// /topic/presence/topic/room/7 and that the Authorizer allows this, and to
	// the program by [Broker.Presence]. The prefixes are the first ones of
	// Destinations. Default none.
	Presence []string
	// Durable are the topics that clients may subscribe to durably. Default
	// none: a SUBSCRIBE that asks for it is refused.
	Durable []Durable

	// SoftDenial answers a denied SUBSCRIBE or SEND with a message on
	// /user/queue/errors instead of an ERROR, and keeps the session. STOMP
	// requires the ERROR, but a page with many subscriptions may prefer to lose
	// only one of them.
	SoftDenial bool
	// ExpiryNotice is how long before a credential expires the broker notifies
	// the session on /user/topic/session, so that the client can renew it.
	// Default 60 s.
	ExpiryNotice time.Duration

	// DrainDelay is how long [Broker.Drain] keeps accepting new sessions while
	// [Broker.Ready] already returns an error, so that a load balancer can
	// notice. Default none.
	DrainDelay time.Duration
	// DrainSpread is the time over which Drain ends the sessions if there are
	// more than a hundred. Zero means four fifths of the time until the
	// deadline of its context, which is also the maximum; negative ends all
	// sessions at once.
	DrainSpread time.Duration

	// Node is the id of this broker. Default: a random id.
	Node string
	// Destinations are the prefixes of topics, queues, handlers and user
	// destinations. Empty fields default to those of [topics.DefaultPrefixes].
	// [auth.Prefixes] builds rules for other prefixes.
	Destinations topics.Prefixes
	names        *topics.Names // the same, compiled

	// Nodes are the brokers that the answer to a SUBSCRIBE to /app/bootstrap
	// lists, so that a page knows the other brokers it can connect to. May be
	// empty. [Broker.SetNodes] replaces them.
	Nodes []Node

	// Server is the `server` header of CONNECTED. Default "hoofbeat".
	Server string
	// Logger receives the log records for operators. Nil discards them.
	Logger *slog.Logger
	// SessionLog is the level of the two records of each session, "session
	// started" and "session ended". Nil means [slog.LevelInfo]; [LogOff]
	// disables them. A [*slog.LevelVar] may change while the broker runs. A
	// session that ended because it was denied, exceeded a limit, read too
	// slowly or met an internal error is logged as a warning at every setting,
	// at most once a second for each reason and each user of a network.
	SessionLog slog.Leveler
}

// Node is the address of one broker for clients.
type Node struct {
	ID  string
	URL string // of its WebSocket endpoint
}

// set replaces zero with the default and a negative value with off.
func set[T int | int64 | time.Duration](v *T, def, off T) {
	if *v == 0 {
		*v = def
	} else if *v < 0 {
		*v = off
	}
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
	o.History = slices.Clone(o.History)
	o.Presence = slices.Clone(o.Presence)
	set(&o.HistoryBytes, 256<<20, 0)
	q := &o.Queues
	set(&q.Messages, 10_000, -1)
	set(&q.Bytes, 64<<20, -1)
	set(&q.Queues, 1000, -1)
	set(&q.TotalBytes, 1<<30, -1)
	set(&q.QueuesPerUser, 250, -1)
	set(&q.BytesPerUser, 256<<20, -1)
	set(&q.Delayed, 100_000, unlimited)
	set(&q.DelayedBytes, 256<<20, math.MaxInt64)
	set(&q.DelayedPerUser, 25_000, unlimited)
	set(&q.DelayedBytesPerUser, 64<<20, math.MaxInt64)
	set(&q.Attempts, 5, -1)
	set(&q.Prefetch, 100, unlimited)
	q.Transient = slices.Clone(q.Transient)
	if q.transient, err = compileTransient(q.Transient, o.names); err != nil {
		return o, err
	}
	return o, o.validate()
}

// OptionError is the error that [New] and [Broker.SetPolicy] return for an
// invalid field.
type OptionError struct {
	Field   string // of Options, such as "Limits.Outbox"
	Problem string
}

func (e *OptionError) Error() string { return "broker: Options." + e.Field + ": " + e.Problem }

func badOption(field, format string, args ...any) error {
	return &OptionError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func (o *Options) validate() error {
	if err := o.validateRelay(); err != nil {
		return err
	}
	if q := o.Queues.Mode; q != QueueWork && q != QueueBroadcast {
		return badOption("Queues.Mode", "%d is neither QueueWork nor QueueBroadcast", q)
	}
	if o.Queues.Expired > ExpiredDeadLetter {
		return badOption("Queues.Expired", "%d is neither ExpiredDrop nor ExpiredDeadLetter", o.Queues.Expired)
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
