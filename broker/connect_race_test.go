package broker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/admission"
)

// caller is a client in memory whose only word is CONNECT.
type caller struct {
	in     chan []byte
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	got  strings.Builder
	code int
}

func newCaller(headers ...string) *caller {
	c := &caller{in: make(chan []byte, 1), closed: make(chan struct{})}
	c.in <- []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\n" + strings.Join(append(headers, ""), "\n") + "\n\x00")
	return c
}

func (c *caller) Receive() ([]byte, error) {
	select {
	case p := <-c.in:
		return p, nil
	case <-c.closed:
		return nil, io.EOF
	}
}

func (c *caller) Send(list [][]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range list {
		c.got.Write(p)
	}
	return nil
}

func (c *caller) Close(code int, _ string) error {
	c.once.Do(func() {
		c.mu.Lock()
		c.code = code
		c.mu.Unlock()
		close(c.closed)
	})
	return nil
}

// received returns what came and with which code the connection was closed.
func (c *caller) received() (string, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String(), c.code
}

// connecting is a session whose CONNECT is under way.
type connecting struct {
	b         *Broker
	c         *caller
	connected chan string // sessions that the observer was told of
	served    chan error
}

func newConnecting(t *testing.T, o Options) *connecting {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	x := &connecting{b: b, c: newCaller(), connected: make(chan string, 10), served: make(chan error, 1)}
	b.Observe(Observer{Connected: func(i SessionInfo) { x.connected <- i.ID }})
	t.Cleanup(func() { _ = b.Close() })
	go func() { x.served <- b.Serve(context.Background(), x.c, Admission{}) }()
	return x
}

// session returns the only session when ready says that it has come far enough.
func (x *connecting) session(t *testing.T, ready func(*session) bool) *session {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		x.b.mu.Lock()
		for _, s := range x.b.sessions {
			if ready(s) {
				x.b.mu.Unlock()
				return s
			}
		}
		x.b.mu.Unlock()
	}
	t.Fatal("the session does not come so far")
	return nil
}

// ended checks what is left of a session that was never to be: the client has the
// ERROR, nobody was told of it, and nothing is counted.
func (x *connecting) ended(t *testing.T, reason Reason, message string, code int) {
	t.Helper()
	err := testkit.Receive(t, x.served)
	var e *Error
	if !errors.As(err, &e) || e.Reason != reason {
		t.Errorf("Serve returned %v, want %v", err, reason)
	}
	got, closed := x.c.received()
	if !strings.Contains(got, "ERROR\nmessage:"+message) || closed != code {
		t.Errorf("the client got %q and close code %d, want %q and %d", got, closed, message, code)
	}
	select {
	case id := <-x.connected:
		t.Errorf("the observer was told that %s has connected", id)
	default:
	}
	st := x.b.Stats()
	seats, _ := x.b.Seats()
	if all, networks := x.b.Places(); st.Sessions != 0 || st.Sockets != 0 || all != 0 || networks != 0 || seats != 0 {
		t.Errorf("%+v, %d places, %d seats", st, all, seats)
	}
}

// A session that is ended while its credential is looked at is not connected by the
// answer.
func TestEndedWhileItIsAuthenticated(t *testing.T) {
	asked, answer := make(chan struct{}, 1), make(chan struct{})
	x := newConnecting(t, Options{Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) {
		asked <- struct{}{}
		testkit.Hold(t, answer)
		return &auth.Principal{Name: "alice"}, nil
	})})
	testkit.Receive(t, asked)
	s := x.session(t, func(*session) bool { return true })
	s.endNow(&Error{Reason: ReasonKicked, Message: "not today"})
	close(answer)
	x.ended(t, ReasonKicked, "not today", 1008)
	if got, _ := x.c.received(); strings.Contains(got, "CONNECTED") {
		t.Errorf("the client was told that it is connected: %q", got)
	}
	if p := s.principal.Load(); p != nil {
		t.Errorf("it became %s's after its end", p.Name)
	}
}

// held runs f when the principal of the session is known and it is not yet found by
// its credential: it waits for the lock of that index.
func (x *connecting) held(t *testing.T, f func(*session)) {
	t.Helper()
	s := x.session(t, func(s *session) bool { return s.principal.Load() != nil })
	f(s)
	x.b.credentials.mu.Unlock()
}

func withCredential(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	return &auth.Principal{Name: "alice", CredentialID: "laptop", Issued: time.Now()}, nil
}

// What ends a session between the answer of the authenticator and CONNECTED wins.
func TestEndedWhileItConnects(t *testing.T) {
	released := make(chan struct{})
	x := newConnecting(t, Options{Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
		testkit.Hold(t, released)
		return withCredential(ctx, a)
	})})
	x.b.credentials.mu.Lock()
	close(released)
	x.held(t, func(s *session) { s.endNow(&Error{Reason: ReasonKicked, Message: "not today"}) })
	x.ended(t, ReasonKicked, "not today", 1008)
}

// A revocation that has looked for the sessions of a credential just before there
// was this one ends it all the same.
func TestRevokedWhileItConnects(t *testing.T) {
	store, released := auth.NewRevocations(), make(chan struct{})
	x := newConnecting(t, Options{Revocations: store, Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
		testkit.Hold(t, released)
		return withCredential(ctx, a)
	})})
	x.b.credentials.mu.Lock()
	close(released)
	x.held(t, func(*session) {
		x.b.unwatch() // it does not look again
		if err := store.Revoke(t.Context(), auth.Revocation{Credential: "laptop"}); err != nil {
			t.Error(err)
		}
	})
	x.ended(t, ReasonRevoked, "session revoked", 1008)
}

// A hook cannot make somebody else of whom the handshake was for.
func TestConnectIsForTheUserOfTheHandshake(t *testing.T) {
	const another = "ERROR\nmessage:the credential belongs to another user than the one this connection was opened for"
	for name, want := range map[string]string{"alice": "CONNECTED\n", "bob": another, "": another} {
		b, err := New(Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			if a.Stage == auth.StageHandshake {
				return &auth.Principal{Name: "alice"}, nil
			}
			return &auth.Principal{Name: name}, nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "/ws", nil)
		a, err := b.Admit(r)
		if err != nil {
			t.Fatal(err)
		}
		c, served := newCaller(), make(chan error, 1)
		go func() { served <- b.Serve(t.Context(), c, a) }()
		for end := time.Now().Add(testkit.Patience); ; time.Sleep(time.Millisecond) {
			if got, _ := c.received(); strings.HasPrefix(got, want) {
				break
			} else if got != "" || time.Now().After(end) {
				t.Errorf("%q at CONNECT: got %q, want %q", name, got, want)
				break
			}
		}
		_ = b.Close()
		testkit.Receive(t, served)
		if n := b.Stats().AuthFailures; (n == 1) != (name != "alice") {
			t.Errorf("%q: %d failures are counted", name, n)
		}
	}
}

// stop makes b a broker whose Close has come so far that no goroutine is started
// any more, while sessions are still let in.
func (b *Broker) stop(stopped bool) {
	b.spawnMu.Lock()
	defer b.spawnMu.Unlock()
	b.stopped = stopped
}

// A session that Close overtakes before its goroutine is started leaves nothing.
func TestSessionThatNeverRuns(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	b.stop(true)
	a, err := b.Admit(httptest.NewRequest(http.MethodGet, "/ws", nil))
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller()
	if err := b.Serve(t.Context(), c, a); !errors.Is(err, ErrClosed) {
		t.Errorf("Serve returned %v", err)
	}
	testkit.Receive(t, c.closed)
	srv := httptest.NewServer(b)
	defer srv.Close()
	endsAtOnce(t, srv)
	if all, networks := b.Places(); b.Sockets() != 0 || all != 0 || networks != 0 {
		t.Errorf("%d sockets, %d places of %d networks are left", b.Sockets(), all, networks)
	}
	if n := b.sweeper.Len(); n != 0 {
		t.Errorf("%d sessions are still to be checked", n)
	}
	b.stop(false)
	closes(t, b)
}

// closes closes b, which waits for nobody.
func closes(t *testing.T, b *Broker) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- b.Close() }()
	if err := testkit.Receive(t, ended); err != nil {
		t.Error(err)
	}
}

// A handshake that a drain overtakes, after it was admitted, is cut off and gives
// its place back.
func TestDrainDuringTheHandshake(t *testing.T) {
	var b *Broker
	b, err := New(Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if err := b.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		return &auth.Principal{Name: "alice"}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(b)
	defer srv.Close()
	endsAtOnce(t, srv)
	if all, networks := b.Places(); b.Sockets() != 0 || all != 0 || networks != 0 || b.Stats().Opened != 0 {
		t.Errorf("%d sockets, %d places of %d networks, %+v", b.Sockets(), all, networks, b.Stats())
	}
	closes(t, b)
}

// endsAtOnce opens a WebSocket that must be upgraded and then ended without a word.
func endsAtOnce(t *testing.T, srv *httptest.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	} {
		r.Header.Set(name, value)
	}
	res, err := srv.Client().Do(r)
	if err != nil {
		return // cut off before the 101 could be read
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("the handshake was answered with %s", res.Status)
	}
	if rest, err := io.ReadAll(res.Body); len(rest) > 0 || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the handshake came %q, %v", rest, err)
	}
}

// deaf is a client that sends CONNECT, stops reading before the answer is written
// and half-closes its connection.
type deaf struct {
	*caller
	writing chan struct{} // closed when the answer is being written
	once    sync.Once
	let     chan struct{} // closed when the write may return after the end
}

func (d *deaf) Receive() ([]byte, error) {
	select {
	case p := <-d.in:
		return p, nil
	case <-d.writing:
		return nil, io.EOF
	case <-d.closed:
		return nil, io.EOF
	}
}

func (d *deaf) Send([][]byte) error {
	d.once.Do(func() { close(d.writing) })
	<-d.closed
	<-d.let
	return io.ErrClosedPipe
}

// A client that has closed its half and reads nothing is waited for no longer than
// LingerTimeout. Its session has ended when nobody writes to it any more.
func TestWhatCannotBeWrittenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const linger = 100 * time.Millisecond
		b, err := New(Options{Authenticator: auth.Anonymous, LingerTimeout: linger, WriteDeadline: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		d := &deaf{caller: newCaller(), writing: make(chan struct{}), let: make(chan struct{})}
		served := make(chan error, 1)
		since := time.Now()
		go func() {
			served <- b.Serve(t.Context(), d, Admission{admission.Entry{Remote: netip.MustParseAddrPort("192.0.2.1:1")}})
		}()
		<-d.closed
		if waited := time.Since(since); waited < linger || waited > 2*linger {
			t.Errorf("it was given up after %v", waited)
		}
		synctest.Wait()
		if len(served) != 0 {
			t.Error("the session ended while something was being written to it")
		}
		close(d.let)
		<-served // as lost
		if _, code := d.received(); code != 1006 {
			t.Errorf("it was closed with %d, want 1006: at once", code)
		}
		if b.Sockets() != 0 {
			t.Error("the session is still known")
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
