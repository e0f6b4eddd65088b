//go:build !unix

package stream

import "net"

// newTransport knows no descriptors here, so that nothing can be tried without
// blocking, and an idle reader keeps its small buffer.
func newTransport(nc net.Conn) transport { return newLayered(nc) }
