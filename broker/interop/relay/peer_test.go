package relay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a broker that Spring applications may use: with the
// relay's two logins, of setSystemLogin and setClientLogin, all of /topic and
// /queue but for one destination.
func options(t *testing.T, o broker.Options) broker.Options {
	t.Helper()
	o.Authenticator = auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		passcodes := map[string]string{"system": "system-pass", "clients": "clients-pass"}
		if a.Login == "" {
			return nil, auth.ErrNotMine // the handshake of a WebSocket
		}
		if passcode, ok := passcodes[a.Login]; !ok || a.Passcode != passcode {
			return nil, &auth.Refusal{Reason: "the login or the passcode is wrong"}
		}
		return &auth.Principal{Name: a.Login, Roles: []string{"backend"}}, nil
	})
	var err error
	both := []auth.Action{auth.Subscribe, auth.Send}
	if o.Authorizer, err = auth.NewRules(
		auth.Rule{Effect: auth.Deny, Actions: both, Destination: "/topic/forbidden"},
		auth.Rule{Effect: auth.Allow, Actions: both, Destination: "/topic/**", Roles: []string{"backend"}},
		auth.Rule{Effect: auth.Allow, Actions: both, Destination: "/queue/**", Roles: []string{"backend"}},
	); err != nil {
		t.Fatal(err)
	}
	return o
}

func start(t *testing.T, o broker.Options) *brokertest.Server {
	t.Helper()
	return brokertest.Start(t, options(t, o))
}

// patience is how long a peer waits for anything.
const patience = time.Minute

// A peer is the other end of a connection of Spring's. It says bytes and reads
// frames.
type peer struct {
	write func(p []byte) error
	read  func() ([]byte, error)
	close func() error // without a goodbye
	dec   frames.Decoder
}

// dial connects as the relay's ReactorNettyTcpClient does.
func dial(t *testing.T, addr string) *peer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // again, in some tests
	buf := make([]byte, 64<<10)
	return newPeer(&peer{
		write: func(p []byte) error { _, err := conn.Write(p); return err },
		read: func() ([]byte, error) {
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return nil, err
			}
			n, err := conn.Read(buf)
			return buf[:n], err
		},
		close: conn.Close,
	})
}

// dialWebSocket connects as WebSocketStompClient does: no sub-protocol is
// offered. A text message is what TextMessage makes of a frame; say sends one.
func dialWebSocket(t *testing.T, url string) (*peer, *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() }) // again, in some tests
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "" {
		t.Errorf("the broker chose the sub-protocol %q, and none was offered", got)
	}
	conn.SetReadLimit(1 << 20)
	return newPeer(&peer{
		write: func(p []byte) error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return conn.Write(ctx, websocket.MessageText, p)
		},
		read: func() ([]byte, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			_, p, err := conn.Read(ctx)
			return p, err
		},
		close: conn.CloseNow,
	}), conn
}

func newPeer(p *peer) *peer {
	p.dec.SetVersion(frames.V12)
	p.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	return p
}

// say sends bytes.
func (p *peer) say(t *testing.T, octets string) {
	t.Helper()
	if err := p.write([]byte(octets)); err != nil {
		t.Fatalf("sending %q: %v", octets, err)
	}
}

// receive returns the next frame, or why there is none.
func (p *peer) receive() (*frames.Frame, error) {
	for {
		f, ok, err := p.dec.Next()
		if err != nil || ok {
			return f, err
		}
		octets, err := p.read()
		if err != nil {
			return nil, err
		}
		p.dec.Feed(octets)
	}
}

// want returns the next frame, which must be this command with these headers,
// given as name, value, name, value. The value "-" says that there is none.
func (p *peer) want(t *testing.T, command string, pairs ...string) *frames.Frame {
	t.Helper()
	f, err := p.receive()
	if err != nil {
		t.Fatalf("waiting for %s: %v", command, err)
	}
	if f.Command != command {
		t.Fatalf("got %s %v %q, want %s", f.Command, f.Headers, f.Body, command)
	}
	for i := 0; i < len(pairs); i += 2 {
		got, ok := f.Lookup(pairs[i])
		if ok != (pairs[i+1] != "-") || ok && got != pairs[i+1] {
			t.Errorf("%s has %s:%q (present: %v), want %q; all: %v", command, pairs[i], got, ok, pairs[i+1], f.Headers)
		}
	}
	return f
}

// wantMessage returns the next frame, which must be a MESSAGE with this body.
func (p *peer) wantMessage(t *testing.T, body string, pairs ...string) *frames.Frame {
	t.Helper()
	f := p.want(t, "MESSAGE", pairs...)
	if string(f.Body) != body {
		t.Fatalf("the body is %q, want %q", f.Body, body)
	}
	return f
}

// wantNames fails unless a frame has exactly these headers, in any order: Spring
// passes all of them on.
func wantNames(t *testing.T, f *frames.Frame, names ...string) {
	t.Helper()
	var got []string
	for _, h := range f.Headers {
		got = append(got, h.Name)
	}
	slices.Sort(got)
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("%s has the headers %v, want %v", f.Command, got, names)
	}
}

// wantEnd expects the end of the connection and not a frame more: over WebSocket
// with that close code, over TCP, where it is 0, in good order. It closes its own end, as Spring does then.
func (p *peer) wantEnd(t *testing.T, code websocket.StatusCode) {
	t.Helper()
	f, err := p.receive()
	if f != nil {
		t.Fatalf("after the last frame came %s %v %q", f.Command, f.Headers, f.Body)
	}
	if code == 0 && !errors.Is(err, io.EOF) || code != 0 && websocket.CloseStatus(err) != code {
		t.Errorf("the connection ended with %v, want %v", err, code)
	}
	_ = p.close() // the other end has told all there is to tell
}

// fill replaces {name} in recorded bytes, given as name, value, name, value.
func fill(octets string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		octets = strings.ReplaceAll(octets, "{"+pairs[i]+"}", pairs[i+1])
	}
	return octets
}
