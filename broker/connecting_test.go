package broker

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// gate is a Transport whose client sends what the test says.
type gate struct {
	in     chan []byte
	out    chan string
	closed chan struct{}
	once   sync.Once
}

func (g *gate) Receive() ([]byte, error) {
	select {
	case p := <-g.in:
		return p, nil
	case <-g.closed:
		return nil, io.EOF
	}
}

func (g *gate) Send(list [][]byte) error {
	for _, p := range list {
		g.out <- string(p)
	}
	return nil
}

func (g *gate) Close(int, string) error {
	g.once.Do(func() { close(g.closed) })
	return nil
}

// A credential that is revoked after the authenticator has let it in, and before
// revocations find its session, ends it all the same. Observers hear neither
// that it connected nor that it ended.
func TestRevokedWhileConnecting(t *testing.T) {
	store := auth.NewRevocations()
	ann := &auth.Principal{Name: "ann", CredentialID: "c"}
	b, err := New(Options{Revocations: store, Authenticator: auth.AuthenticatorFunc(func(context.Context, *auth.Attempt) (*auth.Principal, error) { return ann, nil })})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() }) // always nil
	b.unwatch()                         // the revocation came too early for it
	var mu sync.Mutex
	var told []string
	b.Observe(Observer{
		Connected:    func(SessionInfo) { mu.Lock(); defer mu.Unlock(); told = append(told, "connected") },
		Disconnected: func(SessionInfo, *Error) { mu.Lock(); defer mu.Unlock(); told = append(told, "disconnected") },
	})
	g := &gate{in: make(chan []byte, 1), out: make(chan string, 10), closed: make(chan struct{})}
	served := make(chan error, 1)
	b.credentials.mu.Lock() // here the session waits
	go func() { served <- b.Serve(context.Background(), g, Admission{}) }()
	g.in <- []byte("CONNECT\naccept-version:1.2\n\n\x00")
	deadline := time.Now().Add(time.Minute)
	for len(b.router.Sessions("ann")) == 0 { // it has its seat: the first check is behind it
		if time.Now().After(deadline) {
			b.credentials.mu.Unlock()
			t.Fatal("the session does not get as far as its seat")
		}
		time.Sleep(time.Millisecond)
	}
	if err := store.Revoke(t.Context(), auth.Revocation{Credential: "c"}); err != nil {
		t.Error(err)
	}
	b.credentials.mu.Unlock()
	for !strings.HasPrefix(last(t, g.out), "ERROR\nmessage:session revoked\n") {
	}
	select {
	case err := <-served:
		if e, ok := err.(*Error); !ok || e.Reason != ReasonRevoked {
			t.Errorf("the session ended with %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the session does not end")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 0 {
		t.Errorf("observers heard %v", told)
	}
	if n := len(b.router.Sessions("ann")); n != 0 || b.Stats().Sessions != 0 {
		t.Errorf("%d sessions of the user are left, stats %+v", n, b.Stats())
	}
}

func last(t *testing.T, out chan string) string {
	t.Helper()
	select {
	case s := <-out:
		return s
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
		return ""
	}
}
