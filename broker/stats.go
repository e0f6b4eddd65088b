package broker

import (
	"iter"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
)

// Stats are counters since New and current levels.
type Stats struct {
	Node    string // Options.Node
	Started time.Time

	Sessions      int // connected now
	Sockets       int // open now, including those before CONNECTED
	Users         int // distinct users connected now
	Subscriptions int
	QueueMessages int   // held in work queues
	QueueBytes    int64 // bytes of these messages

	HistoryDestinations int   // topics of which messages are kept, see [History]
	HistoryMessages     int   // these messages
	HistoryBytes        int64 // their memory
	HistoryDropped      int64 // messages dropped because History.Messages or History.Bytes was reached

	DurableSubscriptions int   // see [Durable]
	DurableMessages      int   // held for them
	DurableBytes         int64 // bytes of these messages
	DurableDropped       int64 // messages dropped because a limit or their age was reached

	Delayed      int   // messages that are not due yet
	DelayedBytes int64 // bytes of these messages

	PresenceRooms   int // topics of Options.Presence with subscribers, or watched
	PresenceUsers   int // users in them; a user in two counts twice
	PresenceLeaving int // of these, users without a session, who may come back

	Opened       int64            // sockets accepted
	Refused      int64            // refused handshakes, and other requests for a Host that is not allowed
	AuthFailures int64            // CONNECTs rejected by the authenticator
	Denied       int64            // SUBSCRIBEs, SENDs and matches denied by the authorizer
	Ended        map[string]int64 // sessions ended, by [Reason]
	Limited      map[string]int64 // clients refused or disconnected by an admission limit, by its key, such as "limits.sessions"
	FramesIn     int64            // frames received
	BytesIn      int64            // bytes of STOMP received
	Published    int64            // messages accepted, from clients and the program
	Delivered    int64            // deliveries to subscriptions
	Expired      int64            // messages not delivered because they had expired
	Duplicates   int64            // messages not accepted again because of their message-dedup-id
	UnknownAcks  int64            // ACK and NACK frames that named no delivery of their session
}

type counters struct {
	opened, refused, authFailures, denied   atomic.Int64
	unknownAcks, duplicates, expired        atomic.Int64
	framesIn, bytesIn, published, delivered atomic.Int64
	connected, subscriptions                atomic.Int64
	reasons                                 [numReasons]atomic.Int64
	limits                                  [limit.Count]atomic.Int64
}

func (c *counters) ended(r Reason) { c.reasons[r].Add(1) }

// Stats returns the current statistics. It is cheap enough for every scrape.
func (b *Broker) Stats() Stats {
	c := &b.stats
	st := Stats{
		Node: b.o.Node, Started: b.started,
		Sessions: int(c.connected.Load()), Sockets: b.count(), Subscriptions: int(c.subscriptions.Load()),
		Opened: c.opened.Load(), Refused: c.refused.Load(), AuthFailures: c.authFailures.Load(), Denied: c.denied.Load(),
		FramesIn: c.framesIn.Load(), BytesIn: c.bytesIn.Load(), Published: c.published.Load(), Delivered: c.delivered.Load(), Expired: c.expired.Load(), Duplicates: c.duplicates.Load(), UnknownAcks: c.unknownAcks.Load(),
		Ended: make(map[string]int64), Limited: make(map[string]int64),
	}
	for range b.router.Users() {
		st.Users++
	}
	for q := range b.queues.All() {
		st.QueueMessages += q.Messages
		st.QueueBytes += q.Bytes
	}
	for _, a := range b.archives {
		h := a.store.Stats()
		st.HistoryDestinations += h.Destinations
		st.HistoryMessages += h.Messages
		st.HistoryBytes += h.Bytes
		st.HistoryDropped += int64(h.Dropped)
	}
	b.durables.stats(&st)
	st.Delayed, st.DelayedBytes = b.delays.Stats()
	if b.presence != nil {
		p := b.presence.rooms.Stats()
		st.PresenceRooms, st.PresenceUsers, st.PresenceLeaving = p.Rooms, p.Users, p.Leaving
	}
	for r := range c.reasons {
		if n := c.reasons[r].Load(); n > 0 {
			st.Ended[Reason(r).String()] = n
		}
	}
	for l := range c.limits {
		if n := c.limits[l].Load(); n > 0 {
			st.Limited[limit.Limit(l).Key()] = n
		}
	}
	return st
}

// SessionInfo describes a connected session.
type SessionInfo struct {
	ID     string
	User   string // principal name, "" when anonymous
	Roles  []string
	Remote netip.AddrPort
	// Transport is "websocket", "tcp", or the Kind of a [Transport], such as
	// "sockjs-xhr-streaming"; "transport" if it has no Kind.
	Transport     string
	Version       string // STOMP version
	Opened        time.Time
	Subscriptions int
	// Pending is the number of bytes waiting to be written to it.
	Pending int
	// Unacknowledged is the number of messages delivered to it and not
	// acknowledged: those of queues, and those whose publisher set
	// Message.Settled.
	Unacknowledged int

	// Origin and UserAgent are those headers of the HTTP request that opened
	// the connection, cut after 200 bytes. The broker does not keep them: only
	// Observer.Connected gets them.
	Origin, UserAgent string
	// Received and Sent count the frames from and to the client, with the close
	// frame, modulo 2^32.
	// Only Observer.Disconnected gets them.
	Received, Sent uint32
}

// introduction is info for the start of the session. The handshake is nil for a
// client without HTTP.
func (s *session) introduction(h *auth.Handshake) SessionInfo {
	info := s.info()
	if h != nil && h.Header != nil {
		info.Origin, info.UserAgent = brief(h.Header.Get("Origin")), brief(h.Header.Get("User-Agent"))
	}
	return info
}

// summary is info for the end of the session, on its goroutine.
func (s *session) summary() SessionInfo {
	info := s.info()
	info.Received, info.Sent = s.traffic()
	return info
}

// traffic returns the numbers of frames from and to the client.
func (s *session) traffic() (received, sent uint32) {
	s.out.mu.Lock() // other goroutines may be adding a goodbye
	defer s.out.mu.Unlock()
	return s.received, s.out.sent
}

func (s *session) info() SessionInfo {
	s.out.mu.Lock()
	pending := s.out.bytes
	s.out.mu.Unlock()
	return SessionInfo{
		ID: s.id, User: s.userName(), Roles: s.principal.Load().Roles, Remote: s.peer,
		Transport: s.wire.Kind(), Version: s.version.String(),
		Opened:         s.b.started.Add(time.Duration(s.opened)),
		Subscriptions:  int(s.subscribed.Load()),
		Pending:        pending,
		Unacknowledged: int(s.unacked.Load()),
	}
}

// Sessions returns the connected sessions, in no order. The list is a snapshot
// made when the iteration begins.
func (b *Broker) Sessions() iter.Seq[SessionInfo] {
	return func(yield func(SessionInfo) bool) {
		b.mu.Lock()
		all := make([]*session, 0, len(b.sessions))
		for _, s := range b.sessions {
			all = append(all, s)
		}
		b.mu.Unlock()
		for _, s := range all {
			if phase(s.phase.Load()) == phaseOpen && !yield(s.info()) {
				return
			}
		}
	}
}

// Users returns the names of connected users and the number of sessions of
// each.
func (b *Broker) Users() iter.Seq2[string, int] { return b.router.Users() }

// DestinationInfo describes a destination that is in use.
type DestinationInfo struct {
	Name          string
	Subscriptions int
	// For a work queue: the messages it holds, and how many of them are
	// delivered and not acknowledged.
	Messages       int
	Bytes          int64
	Unacknowledged int
}

// Destinations returns the shared destinations with subscribers and the queues
// that hold messages, in no order. User destinations are private and omitted.
func (b *Broker) Destinations() iter.Seq[DestinationInfo] {
	return func(yield func(DestinationInfo) bool) {
		for name, n := range b.router.Shared() {
			if !yield(DestinationInfo{Name: name, Subscriptions: n}) {
				return
			}
		}
		for q := range b.queues.All() {
			if !yield(DestinationInfo{Name: q.Name, Subscriptions: q.Consumers, Messages: q.Messages, Bytes: q.Bytes, Unacknowledged: q.Unsettled}) {
				return
			}
		}
	}
}
