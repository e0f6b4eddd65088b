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

// crowd bounds the HTTP connections of a listener that are not WebSockets, in all and from one address (IPv6: one /64), before anything is
// read from them. Over a limit the connection that has been idle longest is
// closed for the newcomer, one of the newcomer's own address if it is that
// address's limit, so that a flood pushes out itself; a newcomer for whom none
// is idle is closed. A connection is idle unless a handler runs for it: one whose
// request does not end, or whose body does not come, gives way, too. It watches
// the server's connections from outside and adds nothing to a connection that has
// become a WebSocket.
type crowd struct {
	log   *slog.Logger
	admin bool // it is that of the admin listener, whose limits are fixed

	mu              sync.Mutex
	max, maxAddress int
	trusted         []netip.Prefix // proxies: their connections are of many clients

	guests   map[net.Conn]*guest
	networks map[netip.Addr]*group
	closed   int // since the last line in the log
	told     time.Time
}

type guest struct {
	conn  net.Conn
	group *group
	idle  *list.Element // in the group, nil while a handler runs
	since time.Time
}

// group is the connections of one network.
type group struct {
	network netip.Addr
	proxy   bool
	n       int
	idle    list.List // of *guest, longest first
}

const (
	// patience is how long a connection must be idle to be closed for another of
	// its address, or of one that has as many.
	patience = time.Second
	// lookedAt is how many networks are looked at to find a large one.
	lookedAt = 64
	// crowdLine is how often the log tells of closed connections.
	crowdLine = 10 * time.Second
)

func newCrowd(limit, perAddress int, trusted []netip.Prefix, log *slog.Logger) *crowd {
	return &crowd{
		max: limit, maxAddress: perAddress, trusted: trusted, log: log,
		guests: make(map[net.Conn]*guest), networks: make(map[netip.Addr]*group),
	}
}

// limit puts other limits in force, for connections that come.
func (c *crowd) limit(limit, perAddress int, trusted []netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max, c.maxAddress, c.trusted = limit, perAddress, trusted
	for _, g := range c.networks {
		g.proxy = c.isProxy(g.network)
	}
}

// isProxy reports whether the connections from an address are of many clients.
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
	case http.StateActive, http.StateIdle: // a request begins, which may never end
		if g := c.guests[conn]; g != nil {
			g.rest()
		}
	case http.StateHijacked, http.StateClosed:
		c.leave(c.guests[conn])
	}
	line, limit, perAddress := 0, c.max, c.maxAddress
	if c.closed += len(closing); c.closed > 0 && time.Since(c.told) >= crowdLine {
		line, c.closed, c.told = c.closed, 0, time.Now()
	}
	c.mu.Unlock()
	for _, old := range closing {
		_ = underlying(old).Close() // the server learns of it by itself
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

// context is the ConnContext of an [http.Server], for serve.
func (c *crowd) context(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, guestKey{}, conn)
}

// serve spares connections while h runs for them.
func (c *crowd) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := r.Context().Value(guestKey{}).(net.Conn)
		c.serving(conn, true)
		defer c.serving(conn, false) // the server may still wait for the rest of the body
		h.ServeHTTP(w, r)
	})
}

// serving says that a handler runs for a connection, or does no longer.
func (c *crowd) serving(conn net.Conn, yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.guests[conn]
	switch {
	case g == nil: // it was closed, or is a WebSocket now
	case yes:
		g.active()
	default:
		g.rest()
	}
}

// underlying is the connection below TLS, whose Close would wait for the peer.
func underlying(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// enter adds a connection, and returns those to close for it. The caller has
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
			wait = 0 // or several addresses that connect all the time keep the others out
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
	group.n++
	g.rest() // it has nothing to be spared for yet
	return closing
}

// over reports whether there is no room for one more. A limit that is off is
// negative.
func over(n, limit int) bool { return limit >= 0 && n >= limit }

// shed takes out the connection of a group that was idle longest, if that is for
// wait at least, or returns the newcomer. The caller has the lock.
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

// largest returns the largest group among some that have an idle connection,
// proxies last. The caller has the lock.
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

// leave takes a connection out. The caller has the lock.
func (c *crowd) leave(g *guest) {
	if g == nil || c.guests[g.conn] != g {
		return
	}
	g.active()
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
