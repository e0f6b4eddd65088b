package auth

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
)

// Stage is the point in a connection's life at which a credential is presented.
type Stage uint8

const (
	// StageHandshake is the HTTP request that asks for the WebSocket or creates
	// the SockJS session. Rejecting a client here costs least, because there is
	// no socket yet. Plain TCP connections do not have this stage.
	StageHandshake Stage = iota + 1
	// StageConnect is the STOMP CONNECT (or STOMP) frame, the first frame of
	// every session.
	StageConnect
	// StageRenew is a SEND to /app/session/refresh that brings a new credential
	// for a connected session. Attempt.Principal is the session's current
	// principal; the new one must name the same user.
	StageRenew
)

// String returns "handshake", "connect" or "renew".
func (s Stage) String() string {
	switch s {
	case StageHandshake:
		return "handshake"
	case StageConnect:
		return "connect"
	case StageRenew:
		return "renew"
	default:
		return fmt.Sprintf("Stage(%d)", uint8(s))
	}
}

// Handshake holds the parts of the HTTP request that opened a connection. It is
// read-only.
type Handshake struct {
	// Header holds the request's headers, including Authorization and Cookie.
	// Do not log it.
	Header http.Header
	// URL is the request's URL, with the values of secret parameters masked.
	URL *url.URL
	// Host is the requested host, from the Host header.
	Host string
	// TLS is the state of the connection, with the client's certificates if it
	// sent any. It is nil without TLS.
	TLS *tls.ConnectionState
}

// Attempt is one presentation of credentials. The broker fills it in and passes
// it to its [Authenticator], which must not change it, and must not keep it
// after returning.
//
// Formatting an Attempt with fmt or slog shows the stage, the session and the
// peer's address, but no credentials.
type Attempt struct {
	Stage Stage
	// Session is the broker's session id, which CONNECTED sends in its session
	// header.
	Session string
	// Principal, at StageConnect, is the principal that the handshake
	// established, or nil if it established none. At StageRenew it is the
	// session's current principal.
	Principal *Principal

	// Ticket is the single-use ticket from the handshake's URL or sub-protocol,
	// or from CONNECT's ticket header. If a handshake has a ticket, the ticket
	// alone decides: an Authenticator must then ignore the passcode of an
	// "Authorization: Basic" header, because the broker does not count passcode
	// attempts there.
	Ticket string
	// Bearer is the token from an "Authorization: Bearer" header of the HTTP
	// request or of the CONNECT frame.
	Bearer string
	// Login, Passcode and Host are the CONNECT headers of these names. They are
	// empty at StageHandshake.
	Login, Passcode, Host string

	// Header returns the first header with the given name: from CONNECT at
	// StageConnect, from the HTTP request at StageHandshake. It returns "" for
	// a missing header. It is never nil.
	Header func(name string) string
	// Handshake is the HTTP request that opened the connection, at every stage.
	// It is nil on plain TCP.
	Handshake *Handshake
	// Remote is the client's address. Behind a trusted proxy it is the address
	// that the proxy reports.
	Remote netip.AddrPort
}

// CheckLogin returns a [*Refusal] if the handshake established a principal and
// CONNECT's login names another user, and nil otherwise. A credential is bound
// to its user: a login cannot replace the credential's user, even with a
// correct passcode, and cannot turn an anonymous principal into a named one.
func (a *Attempt) CheckLogin() error {
	if a.Principal == nil || a.Login == "" || a.Login == a.Principal.Name {
		return nil
	}
	return &Refusal{Reason: "the login names another user than the one this connection was opened for"}
}

// String describes a without its credentials.
func (a Attempt) String() string {
	return fmt.Sprintf("%v session=%s remote=%v", a.Stage, a.Session, a.Remote)
}

// Format writes String for every fmt verb; without it, %#v and %d would print
// the credentials.
func (a Attempt) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue describes a for slog without its credentials.
func (a Attempt) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("stage", a.Stage.String()),
		slog.String("session", a.Session),
		slog.String("remote", a.Remote.String()),
	)
}
