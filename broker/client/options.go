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

// DefaultHeartBeat is offered and asked for unless [Options] say otherwise: the
// ten seconds that Spring and stompjs use.
const DefaultHeartBeat = 10 * time.Second

// Options say how to connect. The zero value connects without credentials,
// offers STOMP 1.2, 1.1 and 1.0 and heart-beats of ten seconds.
type Options struct {
	// Login and Passcode are the headers of those names in CONNECT. Both are
	// left out when both are empty.
	Login, Passcode string
	// Host is the `host` header of CONNECT: the virtual host. Default: the host
	// name of the URL.
	Host string
	// ConnectHeaders are added to CONNECT after the headers of this package;
	// a name that this package sets itself is refused.
	ConnectHeaders map[string]string

	// SendHeartBeat is how often this side can send, ReceiveHeartBeat how often
	// it wants to hear from the server. Zero is [DefaultHeartBeat], negative
	// none. A server that was silent for twice the negotiated time while this
	// side was reading ends the connection with [ErrSilent].
	SendHeartBeat, ReceiveHeartBeat time.Duration
	// Versions are the STOMP versions to accept. Default 1.2, 1.1 and 1.0. Over
	// WebSocket the matching sub-protocols are offered, highest first.
	Versions []stomp.Version

	// Header are HTTP headers of the WebSocket handshake, such as Origin, Cookie
	// or Authorization. TCP has none and ignores them.
	Header http.Header
	// TLS configures wss and stomp+ssl. Nil checks the certificate against the
	// system's roots.
	TLS *tls.Config
	// ReadLimit is the largest WebSocket message to accept, in bytes; a larger
	// one ends the connection. Zero is no limit: messages are streamed, only
	// the frame that is being read is in memory. TCP has no messages and
	// ignores it.
	ReadLimit int64

	// Stomp are further options for go-stomp, such as its time limits and
	// buffer sizes. Those for login, host, headers, versions and heart-beats
	// have no effect here: use the fields above.
	Stomp []func(*stomp.Conn) error
	// Logger receives what go-stomp logs. Nil discards.
	Logger *slog.Logger
}

// ErrOptions is wrapped by the errors of [Dial] that say an option or the URL
// cannot be used; nothing was dialled.
var ErrOptions = errors.New("client: bad option")

// withDefaults returns a checked copy with the zero values filled in.
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
	// CONNECT is not escaped, so a value that ends its line would add a header.
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

// heartBeat fills in the default and cuts to the milliseconds of the protocol;
// zero then means none.
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
