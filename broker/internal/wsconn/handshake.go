package wsconn

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// HandshakeError says why a request cannot become a WebSocket, and how to
// answer it over HTTP.
type HandshakeError struct {
	Status int         // 400, 405 or 426 from Check; 500 from Upgrade
	Reason string      // constant, one line, suitable for the response body
	Header http.Header // add it to the response; may be nil
	Err    error       // the cause, for the log; nil from Check
}

// Error is for logs: it may include the cause. Clients get the Reason.
func (e *HandshakeError) Error() string {
	if e.Err != nil {
		return "websocket handshake: " + e.Reason + ": " + e.Err.Error()
	}
	return "websocket handshake: " + e.Reason
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }

// Check validates r as a WebSocket handshake by RFC 6455, section 4.2.1. The
// error is a *HandshakeError. It examines headers only, so that it can run
// before anything expensive. It does not check the Origin.
func Check(r *http.Request) error {
	key, version := r.Header.Values("Sec-WebSocket-Key"), r.Header.Values("Sec-WebSocket-Version")
	switch {
	case r.Method != http.MethodGet:
		return &HandshakeError{
			Status: http.StatusMethodNotAllowed,
			Reason: "a WebSocket handshake must be a GET request",
			Header: http.Header{"Allow": {http.MethodGet}},
		}
	case r.ProtoMajor > 1:
		// HTTP/2 and 3 have no Upgrade header, so 426 would not help.
		return &HandshakeError{Status: http.StatusBadRequest, Reason: "a WebSocket handshake needs HTTP/1.1"}
	case !r.ProtoAtLeast(1, 1):
		return upgradeRequired("a WebSocket handshake needs HTTP/1.1")
	case !hasToken(r.Header, "Connection", "upgrade"), !hasToken(r.Header, "Upgrade", "websocket"):
		return upgradeRequired("this address speaks WebSocket")
	case len(version) != 1 || version[0] != "13":
		return upgradeRequired("Sec-WebSocket-Version must be 13")
	case len(key) != 1 || !validKey(key[0]):
		return &HandshakeError{Status: http.StatusBadRequest, Reason: "Sec-WebSocket-Key must be 16 bytes in base64"}
	}
	return nil
}

func upgradeRequired(reason string) error {
	return &HandshakeError{
		Status: http.StatusUpgradeRequired,
		Reason: reason,
		Header: http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Version": {"13"},
		},
	}
}

func validKey(key string) bool {
	nonce, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(nonce) == 16
}

// hasToken searches all lines of a header, each a list separated by commas.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// Subprotocol returns the highest STOMP version that the client offers as a
// WebSocket sub-protocol: v12.stomp, v11.stomp or v10.stomp, or "" if there is
// none. It keeps the client's spelling, because browsers compare exactly. It
// never returns another sub-protocol, because some clients send tokens there.
// CONNECT still negotiates the version of the session.
func Subprotocol(r *http.Request) string {
	best, rank := "", 0
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for item := range strings.SplitSeq(line, ",") {
			item = strings.TrimSpace(item)
			if n := stompRank(item); n > rank {
				best, rank = item, n
			}
		}
	}
	return best
}

func stompRank(protocol string) int {
	switch {
	case strings.EqualFold(protocol, "v12.stomp"):
		return 3
	case strings.EqualFold(protocol, "v11.stomp"):
		return 2
	case strings.EqualFold(protocol, "v10.stomp"):
		return 1
	}
	return 0
}

// Upgrade takes the connection over from net/http and answers the handshake
// with the sub-protocol from Subprotocol. The request must have passed Check.
// deflate allows permessage-deflate if the client offers it in a form that
// needs no memory per connection; no other extension is accepted. Middleware
// may wrap w if it can be unwrapped; see [http.ResponseController].
//
// Upgrade keeps bytes that the client sent after the handshake for Receive, and
// clears the deadlines of the HTTP server. The Conn holds nothing of net/http:
// once the handler has returned, the request, its buffers and the server's
// goroutine are freed, so call Receive in a goroutine of its own.
//
// After a *HandshakeError the response can still be written. After any other
// error the connection is lost and closed.
func Upgrade(w http.ResponseWriter, r *http.Request, protocol string, deflate bool) (*Conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, &HandshakeError{
			Status: http.StatusInternalServerError,
			Reason: "this server cannot upgrade the connection",
			Err:    err,
		}
	}
	extension := ""
	if deflate {
		extension = negotiate(r.Header)
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err == nil {
		_, err = nc.Write(response(r.Header.Get("Sec-WebSocket-Key"), protocol, extension))
	}
	if err != nil {
		_ = nc.Close() // the connection is lost anyway; err is the reason
		return nil, err
	}
	c := New(nc, bytes.Clone(early))
	c.in.deflate = extension != ""
	return c, nil
}

// response returns the whole answer, to be sent by one write.
func response(key, protocol, extension string) []byte {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	b := make([]byte, 0, 192+len(extension))
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = base64.StdEncoding.AppendEncode(b, sum[:])
	if protocol != "" {
		b = append(b, "\r\nSec-WebSocket-Protocol: "...)
		b = append(b, protocol...)
	}
	if extension != "" {
		b = append(b, "\r\nSec-WebSocket-Extensions: "...)
		b = append(b, extension...)
	}
	return append(b, "\r\n\r\n"...)
}
