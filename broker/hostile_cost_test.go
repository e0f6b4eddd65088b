package broker_test

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// N+2: whatever becomes of an unauthenticated socket, its place is given back.
// With room for one, each path leads to a next one that gets in.
func TestPlacesAreGivenBack(t *testing.T) {
	answer := make(chan error)
	authenticator := auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
		switch a.Login + a.Ticket {
		case "wait":
			select {
			case err := <-answer:
				return nil, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		case "wrong":
			return nil, &auth.Refusal{}
		case "panic":
			panic("panic")
		}
		if a.Stage == auth.StageHandshake {
			return nil, auth.ErrNotMine
		}
		return &auth.Principal{Name: a.Login}, nil
	})
	start := func(deadline time.Duration) *brokertest.Server {
		return brokertest.Start(t, broker.Options{
			Authenticator: authenticator, ConnectDeadline: deadline, LingerTimeout: 50 * time.Millisecond,
			Limits: broker.Limits{Unauthenticated: 1, UnauthenticatedPerAddress: 1},
		})
	}
	hasty, patient := start(100*time.Millisecond), start(time.Hour)
	var srv *brokertest.Server // the path's, and its broker
	var b *broker.Broker
	late := map[string]bool{"deadline": true, "half a frame": true, "thinks too long": true, "leaves while it thinks": true}
	refused := map[string]bool{ // before there is a socket
		"handshake refused": true, "handshake panics": true, "token in the URL": true, "foreign origin": true,
	}
	connect := func(p *peer, login string) {
		p.send(t, "CONNECT", "", "accept-version", "1.2", "login", login)
	}
	for _, ws := range []bool{true, false} {
		for name, path := range map[string]func(){
			"closed":                 func() { _ = rawDial(t, srv, ws).Close() },
			"deadline":               func() { rawDial(t, srv, ws) },
			"half a frame":           func() { rawDial(t, srv, ws).octets(t, []byte("CONN")) },
			"violation":              func() { rawDial(t, srv, ws).octets(t, []byte("HELLO\n")) },
			"not CONNECT":            func() { rawDial(t, srv, ws).send(t, "SEND", "") },
			"refused":                func() { connect(rawDial(t, srv, ws), "wrong") },
			"panic":                  func() { connect(rawDial(t, srv, ws), "panic") },
			"thinks too long":        func() { connect(rawDial(t, srv, ws), "wait") },
			"leaves while it thinks": func() { p := rawDial(t, srv, ws); connect(p, "wait"); _ = p.Close() },
			"connected":              func() { p := rawDial(t, srv, ws); connect(p, "alice"); p.want(t, "CONNECTED") },
			"handshake refused":      func() { admitted(t, b, request("GET", "/ws?ticket=wrong", "192.0.2.1:1")) },
			"handshake panics":       func() { admitted(t, b, request("GET", "/ws?ticket=panic", "192.0.2.2:1")) },
			"token in the URL":       func() { admitted(t, b, request("GET", "/ws?access_token=x", "192.0.2.3:1")) },
			"foreign origin":         func() { admitted(t, b, request("GET", "/ws", "192.0.2.4:1", "Origin", "https://evil.example")) },
			"served": func() {
				a, err := b.Admit(request("GET", "/ws", "192.0.2.5:1"))
				if err != nil {
					t.Fatal(err)
				}
				l := newLink(netip.AddrPort{})
				_ = l.Close(0, "")
				_ = b.Serve(t.Context(), l, a) // the connection is lost
			},
		} {
			if srv = patient; late[name] {
				srv = hasty
			}
			b = srv.Broker
			opened := b.Stats().Opened
			path()
			brokertest.Eventually(t, name+": its place is free again", func() bool {
				all, addresses := b.Places()
				return all == 0 && addresses == 0 && (b.Stats().Opened > opened || refused[name])
			})
		}
	}
}

// N+4: an idle WebSocket costs one goroutine, and little memory, before and after
// CONNECT. The figures are printed with -v.
func TestIdleConnectionsAreCheap(t *testing.T) {
	const n = 1000
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: n, Unauthenticated: n}, ConnectDeadline: -1}) // all connect at once, as one user
	measure := func() (goroutines int, octets int64) {
		for range 3 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), int64(m.HeapAlloc + m.StackInuse)
	}
	rawWebSocket(t, srv).connect(t, "heart-beat", "0,0") // pools and the like are made
	goroutines, octets := measure()
	peers := make([]*peer, n)
	for i := range peers {
		peers[i] = rawWebSocket(t, srv)
		peers[i].r = nil // 64 KiB of ours
	}
	check := func(state string, limit int64) {
		t.Helper()
		brokertest.Eventually(t, "one goroutine for each", func() bool { return runtime.NumGoroutine() <= goroutines+n })
		brokertest.Eventually(t, "all are there", func() bool { return srv.Broker.Sockets() == n+1 })
		g, o := measure()
		t.Logf("%s: %.2f goroutines and %d bytes of heap and stack for each idle WebSocket, the test's end of it included",
			state, float64(g-goroutines)/n, (o-octets)/n)
		if (o-octets)/n > limit {
			t.Errorf("%s: %d bytes each", state, (o-octets)/n)
		}
	}
	check("unauthenticated", 16<<10)
	for _, p := range peers {
		p.send(t, "CONNECT", "", "accept-version", "1.2", "heart-beat", "10000,10000", "login", "alice")
		p.send(t, "SUBSCRIBE", "", "id", "1", "destination", "/user/topic/authorization")
	}
	brokertest.Eventually(t, "all are subscribed", func() bool { return srv.Broker.Stats().Subscriptions == n })
	check("connected", 32<<10)
	since := time.Now()
	d, err := srv.Broker.PublishToUser(t.Context(), "alice", &broker.Message{Destination: "/topic/authorization", Body: []byte(strings.Repeat("x", 100))})
	if err != nil || d.Subscriptions != n {
		t.Errorf("%v %v", d, err)
	}
	t.Logf("a message to all of them took %v", time.Since(since))
}
