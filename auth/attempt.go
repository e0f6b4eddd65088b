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

// Stage says when in a connection's life a credential is presented.
type Stage uint8

const (
	// StageHandshake is the HTTP request that asks for the WebSocket or creates the SockJS session. A refusal
	// here costs the least: there is no socket yet. Plain TCP connections have no such stage.
	StageHandshake Stage = iota + 1
	// StageConnect is the STOMP CONNECT (or STOMP) frame, the first frame of every session.
	StageConnect
	// StageRenew is a SEND to /app/session/refresh with a new credential for a session that is connected:
	// Attempt.Principal is who it acts for, and the answer must be the same user.
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

// Handshake is what is kept of the HTTP request that opened a connection. It is read-only.
type Handshake struct {
	// Header holds the request's headers, Authorization and Cookie among them: do not log it.
	Header http.Header
	// URL is the request's URL with the values of secret parameters masked.
	URL *url.URL
	// Host is the host the client asked for, from the Host header.
	Host string
	// TLS is the state of the connection, with the client's certificates if it sent any; nil without TLS.
	TLS *tls.ConnectionState
}

// Attempt is one presentation of credentials. The broker fills it in and hands it to its [Authenticator], which
// must not change it nor keep it after it has returned.
//
// Formatting an Attempt with fmt or slog shows the stage, the session and the peer's address, and no credential.
type Attempt struct {
	Stage Stage
	// Session is the broker's id of the session; it is what CONNECTED will carry in its session header.
	Session string
	// Principal is, at StageConnect, whom the handshake established; nil if it established nobody. At StageRenew it
	// is whom the session acts for.
	Principal *Principal

	// Ticket is the single-use ticket of the handshake's URL or sub-protocol, or CONNECT's ticket header. A handshake
	// with a ticket is decided by it alone: an Authenticator must not judge a passcode of "Authorization: Basic" beside
	// it, because the broker counts no try of a passcode there.
	Ticket string
	// Bearer is the token of an "Authorization: Bearer" header of the HTTP request or the CONNECT frame.
	Bearer string
	// Login, Passcode and Host are the CONNECT headers of these names; empty at StageHandshake.
	Login, Passcode, Host string

	// Header returns the first header of a name: of CONNECT at StageConnect, of the HTTP request at
	// StageHandshake. It returns "" for a header that is not there, and is never nil.
	Header func(name string) string
	// Handshake is the HTTP request that opened the connection, at both stages; nil on plain TCP.
	Handshake *Handshake
	// Remote is the client's address. Behind a trusted proxy it is the address the proxy vouches for.
	Remote netip.AddrPort
}

// CheckLogin returns nil unless the handshake has established a principal and CONNECT names another user; then it
// returns a [*Refusal]. A credential is bound to its user, so a login cannot exchange the user it came with, not
// even for one whose passcode the client knows, and not an anonymous principal for a named one.
func (a *Attempt) CheckLogin() error {
	if a.Principal == nil || a.Login == "" || a.Login == a.Principal.Name {
		return nil
	}
	return &Refusal{Reason: "the login names another user than the one this connection was opened for"}
}

// String describes a without any credential.
func (a Attempt) String() string {
	return fmt.Sprintf("%v session=%s remote=%v", a.Stage, a.Session, a.Remote)
}

// Format writes String for fmt, whatever the verb: without it %#v and %d would print the credentials.
func (a Attempt) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue describes a to slog without any credential.
func (a Attempt) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("stage", a.Stage.String()),
		slog.String("session", a.Session),
		slog.String("remote", a.Remote.String()),
	)
}
