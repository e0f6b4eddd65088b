package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A handler that takes over a connection gets the one that was accepted, so that
// nothing of the HTTP server is left in a session.
func TestTakenOverConnectionIsTheAccepted(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	for want, listen := range map[string]func(net.Listener, *App) net.Listener{
		"*net.TCPConn": func(l net.Listener, a *App) net.Listener {
			return &plainText{Listener: l, key: "listen", away: a.away}
		},
		"*tls.Conn": func(l net.Listener, _ *App) net.Listener { return tls.NewListener(l, conf) },
	} {
		t.Run(want, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			a, c := &App{away: &turnedAway{log: quiet}}, anyCrowd()
			secure := want == "*tls.Conn"
			d := a.web("listen", listen(inner, a), unwrapped(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.TLS != nil) != secure || secure && !r.TLS.HandshakeComplete {
					t.Errorf("TLS of the request: %v", r.TLS)
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, _ = fmt.Fprintf(conn, "%T", conn) // the client wants it
			})), c)
			served := make(chan error, 1)
			go func() { served <- d.serve() }()
			client, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_ = client.SetDeadline(time.Now().Add(time.Minute))
			if secure {
				client = tls.Client(client, &tls.Config{InsecureSkipVerify: true})
			}
			if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(client); err != nil || string(got) != want {
				t.Errorf("the handler gets %s, %v", got, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			d.close(ctx)
			if err := testkit.Receive(t, served); err != http.ErrServerClosed {
				t.Error(err)
			}
		})
	}
}

// A client that does not finish the TLS handshake is disconnected after the time
// for it, which does not shorten the time for the header.
func TestUnfinishedHandshakeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := new(log)
		away := &turnedAway{log: slog.New(slog.NewTextHandler(text, nil))}
		server, client := net.Pipe()
		defer client.Close()
		secured := tls.Server(server, &tls.Config{})
		c := &secureArrival{arrival: arrival{Conn: secured, l: &arrivals{away: away, errors: (&serverErrors{key: "listen", away: away}).logger()}}, tls: secured}
		began := time.Now()
		if state := c.ConnectionState(); state.HandshakeComplete {
			t.Error("the handshake is complete")
		}
		if took := time.Since(began); took != headerTimeout {
			t.Errorf("it took %v", took)
		}
		if n, err := c.Read(make([]byte, 4096)); err == nil {
			t.Errorf("%d bytes were read", n)
		}
		if text.String() != "" { // a health check, perhaps
			t.Errorf("logged is %s", text)
		}
	})
}
