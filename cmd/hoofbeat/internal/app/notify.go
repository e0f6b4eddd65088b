package app

import "net"

// notify sends the state of the service to systemd (sd_notify, Type=notify).
// Without NOTIFY_SOCKET it does nothing.
func (a *App) notify(state string) {
	name := a.o.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	// A name that begins with @ is in the abstract name space, which net
	// supports.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		_ = c.Close() // nothing is buffered
	}
	if err != nil {
		a.o.Logger.Warn("cannot notify systemd", "state", state, "error", err)
	}
}
