package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// FuzzSession gives a session any bytes, before or after CONNECT, over STOMP
// bytes as they are (wire 0), WebSocket frames (1) or plain TCP (2), cut into
// pieces of any size. Nothing may panic, the other client must be undisturbed,
// and nothing of the session may be left.
func FuzzSession(f *testing.F) {
	for _, v := range append(stompViolations(), unauthenticatedViolations()...) {
		f.Add(v.octets, true, uint8(0), uint8(255))
		f.Add(v.octets, false, uint8(2), uint8(7))
		f.Add(webSocketFrame(opText, v.octets), true, uint8(1), uint8(100))
	}
	f.Add([]byte("SUBSCRIBE\nid:1\nack:client\ndestination:/queue/q\n\n\x00SEND\ndestination:/queue/q\n\nx\x00NACK\nid:1-1\n\n\x00ACK\nid:1-2\n\n\x00"), true, uint8(0), uint8(40))
	f.Add([]byte("SUBSCRIBE\nid:1\ndestination:/user/topic/session\n\n\x00SEND\ndestination:/app/session/refresh\n\n{\"ticket\":\"x\"}\x00"), true, uint8(0), uint8(40))
	f.Add([]byte("BEGIN\ntransaction:t\n\n\x00SEND\ntransaction:t\ndestination:/topic/a\n\nx\x00COMMIT\ntransaction:t\n\n\x00DISCONNECT\nlogout:true\n\n\x00"), true, uint8(2), uint8(3))
	f.Add(append(webSocketFrame(opPing, []byte("x")), webSocketFrame(opClose, []byte{3, 232})...), false, uint8(1), uint8(1))

	authorizer, err := auth.Open().Prepend(auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Send}, Destination: "/topic/calm"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, octets []byte, connected bool, wire, size uint8) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authorizer: authorizer, Revocations: auth.NewRevocations(), SoftDenial: size%2 == 0})
			calm := brokertest.Connect(t, b)
			calm.Subscribe(t, "1", "/topic/calm")
			publish(t, b, "/topic/calm", "before")

			write, end := fuzzed(t, b, connected, wire%3)
			for len(octets) > 0 {
				n := min(len(octets), 1+int(size))
				if write(octets[:n]) != nil {
					break // it has been closed
				}
				octets = octets[n:]
			}
			end()
			publish(t, b, "/topic/calm", "after")
			wantMessages(t, calm, "before", "after")
			<-time.After(5 * time.Second)
			synctest.Wait()
			if all, _ := b.Places(); b.Sockets() != 1 || all != 0 {
				t.Errorf("%d sessions and %d places are left", b.Sockets()-1, all)
			}
			if n := b.Stats().Subscriptions; n != 1 {
				t.Errorf("%d subscriptions are left", n-1)
			}
		})
	})
}

// fuzzed opens a connection that reads and ignores all it is sent.
func fuzzed(t *testing.T, b *broker.Broker, connected bool, wire uint8) (write func([]byte) error, end func()) {
	if wire == 0 {
		c := brokertest.Dial(b)
		if connected {
			c.Close()
			c = brokertest.Connect(t, b, "login", "fuzz")
		}
		return func(p []byte) error { c.Write(p); return nil }, c.Close
	}
	p := pipe(t, b, wire == 1)
	if connected {
		p.connect(t, "login", "fuzz")
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, p.r) // until the connection ends
	}()
	_ = p.SetDeadline(time.Time{})
	return func(octets []byte) error { _, err := p.Write(octets); return err }, func() { _ = p.Close(); <-read }
}

// FuzzHandshake gives ServeHTTP any values of the headers that it looks at. It
// must answer with a status that it knows, tell nothing that it was sent, and
// keep no place for those it refused.
func FuzzHandshake(f *testing.F) {
	f.Add("Upgrade", "websocket", "13", "dGhlIHNhbXBsZSBub25jZQ==", "v12.stomp, ticket.alice", "http://broker.example", "198.51.100.7", "Bearer bob", "ticket=carol", "192.0.2.1:5")
	f.Add("keep-alive, upgrade", "WebSocket", "13", "dGhlIHNhbXBsZSBub25jZQ==", "", "", "10.0.0.1, unknown", "", "access_token=x", "10.0.0.1:5")
	f.Add("close", "h2c", "8", "short", ",,,", "null", ",", "Basic", "%zz&;", "[::1%eth0]:5")
	f.Add("Upgrade", "websocket", "13", "dGhlIHNhbXBsZSBub25jZQ==", "ticket.wrong", "https://*.broker.example", "::ffff:1.2.3.4", "bearer  ", "ticket=s3cret", "@")
	f.Fuzz(func(t *testing.T, connection, upgrade, version, key, protocol, origin, forwarded, authorization, query, remote string) {
		b := brokertest.New(t, broker.Options{
			Authenticator: wallet(), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Limits: broker.Limits{Unauthenticated: 1},
		})
		r := &http.Request{
			Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "broker.example", RemoteAddr: remote,
			URL: &url.URL{Path: "/ws", RawQuery: query}, Header: make(http.Header),
		}
		for name, value := range map[string]string{
			"Connection": connection, "Upgrade": upgrade, "Sec-WebSocket-Version": version, "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": protocol,
			"Origin": origin, "X-Forwarded-For": forwarded, "Authorization": authorization,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		ours, theirs := net.Pipe()
		w := &hijackable{httptest.NewRecorder(), theirs, false}
		served := make(chan struct{})
		go func() { defer close(served); b.ServeHTTP(w, r) }()
		if res, err := http.ReadResponse(bufio.NewReader(&eofAfter{ours, served}), r); err == nil {
			if res.StatusCode != 101 {
				t.Errorf("upgraded with %s", res.Status)
			}
			chosen := res.Header.Get("Sec-WebSocket-Protocol")
			if chosen != "" && (!strings.HasSuffix(chosen, ".stomp") || !strings.Contains(protocol, chosen)) {
				t.Errorf("chose %q of %q", chosen, protocol)
			}
		}
		_ = ours.Close()
		testkit.Receive(t, served)
		if !w.hijacked {
			var answer map[string]string
			switch w.Code {
			case 400, 401, 403, 426, 429:
				members := 1
				if w.Code == 403 {
					members = 3 // error, origin and key
				}
				if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer["error"] == "" || len(answer) > members {
					t.Errorf("%d %q", w.Code, w.Body)
				}
			default:
				t.Errorf("refused with %d", w.Code)
			}
		}
		brokertest.Eventually(t, "the place is free", func() bool { all, _ := b.Places(); return all == 0 })
	})
}

// hijackable is a response whose connection can be taken over.
type hijackable struct {
	*httptest.ResponseRecorder
	nc       net.Conn
	hijacked bool
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	return h.nc, bufio.NewReadWriter(bufio.NewReader(h.nc), bufio.NewWriter(h.nc)), nil
}

// eofAfter ends a read that nothing will come for.
type eofAfter struct {
	net.Conn
	over <-chan struct{}
}

func (e *eofAfter) Read(p []byte) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.over:
			_ = e.SetReadDeadline(time.Now().Add(time.Millisecond)) // what was written before is still taken
		case <-ctx.Done():
		}
	}()
	n, err := e.Conn.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}
