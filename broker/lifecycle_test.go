package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// Drain: what waits is written first, then everybody is told to reconnect, and
// nobody else is let in.
func TestDrain(t *testing.T) {
	b := newBroker(t, broker.Options{})
	srv := serve(t, b)
	var peers []*peer
	for i := range 10 {
		p := rawDial(t, srv, i%2 == 0)
		if i < 8 { // the others have not even connected
			p.connect(t, "heart-beat", "0,0")
			p.subscribe(t, "1", "/topic/a")
		}
		peers = append(peers, p)
	}
	memory := srv.Connect(t)
	brokertest.Eventually(t, "all are there", func() bool { return b.Sockets() == 11 })
	if err := b.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	for i := range 100 {
		publish(t, b, "/topic/a", fmt.Sprint(i))
	}
	since, drained := time.Now(), make(chan error, 1)
	go func() { drained <- b.Drain(t.Context()) }()
	for i, p := range peers {
		for n := range 100 {
			if i < 8 {
				if e := p.next(t); e.what != "MESSAGE" || string(e.f.Body) != fmt.Sprint(n) {
					t.Fatalf("instead of message %d came %v", n, e)
				}
			}
		}
		p.wantClosed(t, 1012)
		_ = p.Close() // so that the broker need not wait for it
	}
	wantEnd(t, memory, 1012)
	if err := testkit.Receive(t, drained); err != nil {
		t.Error(err)
	}
	if d := time.Since(since); d > 30*time.Second {
		t.Errorf("draining a handful took %v", d)
	}
	if err := memory.Ended(t); err != nil {
		t.Errorf("Serve returned %v after Drain", err)
	}
	if err := b.Ready(t.Context()); !errors.Is(err, broker.ErrDraining) {
		t.Errorf("Ready says %v", err)
	}
	if res, _ := handshake(t, srv, "/ws"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a handshake is answered with %s", res.Status)
	}
	if nc, err := net.Dial("tcp", srv.TCP); err == nil {
		_ = nc.Close()
		t.Error("the TCP listener is still open")
	}
	c := brokertest.Dial(b)
	if err := c.Ended(t); !errors.Is(err, broker.ErrDraining) || c.CloseCode() != 1012 {
		t.Errorf("Serve returned %v and closed with %d", err, c.CloseCode())
	}
	waitEmpty(t, b, 0)
	if err := b.Drain(t.Context()); err != nil {
		t.Errorf("the second Drain: %v", err)
	}
}

// Many go one after another, over the time that there is.
func TestDrainIsStaggered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{})
		const n = 400
		ends := make(chan time.Time, n)
		b.Observe(broker.Observer{Disconnected: func(broker.SessionInfo, *broker.Error) { ends <- time.Now() }})
		for range n {
			brokertest.Connect(t, b)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		since := time.Now()
		if err := b.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		perSecond := make(map[int]int)
		for range n {
			perSecond[int((<-ends).Sub(since)/time.Second)]++
		}
		if d := time.Since(since); d < 10*time.Second || d > 20*time.Second {
			t.Errorf("drained within %v", d)
		}
		for second, k := range perSecond {
			if k > n/8 {
				t.Errorf("%d of %d ended in second %d", k, n, second)
			}
		}
	})
}

// Who does not go in time is left to Close.
func TestDrainDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{})
		leave := make(chan struct{})
		handle(t, b, "/stubborn", func(context.Context, *broker.Request) error { <-leave; return nil })
		c := brokertest.Connect(t, b)
		c.Send("SEND", "", "destination", "/app/stubborn")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		since := time.Now()
		err := b.Drain(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 sessions left") || time.Since(since) != 3*time.Second {
			t.Errorf("Drain returned %v after %v", err, time.Since(since))
		}
		close(leave)
	})
}

// Close ends whatever a session is doing and leaves no goroutine of the broker.
func TestCloseInEveryState(t *testing.T) {
	before := goleak.IgnoreCurrent()
	asked, entered := make(chan struct{}, 8), make(chan struct{}, 8)
	wait := func(ctx context.Context, ch chan struct{}) error {
		ch <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	b, err := broker.New(broker.Options{
		Limits: broker.Limits{Outbox: 64 << 20}, LingerTimeout: 200 * time.Millisecond, WriteDeadline: time.Hour,
		Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
			if a.Login == "slow" {
				return nil, wait(ctx, asked)
			}
			return auth.TrustLogin.Authenticate(ctx, a)
		}),
		Authorizer: auth.AuthorizerFunc(func(ctx context.Context, _ *auth.Principal, _ auth.Action, destination string) error {
			if destination == "/topic/slow" {
				return wait(ctx, asked)
			}
			return nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	handle(t, b, "/slow", func(ctx context.Context, _ *broker.Request) error { return wait(ctx, entered) })
	srv := serve(t, b)

	for _, ws := range []bool{true, false} {
		rawDial(t, srv, ws)                                       // silent
		rawDial(t, srv, ws).octets(t, []byte("CONNECT\naccept-")) // in the middle of CONNECT
		rawDial(t, srv, ws).connect(t)                            // idle
		thinking := rawDial(t, srv, ws)
		thinking.send(t, "CONNECT", "", "accept-version", "1.2", "login", "slow")
		testkit.Receive(t, asked)
		handling := rawDial(t, srv, ws).connect(t)
		handling.send(t, "SEND", "", "destination", "/app/slow")
		testkit.Receive(t, entered)
		deciding := rawDial(t, srv, ws).connect(t)
		deciding.send(t, "SUBSCRIBE", "", "id", "1", "destination", "/topic/slow")
		testkit.Receive(t, asked)
		filtered := rawDial(t, srv, ws).connect(t)
		filtered.subscribe(t, "1", "/topic/slo*")
		consuming := rawDial(t, srv, ws).connect(t)
		consuming.subscribe(t, "1", "/queue/a", "ack", "client")
		blocked := rawDial(t, srv, ws).connect(t)
		blocked.subscribe(t, "1", "/topic/flood")
	}
	publish(t, b, "/topic/slow", "x")
	for range 2 {
		testkit.Receive(t, asked) // each filter
	}
	publish(t, b, "/queue/a", "x")
	for range 300 { // 18 MB, more than the sockets take
		publish(t, b, "/topic/flood", strings.Repeat("x", 60_000))
	}
	busy, err := b.Subscribe(t.Context(), "/topic/b", broker.SubscribeOptions{}, func(ctx context.Context, _ *broker.Message) error {
		return wait(ctx, entered)
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, "/topic/b", "x")
	testkit.Receive(t, entered)
	idle, err := b.Subscribe(t.Context(), "/queue/b", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	memory := brokertest.Dial(b)

	since := time.Now()
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	testkit.Wait(t, &closers)
	if d := time.Since(since); d > 30*time.Second {
		t.Errorf("Close took %v", d)
	}
	testkit.Receive(t, busy.Done())
	testkit.Receive(t, idle.Done())
	if !errors.Is(busy.Err(), broker.ErrClosed) || !errors.Is(idle.Err(), broker.ErrClosed) {
		t.Errorf("in-process subscriptions ended with %v and %v", busy.Err(), idle.Err())
	}
	memory.Ended(t)
	srv.HTTP.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	if n := b.Sockets(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if all, _ := b.Places(); all != 0 {
		t.Errorf("%d places are left", all)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// serve puts b behind listeners, as brokertest.Start does with a broker of its
// own, and leaves closing it to the test.
func serve(t *testing.T, b *broker.Broker) *brokertest.Server {
	t.Helper()
	hs := httptest.NewServer(b)
	t.Cleanup(hs.Close)
	l, err := net.Listen("tcp", net.JoinHostPort(testkit.Loopback(), "0")) // whose port nobody else takes when it ends
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.ServeTCP(l) }()
	t.Cleanup(func() {
		_ = b.Close() // never fails
		if err := testkit.Receive(t, served); err != nil {
			t.Errorf("ServeTCP: %v", err)
		}
	})
	return &brokertest.Server{Broker: b, HTTP: hs, TCP: l.Addr().String()}
}

// After Close everything says so.
func TestAfterClose(t *testing.T) {
	b := newBroker(t, broker.Options{})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, m := t.Context(), &broker.Message{Destination: "/topic/a"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"Publish":          func() error { return b.Publish(ctx, m) },
		"Publish to queue": func() error { return b.Publish(ctx, &broker.Message{Destination: "/queue/a"}) },
		"PublishToUser":    func() error { _, err := b.PublishToUser(ctx, "alice", m); return err },
		"PublishToSession": func() error { _, err := b.PublishToSession(ctx, "1", m); return err },
		"Subscribe": func() error {
			_, err := b.Subscribe(ctx, "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
			return err
		},
		"Ready":    func() error { return b.Ready(ctx) },
		"ServeTCP": func() error { return b.ServeTCP(l) },
		"Serve":    func() error { return brokertest.Dial(b).Ended(t) },
	} {
		if err := f(); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s returns %v", name, err)
		}
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener was not closed: %v", err)
	}
	if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != http.StatusServiceUnavailable {
		t.Errorf("a handshake is refused with %d", got)
	}
	if err := b.Disconnect("1", ""); !errors.Is(err, broker.ErrNoSession) {
		t.Errorf("Disconnect returns %v", err)
	}
	if err := b.Drain(ctx); err != nil {
		t.Errorf("Drain returns %v", err)
	}
	if st := b.Stats(); st.Sessions+st.Sockets+st.Subscriptions != 0 {
		t.Errorf("stats are %+v", st)
	}
}

// A subscription made while Close waits for somebody's goodbye does not outlive it.
func TestSubscribeDuringClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, broker.Options{HeartBeat: heartBeat(-1, -1)})
		p := pipe(t, b, false).connect(t) // does not read its goodbye
		p.subscribe(t, "1", "/topic/a")
		publish(t, b, "/topic/a", "never read")
		closed := make(chan struct{})
		go func() { defer close(closed); _ = b.Close() }()
		synctest.Wait()
		s, err := b.Subscribe(t.Context(), "/topic/a", broker.SubscribeOptions{}, func(context.Context, *broker.Message) error { return nil })
		<-closed
		if err != nil {
			return // refused: as good
		}
		select {
		case <-s.Done():
			if !errors.Is(s.Err(), broker.ErrClosed) {
				t.Errorf("it ended with %v", s.Err())
			}
		default:
			t.Error("the subscription outlives its broker")
			s.Cancel()
		}
	})
}

// What Serve returns, and the code its Transport is closed with.
func TestServeReturns(t *testing.T) {
	reason := func(want broker.Reason) func(error) bool {
		return func(err error) bool {
			var e *broker.Error
			return errors.As(err, &e) && e.Reason == want
		}
	}
	fine := func(err error) bool { return err == nil }
	for name, tc := range map[string]struct {
		end  func(b *broker.Broker, c *brokertest.Client)
		ok   func(error) bool
		code int
	}{
		"DISCONNECT":       {func(_ *broker.Broker, c *brokertest.Client) { c.Send("DISCONNECT", "") }, fine, 1000},
		"drained":          {func(b *broker.Broker, _ *brokertest.Client) { _ = b.Drain(context.Background()) }, fine, 1012},
		"closed":           {func(b *broker.Broker, _ *brokertest.Client) { _ = b.Close() }, fine, 1012},
		"violation":        {func(_ *broker.Broker, c *brokertest.Client) { c.Write([]byte("HELLO\n\n\x00")) }, reason(broker.ReasonProtocolError), 1002},
		"connection lost":  {func(_ *broker.Broker, c *brokertest.Client) { c.Close() }, reason(broker.ReasonConnectionLost), 0},
		"ended by program": {func(b *broker.Broker, c *brokertest.Client) { _ = b.Disconnect(c.Session, "") }, reason(broker.ReasonKicked), 1008},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, broker.Options{})
			c := brokertest.Connect(t, b)
			tc.end(b, c)
			if err := c.Ended(t); !tc.ok(err) {
				t.Errorf("Serve returned %v", err)
			}
			if c.CloseCode() != tc.code {
				t.Errorf("closed with %d, want %d", c.CloseCode(), tc.code)
			}
			if b.Sockets() != 0 {
				t.Error("the session is still known")
			}
		})
	}
	t.Run("context", func(t *testing.T) {
		b := newBroker(t, broker.Options{})
		for _, early := range []bool{true, false} {
			l := newLink(netip.AddrPort{})
			ctx, cancel := context.WithCancel(t.Context())
			if early {
				cancel()
			}
			ended := make(chan error, 1)
			go func() { ended <- b.Serve(ctx, l, broker.Admission{}) }()
			cancel()
			if err := testkit.Receive(t, ended); !reason(broker.ReasonKicked)(err) {
				t.Errorf("Serve returned %v", err)
			}
		}
	})
}

func TestDisconnectByTheProgram(t *testing.T) {
	b := newBroker(t, broker.Options{})
	c, other := brokertest.Connect(t, b), brokertest.Connect(t, b)
	if err := b.Disconnect(c.Session, "you are wanted elsewhere"); err != nil {
		t.Fatal(err)
	}
	wantError(t, c, 1008, "you are wanted elsewhere")
	other.Sync(t)
	if err := b.Disconnect(c.Session, ""); !errors.Is(err, broker.ErrNoSession) {
		t.Errorf("a second time: %v", err)
	}
}

// ServeTCP goes on after its listener's temporary troubles, and says when it
// was closed by somebody else.
func TestServeTCP(t *testing.T) {
	b := newBroker(t, broker.Options{})
	l := &troubled{conns: make(chan net.Conn), closed: make(chan struct{})}
	served := make(chan error, 1)
	go func() { served <- b.ServeTCP(l) }()
	ours, theirs := net.Pipe()
	l.conns <- nil // no file descriptor left
	l.conns <- theirs
	newPeer(ours, bufio.NewReader(ours), false).connect(t)
	_ = ours.Close()
	_ = l.Close()
	if err := testkit.Receive(t, served); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ServeTCP returned %v", err)
	}
}

type troubled struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *troubled) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		if c == nil {
			return nil, errors.New("too many open files")
		}
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *troubled) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
