package httpsec

import (
	"net/netip"
	"strings"
)

// LoopbackHost reports whether a Host header names this machine: localhost, a
// name below localhost, or an address of the loopback interface, with or
// without a port. A server that trusts all clients on its machine must check
// this: another site can make its own name resolve to 127.0.0.1 (DNS
// rebinding), and its page then has the same origin as the server.
func LoopbackHost(host string) bool {
	host, _, err := parseHostPort(host)
	return err == nil && loopback(host)
}

// loopback is LoopbackHost for a host that parseHost has returned.
func loopback(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") && !strings.Contains(host, "*") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
