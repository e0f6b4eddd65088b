package httpsec

import (
	"net/netip"
	"strings"
)

// LoopbackHost reports whether a Host header names this machine: localhost, a name
// below localhost, or an address of the loopback interface, with a port or
// without. A server that lets everybody on its machine in has to ask: a page of
// another site can make a name of its own mean 127.0.0.1 (DNS rebinding), and is
// then of the same origin as the server.
func LoopbackHost(host string) bool {
	host, _, err := splitPort(host)
	if err != nil {
		return false
	}
	host, err = parseHost(host)
	return err == nil && loopback(host)
}

// loopback takes a host that parseHost has returned.
func loopback(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") && !strings.Contains(host, "*") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
