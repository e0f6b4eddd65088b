package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-stomp/stomp/v3"
)

// DefaultHeartBeat is the default of both heart-beat intervals in [Options]:
// ten seconds, as in Spring and stompjs.
const DefaultHeartBeat = 10 * time.Second

// Options configures [Dial]. The zero value connects without credentials,
// offers STOMP 1.2, 1.1 and 1.0, and heart-beats of ten seconds.
type Options struct {
	// Login and Passcode are the CONNECT headers of these names. If both are
	// empty, neither is sent.
	Login, Passcode string
	// Host is the `host` header of CONNECT, the virtual host. Default: the host
	// name of the URL.
	Host string
	// ConnectHeaders are added to CONNECT after the headers of this package. A
	// name that this package sets itself is an error.
	ConnectHeaders map[string]string

	// SendHeartBeat is how often this side can send heart-beats, and
	// ReceiveHeartBeat how often it wants them from the server. Zero means
	// [DefaultHeartBeat], negative means none. If the server is silent for
	// twice the negotiated interval while this side is reading, the connection
	// ends with [ErrSilent].
	SendHeartBeat, ReceiveHeartBeat time.Duration
	// Versions lists the STOMP versions to accept. Default 1.2, 1.1 and 1.0.
	// Over WebSocket the matching sub-protocols are offered, highest first.
	Versions []stomp.Version

	// Header contains HTTP headers for the WebSocket handshake, such as Origin,
	// Cookie or Authorization. TCP ignores them.
	Header http.Header
	// TLS configures wss and stomp+ssl. Nil verifies the certificate with the
	// system's root certificates.
	TLS *tls.Config
	// ReadLimit is the largest WebSocket message to accept, in bytes; a larger
	// one ends the connection. Zero means no limit: messages are streamed, so
	// only the current frame is in memory. TCP ignores it.
	ReadLimit int64

	// Stomp contains further options for go-stomp, such as time limits and
	// buffer sizes. Options for login, host, headers, versions and heart-beats
	// have no effect: use the fields above.
	Stomp []func(*stomp.Conn) error
	// Logger receives the log of go-stomp. Nil discards.
	Logger *slog.Logger
}

// ErrOptions is wrapped by errors of [Dial] about an invalid option or URL.
// Dial has not connected then.
var ErrOptions = errors.New("client: bad option")

// withDefaults returns a validated copy with defaults filled in.
func (o Options) withDefaults(host string) (Options, error) {
	if o.Host == "" {
		o.Host = host
	}
	o.SendHeartBeat = heartBeat(o.SendHeartBeat)
	o.ReceiveHeartBeat = heartBeat(o.ReceiveHeartBeat)
	if len(o.Versions) == 0 {
		o.Versions = []stomp.Version{stomp.V12, stomp.V11, stomp.V10}
	}
	for _, v := range o.Versions {
		if v.CheckSupported() != nil {
			return o, fmt.Errorf("%w: STOMP version %q is not 1.0, 1.1 or 1.2", ErrOptions, v)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// CONNECT is not escaped, so a line end in a value would add a header.
	for name, value := range map[string]string{"login": o.Login, "passcode": o.Passcode, "host": o.Host} {
		if strings.ContainsAny(value, "\r\n\x00") {
			return o, fmt.Errorf("%w: %s has a line end or NUL, which CONNECT cannot carry", ErrOptions, name)
		}
	}
	for name, value := range o.ConnectHeaders {
		switch {
		case name == "" || strings.ContainsAny(name, ":\r\n\x00"):
			return o, fmt.Errorf("%w: connect header name %q is empty or has a colon, line end or NUL", ErrOptions, name)
		case strings.ContainsAny(value, "\r\n\x00"):
			return o, fmt.Errorf("%w: connect header %s has a line end or NUL, which CONNECT cannot carry", ErrOptions, name)
		}
		switch name {
		case "accept-version", "content-length", "heart-beat", "host", "login", "passcode":
			return o, fmt.Errorf("%w: connect header %s has an option of its own", ErrOptions, name)
		}
	}
	return o, nil
}

// heartBeat fills in the default and rounds down to the milliseconds of the
// protocol. A result of zero means none.
func heartBeat(d time.Duration) time.Duration {
	switch {
	case d == 0:
		return DefaultHeartBeat
	case d < 0:
		return 0
	default:
		return max(d.Truncate(time.Millisecond), time.Millisecond)
	}
}
