package broker

import "bytes"

// logForeign logs a TCP client whose first bytes p belong to another protocol:
// no answer to the client would reach its user.
func (s *session) logForeign(p []byte) {
	if s.framed || s.wire.Kind() != "tcp" {
		return
	}
	switch {
	case len(p) > 1 && p[0] == 0x16 && p[1] == 3: // a handshake record of TLS
		s.b.warn("a client spoke TLS to a plain-text listener", s.source(""), "listener", "tcp", "remote", s.peer,
			"hint", "use tcp://, or configure tls.cert and tls.key")
	case bytes.HasPrefix(p, []byte("GET ")), bytes.HasPrefix(p, []byte("POST ")), bytes.HasPrefix(p, []byte("OPTIONS ")):
		s.b.warn("a client spoke HTTP to the STOMP listener", s.source(""), "listener", "tcp", "remote", s.peer,
			"hint", "WebSocket and SockJS are served at the address of listen")
	}
}
