package bench

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lateBind leaves the choice of the port to connect, which takes a port that is
// free for this server; bind would need one that is free for all.
func lateBind(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}); e != nil {
		return e
	}
	return err
}
