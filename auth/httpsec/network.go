package httpsec

import "net/netip"

// Network returns the address range that one client controls: an IPv4 address,
// or the /64 of an IPv6 address. All limits per address use it. The network of
// the zero address is the zero address.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // cannot fail: 64 is in range
		return p.Addr()
	}
	return a
}
