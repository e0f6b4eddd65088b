package app

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// crowd limits the HTTP connections of a listener that are not WebSockets, in
// all and from one address (IPv6: one /64), before it reads anything from them.
// Over a limit it closes the connection that has been idle longest to make room
// for the new one; at the limit of an address, one of that address, so that a
// flood displaces itself. If no connection is idle, it closes the new one. A
// connection is idle unless a handler runs for it, so a connection whose
// request or body never completes also makes room. The crowd also limits the
// connections whose header is incomplete; see incomplete. It watches the
// server's connections from outside and adds nothing to a connection that has
// become a WebSocket.
type crowd struct {
	log   *slog.Logger
	admin bool // of the admin listener, whose limits are fixed

	mu              sync.Mutex
	max, maxAddress int
	trusted         []netip.Prefix // proxies, whose connections belong to many clients

	guests   map[net.Conn]*guest
	networks map[netip.Addr]*group
	headers  list.List // of *guest with an incomplete header, longest first

	closed, slow tally // connections closed for others; for incomplete headers
}

type guest struct {
	conn  net.Conn
	group *group
	idle  *list.Element // in the group; nil while a handler runs
	since time.Time

	header *list.Element // in the crowd; nil unless the header is incomplete
}

// group is the connections of one network.
type group struct {
	network netip.Addr
	proxy   bool
	n       int
	headers int       // incomplete ones
	idle    list.List // of *guest, longest idle first
}

// tally counts closed connections for the log.
type tally struct {
	n    int // since the last log line
	told time.Time
}

// add counts n more, and returns the number to log now, or 0.
func (t *tally) add(n int) int {
	if t.n += n; t.n == 0 || time.Since(t.told) < crowdLine {
		return 0
	}
	n, t.n, t.told = t.n, 0, time.Now()
	return n
}

const (
	// patience is how long a connection must be idle before it is closed for
	// another of its address, or of an address that has as many.
	patience = time.Second
	// lookedAt is the maximum number of networks examined to find a large one.
	lookedAt = 64
	// crowdLine is the minimum time between two log lines about closed
	// connections.
	crowdLine = 10 * time.Second
)

func newCrowd(limit, perAddress int, trusted []netip.Prefix, log *slog.Logger) *crowd {
	return &crowd{
		max: limit, maxAddress: perAddress, trusted: trusted, log: log,
		guests: make(map[net.Conn]*guest), networks: make(map[netip.Addr]*group),
	}
}

// limit sets new limits for new connections.
func (c *crowd) limit(limit, perAddress int, trusted []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.maxAddress, c.trusted = limit, perAddress, trusted
	for _, g := range c.networks {
		g.proxy = c.isProxy(g.network)
	}
}

// isProxy reports whether the connections from an address belong to many
// clients.
func (c *crowd) isProxy(addr netip.Addr) bool {
	for _, p := range c.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return !addr.IsValid()
}

// watch is the ConnState of an [http.Server].
func (c *crowd) watch(conn net.Conn, state http.ConnState) {
	var closing []net.Conn
	c.mu.Lock()
	switch state {
	case http.StateNew:
		closing = c.enter(conn)
	// The header of a request was read, whose body may never arrive.
	case http.StateActive, http.StateIdle:
		if g := c.guests[conn]; g != nil {
			g.rest()
		}
	case http.StateHijacked, http.StateClosed:
		c.leave(c.guests[conn])
	}
	limit, perAddress := c.max, c.maxAddress
	line := c.closed.add(len(closing))
	c.mu.Unlock()
	if a := arrived(conn); a != nil && state == http.StateIdle {
		a.wait()
	}
	for _, old := range closing {
		_ = underlying(old).Close() // the server notices it
	}
	if line > 0 {
		text, most, mostOfOne := "connections were closed: too many that are not WebSockets", "limits.connections", "limits.connections_per_address"
		if c.admin {
			text, most, mostOfOne = "connections to the admin API were closed: too many", "most", "most_of_one_address"
		}
		c.log.Warn(text, "connections", line, "remote", conn.RemoteAddr().String(), most, limit, mostOfOne, perAddress)
	}
}

type guestKey struct{}

// context is the ConnContext of an [http.Server]. serve needs it.
func (c *crowd) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, conn)
}

// serve marks a connection as busy while h runs for it.
func (c *crowd) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(guestKey{}).(net.Conn)
		c.serving(conn, true)
		if a := arrived(conn); a != nil {
			a.serving.Store(true)
		}
		defer c.serving(conn, false) // the server may still wait for the rest of the body
		h.ServeHTTP(w, r)
	})
}

// serving sets whether a handler runs for a connection.
func (c *crowd) serving(conn net.Conn, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guests[conn]
	switch {
	case g == nil: // it was closed, or is a WebSocket now
	case yes:
		g.active()
		c.complete(g)
	default:
		g.rest()
	}
}

// underlying returns the connection below TLS, because a TLS connection's Close
// would wait for the peer.
func underlying(conn net.Conn) net.Conn {
	conn = withoutWrappers(conn)
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// enter adds a connection, and returns those to close for it. The caller holds
// the lock.
func (c *crowd) enter(conn net.Conn) []net.Conn {
	var closing []net.Conn
	group := c.groupOf(conn)
	switch {
	case !group.proxy && over(group.n, c.maxAddress):
		closing = c.shed(group, conn, patience)
	case over(len(c.guests), c.max):
		from, wait := c.largest(), patience
		if from != nil && !from.proxy && from.n > group.n+1 {
			wait = 0 // otherwise addresses that reconnect all the time would keep out the others
		}
		closing = c.shed(from, conn, wait)
	}
	if len(closing) == 1 && closing[0] == conn {
		if group.n == 0 {
			delete(c.networks, group.network)
		}
		return closing
	}
	g := &guest{conn: conn, group: group}
	c.guests[conn] = g
	if a := arrived(conn); a != nil {
		a.guest = g
	}
	group.n++
	g.rest() // idle until a handler runs for it
	return closing
}

// over reports whether the limit is reached. A negative limit is off.
func over(n, limit int) bool { return limit >= 0 && n >= limit }

// shed removes and returns the connection of a group that has been idle
// longest, if for at least wait. Otherwise it returns the new connection. The
// caller holds the lock.
func (c *crowd) shed(from *group, newcomer net.Conn, wait time.Duration) []net.Conn {
	if from == nil || from.idle.Len() == 0 {
		return []net.Conn{newcomer}
	}
	g := from.idle.Front().Value.(*guest)
	if time.Since(g.since) < wait {
		return []net.Conn{newcomer}
	}
	c.leave(g)
	return []net.Conn{g.conn}
}

// largest returns the largest of some groups with an idle connection, proxies
// last. The caller holds the lock.
func (c *crowd) largest() *group {
	var found *group
	looked := 0
	for _, g := range c.networks { // in random order
		if looked++; looked > lookedAt && found != nil {
			break
		}
		if g.idle.Len() > 0 && (found == nil || found.proxy && !g.proxy || found.proxy == g.proxy && g.n > found.n) {
			found = g
		}
	}
	return found
}

func (c *crowd) groupOf(conn net.Conn) *group {
	remote, _ := netip.ParseAddrPort(conn.RemoteAddr().String()) // zero for other networks
	addr := remote.Addr().Unmap()
	network := httpsec.Network(addr)
	if c.isProxy(addr) { // a proxy is one address
		network = addr
	}
	g := c.networks[network]
	if g == nil {
		g = &group{network: network, proxy: c.isProxy(network)}
		c.networks[network] = g
	}
	return g
}

// leave removes a connection. The caller holds the lock.
func (c *crowd) leave(g *guest) {
	if g == nil || c.guests[g.conn] != g {
		return
	}
	g.active()
	c.complete(g)
	delete(c.guests, g.conn)
	if g.group.n--; g.group.n == 0 {
		delete(c.networks, g.group.network)
	}
}

func (g *guest) rest() {
	g.active()
	g.since = time.Now()
	g.idle = g.group.idle.PushBack(g)
}

func (g *guest) active() {
	if g.idle != nil {
		g.group.idle.Remove(g.idle)
		g.idle = nil
	}
}
