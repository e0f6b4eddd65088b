// Package admission decides whether a connection may open a session, and as
// whom: before the upgrade to WebSocket, as far as there is one, and at CONNECT.
//
// A [Gate] counts the sockets that have not authenticated (caps), the failed
// attempts to authenticate (throttle) and the connected sessions (seats), and
// asks the Authenticator. It does not know the session: it returns a
// [*Rejection], and its caller logs, counts and answers it.
//
// The locks of caps, seats and throttle are taken alone, except that the lock
// of seats is held while the registry of users is called.
package admission

import (
	"context"
	"net/netip"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/hook"
	"github.com/hoofbeat/hoofbeat/broker/internal/limit"
	"github.com/hoofbeat/hoofbeat/topics"
)

// Config is what a [Gate] needs from the broker.
type Config struct {
	Authenticator auth.Authenticator         // nil rejects every client
	Revoked       func(*auth.Principal) bool // reports whether a credential was revoked
	Names         *topics.Names              // say which user names are valid in destinations
	Users         Users                      // the registry of connected sessions
	Panicked      hook.Report                // logs a panic of the Authenticator

	ConnectDeadline time.Duration // from the handshake to CONNECTED; 0 means none
	FailureWait     time.Duration // the longest wait before the next attempt of a login
	FailureDecay    time.Duration // after which failures are halved
}

// Limits are the limits of a [Gate]. The fields have the meaning of those of
// broker.Limits.
type Limits struct {
	Unauthenticated, UnauthenticatedPerAddress    int
	Sessions, SessionsPerUser, SessionsPerAddress int
	LoginFailures, AddressFailures                int
}

// Gate decides about all connections of a broker. Its methods are safe for
// concurrent use.
type Gate struct {
	o        Config
	caps     caps
	seats    seats
	throttle throttle
}

// New returns a Gate, which has no room before [Gate.SetLimits].
func New(c Config) *Gate {
	g := &Gate{o: c}
	g.caps.networks = make(map[netip.Addr]int)
	g.seats.users, g.seats.networks = c.Users, make(map[uint64]int32)
	g.throttle.init(c.FailureWait, c.FailureDecay)
	return g
}

// SetLimits replaces the limits, for new connections and attempts.
func (g *Gate) SetLimits(l Limits) {
	g.caps.setLimits(l)
	g.seats.setLimits(l)
	g.throttle.setLimits(l)
}

// Entry is a connection that was admitted and is not CONNECTED yet. The zero
// value is one that is not counted.
type Entry struct {
	// Principal is who the client is, so far: nil after the handshake if
	// CONNECT decides.
	Principal *auth.Principal
	Handshake *auth.Handshake // nil without HTTP
	Remote    netip.AddrPort  // the client's address
	Passcode  bool            // a login and its passcode have authenticated the client
	place     *place
}

// Enter counts a connection from an address as one that has not authenticated,
// or returns the limit that is reached. It may shed another connection.
func (g *Gate) Enter(remote netip.AddrPort) (Entry, *limit.Exceeded) {
	p, e := g.caps.enter(remote.Addr())
	return Entry{Remote: remote, place: p}, e
}

// Occupy tells the gate which session the connection has, so that it can shed
// it.
func (e *Entry) Occupy(o Occupant) {
	if e.place != nil {
		e.place.occupy(o)
	}
}

// Leave ends the count of the connection: it is CONNECTED or has ended. It may
// be called twice.
func (e *Entry) Leave() {
	if e.place != nil {
		e.place.leave()
	}
}

// TakeSeat counts a session as connected and adds it to the registry of users,
// or returns the limit that is reached. crowded is the number of sessions from
// its network if most sessions come from there and a warning about that is due,
// otherwise 0.
func (g *Gate) TakeSeat(remote netip.Addr, user, session string) (crowded int, e *limit.Exceeded) {
	return g.seats.take(remote, user, session)
}

// LeaveSeat undoes TakeSeat.
func (g *Gate) LeaveSeat(remote netip.Addr, user, session string) {
	g.seats.leave(remote, user, session)
}

// Places returns how many connections have not authenticated, and from how many
// networks they come.
func (g *Gate) Places() (all, networks int) {
	g.caps.mu.Lock()
	defer g.caps.mu.Unlock()
	return g.caps.all, len(g.caps.networks)
}

// Seats returns how many sessions are connected, and from how many networks.
func (g *Gate) Seats() (all, networks int) {
	g.seats.mu.Lock()
	defer g.seats.mu.Unlock()
	return g.seats.all, len(g.seats.networks)
}

// Throttled returns how many counts of failures are stored.
func (g *Gate) Throttled() int {
	g.throttle.mu.Lock()
	defer g.throttle.mu.Unlock()
	return len(g.throttle.keys)
}

// authenticate asks the Authenticator. A panic rejects the client.
func (g *Gate) authenticate(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
	return hook.Guard(g.o.Panicked, "Authenticator", func() (*auth.Principal, error) {
		return g.o.Authenticator.Authenticate(ctx, a)
	})
}

// validName checks that the name of a principal is valid in headers and in
// destinations.
func (g *Gate) validName(name string) error {
	if err := auth.ValidName(name); err != nil {
		return err
	}
	return g.o.Names.ValidUser(name)
}

// orHour returns d, or one hour if d is not positive or is longer. It bounds a
// call into a hook when no deadline is configured.
func orHour(d time.Duration) time.Duration {
	if d <= 0 || d > time.Hour {
		return time.Hour
	}
	return d
}
