package app

import "net"

// notify tells systemd how the service is (sd_notify, Type=notify). There is
// nobody to tell when NOTIFY_SOCKET is not set.
func (a *App) notify(state string) {
	name := a.o.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	// A name that begins with @ is in the abstract name space; net knows that.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(state))
		_ = c.Close() // nothing is buffered
	}
	if err != nil {
		a.o.Logger.Warn("systemd cannot be told", "state", state, "error", err)
	}
}
