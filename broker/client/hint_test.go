package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// If the URL's scheme does not match the port's protocol, the error names the
// one to try.
func TestDialNamesTheSchemeToTry(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Authenticator: auth.Anonymous})
	secure := httptest.NewTLSServer(srv.Broker)
	t.Cleanup(secure.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = srv.Broker.ServeTCP(tls.NewListener(l, secure.TLS)) }() // ends with the broker
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	plain, over := srv.HTTP.Listener.Addr().String(), secure.Listener.Addr().String()
	for _, tc := range []struct{ url, want string }{
		{"wss://" + plain + "/ws", "the port has no TLS, try ws://"},
		{"tcps://" + srv.TCP, "the port has no TLS, try tcp://"},
		{"ws://" + over + "/ws", "the port wants TLS, try wss://"},
		{"ws://" + srv.TCP, "the port speaks STOMP without WebSocket, try tcp://"},
		{"wss://" + l.Addr().String(), "the port speaks STOMP without WebSocket, try tcps://"},
		{"tcp://" + plain, "the port speaks HTTP, try ws://"},
	} {
		_, err := Dial(t.Context(), tc.url, Options{TLS: &tls.Config{RootCAs: roots}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.url, err, tc.want)
		}
	}
	_, err = Dial(t.Context(), "tcp://"+plain, Options{})
	if !errors.Is(err, ErrNotStomp) {
		t.Errorf("the cause is lost: %v", err)
	}
}
