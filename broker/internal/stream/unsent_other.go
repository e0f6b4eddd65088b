//go:build !linux

package stream

import "net"

// unsent is not available on this system. A slow reader only shows when a Write
// makes progress.
func unsent(*net.TCPConn) (int, bool) { return 0, false }
