package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// A revocation looks at the sessions that it may name and at no others, and under
// no lock that the start of a goroutine needs.
func TestRevocationLooksAtNobodyElse(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const n = 1000
	all := make([]*session, n)
	for i := range all {
		s := &session{b: b, id: fmt.Sprint("s", i)}
		s.principal.Store(&auth.Principal{Name: fmt.Sprint("u", i/2), CredentialID: fmt.Sprint("c", i/4)})
		all[i] = s
		if err := b.addSession(s); err != nil {
			t.Fatal(err)
		}
		b.credentials.add(s.principal.Load(), s)
		if fail := s.sit(s.userName()); fail != nil {
			t.Fatal(fail)
		}
		b.join(s.userName())
	}
	for _, tc := range []struct {
		r    auth.Revocation
		want int
	}{
		{auth.Revocation{Session: "s7"}, 1},
		{auth.Revocation{Session: "nobody"}, 0},
		{auth.Revocation{User: "u3"}, 2},
		{auth.Revocation{User: "nobody"}, 0},
		{auth.Revocation{Credential: "c5"}, 4},
		{auth.Revocation{Credential: "nobody"}, 0},
	} {
		found := b.revokedSessions(tc.r)
		for _, s := range found {
			if !applies(tc.r, s.id, s.principal.Load()) {
				t.Errorf("%+v found %s, which it does not name", tc.r, s.id)
			}
		}
		if len(found) != tc.want {
			t.Errorf("%+v found %d sessions, want %d", tc.r, len(found), tc.want)
		}
	}

	b.mu.Lock() // as whoever goes through all sessions has it
	started := make(chan struct{})
	go b.spawn(func() { close(started) })
	select {
	case <-started:
	case <-time.After(time.Minute):
		t.Error("a goroutine waits for the lock of the sessions")
	}
	b.mu.Unlock()

	for _, s := range all {
		b.credentials.remove(s.principal.Load(), s)
		b.leave(s)
		b.removeSession(s)
	}
	if left := len(b.credentials.holders); left != 0 {
		t.Errorf("%d credentials are left in the index", left)
	}
}

// A credential is renewed to another, or to none, and is found under the one that
// the session has now.
func TestCredentialIndex(t *testing.T) {
	var x credentialIndex
	a, b := new(session), new(session)
	p, none := &auth.Principal{CredentialID: "p"}, &auth.Principal{}
	want := func(n int) {
		t.Helper()
		if got := len(x.sessions("p")); got != n {
			t.Errorf("%d sessions, want %d", got, n)
		}
	}
	x.add(none, a)
	x.remove(none, a)
	x.remove(nil, a)
	want(0)
	x.add(p, a)
	x.add(p, a)
	want(1)
	x.remove(p, b)
	want(1)
	x.add(p, b)
	want(2)
	x.remove(p, a)
	want(1)
	x.add(p, a)
	x.remove(p, b)
	x.remove(p, a)
	want(0)
	if len(x.holders) != 0 {
		t.Errorf("%v is left", x.holders)
	}
}

// A session that was found for a revocation, and is renewed before it is ended, is
// not named by it any more.
func TestRevocationSparesWhoIsRenewedMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		name string
		now  auth.Principal
		ends bool
	}{
		{"the same credential", auth.Principal{Name: "alice", CredentialID: "laptop"}, true},
		{"another credential", auth.Principal{Name: "alice", CredentialID: "phone"}, false},
		{"none", auth.Principal{Name: "alice"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := newConnecting(t, Options{Authenticator: auth.AuthenticatorFunc(withCredential)})
			id := testkit.Receive(t, x.connected)
			s := x.b.session(id)
			s.principal.Store(&tc.now)
			x.b.endRevoked(auth.Event{Revocation: auth.Revocation{Credential: "laptop"}})
			if got := phase(s.phase.Load()) == phaseEnding; got != tc.ends {
				t.Errorf("it is ended: %v, want %v", got, tc.ends)
			}
		})
	}
}

// A revocation names a session by its id, its credential or its user: each alone,
// and no session that has another one or none.
func TestWhomARevocationNames(t *testing.T) {
	p := &auth.Principal{Name: "alice", CredentialID: "laptop"}
	for _, tc := range []struct {
		r    auth.Revocation
		p    *auth.Principal
		want bool
	}{
		{auth.Revocation{Session: "s1"}, p, true},
		{auth.Revocation{Session: "s2"}, p, false},
		{auth.Revocation{Session: "alice"}, p, false},
		{auth.Revocation{Credential: "laptop"}, p, true},
		{auth.Revocation{Credential: "phone"}, p, false},
		{auth.Revocation{Credential: "alice"}, p, false},
		{auth.Revocation{Credential: "laptop"}, new(auth.Principal), false},
		{auth.Revocation{User: "alice"}, p, true},
		{auth.Revocation{User: "bob"}, p, false},
		{auth.Revocation{User: "laptop"}, p, false},
		{auth.Revocation{User: "alice"}, new(auth.Principal), false},
		{auth.Revocation{}, p, false},
		{auth.Revocation{}, new(auth.Principal), false},
	} {
		if got := applies(tc.r, "s1", tc.p); got != tc.want {
			t.Errorf("%+v names %+v: %v, want %v", tc.r, tc.p, got, tc.want)
		}
	}
}

// stuckWire is a connection whose goodbye takes until let is closed.
type stuckWire struct {
	*wire.Message
	reached, let chan struct{}
}

func (w stuckWire) Goodbye(int, string) []byte {
	w.reached <- struct{}{}
	<-w.let
	return nil
}

// Sessions start while a revocation ends others, however long it takes: it holds
// no lock meanwhile that they need, not those of the broker, of the index of
// credentials, of the users or of the store.
func TestSessionsStartDuringARevocation(t *testing.T) {
	for name, r := range map[string]auth.Revocation{
		"of a user":       {User: "alice"},
		"of a credential": {Credential: "laptop"},
		"of a session":    {Session: "s0"},
	} {
		t.Run(name, func(t *testing.T) {
			store := auth.NewRevocations()
			b, err := New(Options{Revocations: store, Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
				return &auth.Principal{Name: a.Login, CredentialID: "phone of " + a.Login, Issued: time.Now()}, nil
			})})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			connected := make(chan string, 1)
			b.Observe(Observer{Connected: func(s SessionInfo) { connected <- s.User }})
			w := stuckWire{wire.NewMessage(nowhere{}), make(chan struct{}, 3), make(chan struct{})}
			stuck := make([]*session, 3)
			for i := range stuck {
				s := &session{b: b, id: fmt.Sprint("s", i), wire: w}
				s.out.s, s.out.wire = s, w
				s.principal.Store(&auth.Principal{Name: "alice", CredentialID: "laptop"})
				if err := b.addSession(s); err != nil {
					t.Fatal(err)
				}
				b.credentials.add(s.principal.Load(), s)
				if fail := s.sit("alice"); fail != nil {
					t.Fatal(fail)
				}
				b.join(s.userName())
				stuck[i] = s
			}
			revoked := make(chan error, 1)
			go func() { revoked <- store.Revoke(t.Context(), r) }()
			testkit.Receive(t, w.reached)
			for _, login := range []string{"bob", "alice"} {
				c := newCaller("login:" + login)
				served := make(chan error, 1)
				go func() { served <- b.Serve(t.Context(), c, Admission{}) }()
				select {
				case got := <-connected:
					if got != login {
						t.Errorf("%s is connected, want %s", got, login)
					}
				case <-served:
					got, code := c.received()
					t.Errorf("%s was answered with %q and %d", login, got, code)
				case <-time.After(testkit.Patience):
					t.Errorf("%s waits for the end of the revocation", login)
				}
			}
			if len(revoked) != 0 {
				t.Error("the revocation is over already")
			}
			close(w.let)
			if err := testkit.Receive(t, revoked); err != nil {
				t.Error(err)
			}
			for _, s := range stuck {
				b.credentials.remove(s.principal.Load(), s)
				b.leave(s)
				b.removeSession(s)
			}
		})
	}
}
