//go:build !unix

package stream

import "net"

// newTransport cannot use descriptors on this system: TryWrite never accepts a
// byte, and an idle reader keeps a small buffer.
func newTransport(nc net.Conn) transport { return newLayered(nc) }
