//go:build unix

package process

import (
	"net"
	"slices"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Server is a running `hoofbeat serve` that is ready.
type Server struct {
	*Process
	// URL is the WebSocket endpoint (ws://…), Admin the admin API (http://…)
	// and TCP the STOMP listener, as logged. Each is empty if it is off.
	URL, Admin, TCP string
	// Addresses maps the listeners listen, admin and tcp to their host:port.
	Addresses map[string]string

	o Options
}

// Serve starts a broker on ports that the system chooses, unless o sets them,
// and waits until it is ready. It inserts `serve` before o.Args.
func Serve(t testing.TB, o Options) *Server {
	t.Helper()
	host := "127.0.0.1"
	if o.Restartable {
		host = testkit.Loopback()
	}
	free := net.JoinHostPort(host, "0")
	return serve(t, o, []string{"HOOFBEAT_LISTEN=" + free, "HOOFBEAT_ADMIN=" + free, "HOOFBEAT_TCP=" + free})
}

func serve(t testing.TB, o Options, listen []string) *Server {
	t.Helper()
	started := o
	started.Env = append(listen, o.Env...)
	started.Args = append([]string{"serve"}, o.Args...)
	s := &Server{Process: Start(t, started), Addresses: make(map[string]string), o: o}
	s.Logged(t, "ready", 1)
	for _, e := range s.Log("listening") {
		url, _ := e["url"].(string)
		name, _ := e["listener"].(string)
		s.Addresses[name], _ = e["address"].(string)
		switch name {
		case "listen":
			s.URL = url
		case "admin":
			s.Admin = url
		case "tcp":
			s.TCP = url
		}
	}
	return s
}

// Restart starts the broker again with the same options and at the same
// addresses. The broker must have ended and must be Restartable: otherwise
// another program could have taken its ports.
func (s *Server) Restart(t testing.TB) *Server {
	t.Helper()
	return s.RestartIn(t)
}

// RestartIn is Restart with variables added to the environment, which replace
// those of the same names.
func (s *Server) RestartIn(t testing.TB, env ...string) *Server {
	t.Helper()
	if !s.o.Restartable {
		t.Fatal("the server was not started as Restartable")
	}
	select {
	case <-s.Done():
	default:
		t.Fatal("the server is still running")
	}
	var listen []string
	for name, variable := range map[string]string{"listen": "HOOFBEAT_LISTEN", "admin": "HOOFBEAT_ADMIN", "tcp": "HOOFBEAT_TCP"} {
		if address := s.Addresses[name]; address != "" {
			listen = append(listen, variable+"="+address)
		}
	}
	o := s.o
	o.Env = slices.Concat(o.Env, env)
	next := serve(t, o, listen)
	next.o = s.o
	return next
}
