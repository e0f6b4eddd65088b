package admission

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the proxies whose X-Forwarded-For header is trusted.
type Proxies struct {
	Networks    []netip.Prefix
	UnixSockets bool // every peer over a Unix socket
}

// ClientAddress returns the client address of a request: that of the peer,
// unless the peer is a trusted proxy. Then it is the last address in
// X-Forwarded-For that is not a trusted proxy itself, with port 0. It is not
// valid if Request.RemoteAddr is not an IP address and port, and
// X-Forwarded-For supplies no address.
func (p *Proxies) ClientAddress(r *http.Request) netip.AddrPort {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil && !(p.UnixSockets && unixPeer(r)) || err == nil && !p.Trusts(peer.Addr()) {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, ok := hop(hops[i])
		if !ok {
			break
		}
		peer = netip.AddrPortFrom(addr, 0)
		if !p.Trusts(addr) {
			break
		}
	}
	return peer
}

// unixPeer reports whether a request came over a Unix socket.
func unixPeer(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && strings.HasPrefix(local.Network(), "unix")
}

// hop parses an address of X-Forwarded-For as proxies write it. Some proxies
// put it in double quotes, which the Forwarded header requires around brackets
// and ports.
func hop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		if text, ok = strings.CutSuffix(inner, `"`); !ok {
			return netip.Addr{}, false
		}
	}
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().WithZone(""), true
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(text)
		return addr.WithZone(""), err == nil && addr.Is6()
	}
	addr, err := netip.ParseAddr(text)
	return addr.WithZone(""), err == nil
}

// Trusts reports whether an address is that of a trusted proxy.
func (p *Proxies) Trusts(a netip.Addr) bool {
	for _, network := range p.Networks {
		if network.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
