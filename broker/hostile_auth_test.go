package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// N+6: after a few failed tries of a login each further one must wait, twice as
// long every time; a right one forgets, and others are not concerned.
func TestFailedTriesAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const held, tick = 3500 * time.Millisecond, 300 * time.Millisecond // three quarters of the 5 s for a CONNECT
		var asked int
		b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
			asked++
			if a.Passcode != "right" {
				return nil, errors.New("wrong passcode")
			}
			return &auth.Principal{Name: a.Login}, nil
		})})
		try := func(address, login, passcode string) string {
			l := newLink(netip.MustParseAddrPort(address + ":4711"))
			ended := make(chan error, 1)
			go func() { ended <- b.Serve(t.Context(), l, broker.Admission{}) }()
			l.in <- encode(frame("CONNECT", "", "accept-version", "1.2", "login", login, "passcode", passcode))
			answer := string(<-l.out)
			_ = l.Close(0, "")
			<-ended
			if strings.Contains(answer, "too many failed attempts, try again later") {
				return "throttled"
			}
			return answer[:strings.IndexByte(answer, '\n')]
		}
		want := func(address, login, passcode, want string) {
			t.Helper()
			before := asked
			if got := try(address, login, passcode); got != want {
				t.Fatalf("%s from %s with a %s passcode: %s, want %s", login, address, passcode, got, want)
			}
			if want == "throttled" && asked != before {
				t.Fatal("the authenticator was asked")
			}
		}
		for range 6 {
			want("192.0.2.1", "alice", "wrong", "ERROR")
		}
		for wait := time.Second; wait < 3*time.Minute; wait *= 2 {
			want("192.0.2.1", "bob", "right", "CONNECTED")   // a neighbour behind the same address
			want("192.0.2.2", "alice", "right", "CONNECTED") // a stranger keeps nobody out
			wait := min(wait, time.Minute)
			if early := wait - held; early > 0 {
				want("192.0.2.1", "alice", "right", "throttled")
				<-time.After(early - tick)
				want("192.0.2.1", "alice", "right", "throttled")
				<-time.After(tick)
			}
			began := time.Now() // from here on a try is held until its turn
			want("192.0.2.1", "alice", "wrong", "ERROR")
			if got := time.Since(began); got != min(wait, held) {
				t.Fatalf("the try was held for %v of the last %v before %v were over", got, held, wait)
			}
		}
		<-time.After(time.Minute)
		want("192.0.2.1", "alice", "right", "CONNECTED")
		for range 6 {
			want("192.0.2.1", "alice", "wrong", "ERROR")
		}
		want("192.0.2.1", "alice", "wrong", "ERROR") // held for 1 s
		want("192.0.2.1", "alice", "wrong", "ERROR") // held for 2 s
		want("192.0.2.1", "alice", "right", "throttled")
		<-time.After(11 * time.Minute) // halved five times
		for range 6 {
			want("192.0.2.1", "alice", "wrong", "ERROR")
		}

		// A network of 2^64 addresses is one client.
		for i := range 8 {
			want(fmt.Sprintf("[2001:db8::%d]", i+1), "alice", "wrong", "ERROR")
		}
		want("[2001:db8::ffff]", "alice", "right", "throttled")
		want("[2001:db8:0:1::1]", "alice", "right", "CONNECTED")
	})
}

// link is a Transport that says where it comes from.
type link struct {
	in, out chan []byte
	closed  chan struct{}
	once    sync.Once
	remote  netip.AddrPort
}

func newLink(remote netip.AddrPort) *link {
	return &link{in: make(chan []byte, 16), out: make(chan []byte, 64), closed: make(chan struct{}), remote: remote}
}

func (l *link) RemoteAddr() netip.AddrPort { return l.remote }

func (l *link) Receive() ([]byte, error) {
	select {
	case p := <-l.in:
		return p, nil
	case <-l.closed:
		return nil, errors.New("closed")
	}
}

func (l *link) Send(list [][]byte) error {
	for _, p := range list {
		l.out <- bytes.Clone(p) // room for all that these tests provoke
	}
	return nil
}

func (l *link) Close(int, string) error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// N+6 at the handshake: 429, and when to come again. Whoever guesses passcodes is
// not even asked; a ticket cannot be guessed, so that a good one always gets in,
// and only the answer to a bad one changes.
func TestFailedHandshakesAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked int
		b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
			asked++
			if a.Ticket != "" {
				return wallet().Authenticate(ctx, a)
			}
			if a.Header("Authorization") != basic("alice", "right") {
				return nil, &auth.Refusal{}
			}
			return &auth.Principal{Name: "alice"}, nil
		})})
		want := func(status int, retry, address, target string, headers ...string) {
			t.Helper()
			a, err := b.Admit(request("GET", target, address+":4711", headers...))
			a.Release()
			got, gotRetry := http.StatusSwitchingProtocols, ""
			if r, ok := errors.AsType[*auth.Refusal](err); ok {
				got, gotRetry = r.StatusCode(), retryAfter(r)
			}
			if got != status || gotRetry != retry {
				t.Fatalf("%d and Retry-After %q, want %d and %q", got, gotRetry, status, retry)
			}
		}
		for range 50 {
			want(401, "", "192.0.2.1", "/ws?ticket=wrong")
		}
		for wait := 1; wait < 200; wait *= 2 {
			want(429, fmt.Sprint(min(wait, 60)), "192.0.2.1", "/ws?ticket=wrong")
			want(101, "", "192.0.2.2", "/ws?ticket=alice")
		}
		want(101, "", "192.0.2.1", "/ws?ticket=alice")
		want(429, "60", "192.0.2.1", "/ws?ticket=wrong") // a good one in between is no absolution
		<-time.After(11 * time.Minute)
		want(401, "", "192.0.2.1", "/ws?ticket=wrong") // but time is

		for range 5 {
			want(401, "", "192.0.2.3", "/ws", "Authorization", basic("alice", "wrong"))
		}
		for wait := 1; wait < 200; wait *= 2 {
			want(429, fmt.Sprint(min(wait, 60)), "192.0.2.3", "/ws", "Authorization", basic("alice", "wrong"))
			before := asked
			if wait >= 4 { // else the try is held
				want(429, fmt.Sprint(min(wait, 60)), "192.0.2.3", "/ws", "Authorization", basic("alice", "right"))
			}
			if asked != before {
				t.Fatal("the authenticator was asked")
			}
			want(101, "", "192.0.2.4", "/ws", "Authorization", basic("alice", "right"))
			<-time.After(time.Duration(min(wait, 60)) * time.Second)
		}
		want(101, "", "192.0.2.3", "/ws", "Authorization", basic("alice", "right"))
		want(401, "", "192.0.2.3", "/ws", "Authorization", basic("alice", "wrong"))
		if all, addresses := b.Places(); all != 0 || addresses != 0 {
			t.Errorf("%d places of %d addresses are left", all, addresses)
		}
	})
}

func basic(login, passcode string) string {
	r := request("GET", "/", "")
	r.SetBasicAuth(login, passcode)
	return r.Header.Get("Authorization")
}

// A hook that is broken, or cannot reach what it asks, says nothing about the
// client: when it is mended everybody gets in at once.
func TestBrokenAuthenticatorThrottlesNobody(t *testing.T) {
	for name, answer := range map[string]func() error{
		"panic":       func() error { panic("nil map") },
		"timeout":     func() error { return fmt.Errorf("introspection: %w", context.DeadlineExceeded) },
		"unavailable": func() error { return &auth.Refusal{Status: http.StatusServiceUnavailable} },
	} {
		t.Run(name, func(t *testing.T) {
			broken := true
			b := brokertest.New(t, broker.Options{Authenticator: auth.AuthenticatorFunc(func(ctx context.Context, a *auth.Attempt) (*auth.Principal, error) {
				if broken {
					return nil, answer()
				}
				return auth.TrustLogin.Authenticate(ctx, a)
			})})
			for range 60 {
				c := brokertest.Dial(b)
				c.Send("CONNECT", "", "accept-version", "1.2", "login", "alice")
				wantError(t, c, 1008, "")
				c.Close()
				if status := admitted(t, b, request("GET", "/ws?ticket=x", "192.0.2.1:1")); status == 429 || status == 101 {
					t.Fatalf("the handshake was answered with %d", status)
				}
			}
			broken = false
			brokertest.Connect(t, b, "login", "alice")
		})
	}
}

// S-10: denied softly, the session and its other subscriptions live.
func TestSoftDenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{SoftDenial: true, Authorizer: rules(t,
			deny("/topic/secret/**", auth.Subscribe, auth.Send), allow("/topic/**", auth.Subscribe, auth.Send), allow("/app/**", auth.Subscribe, auth.Send))})
		handle(t, b, "/sunday", func(ctx context.Context, r *broker.Request) error {
			if _, err := r.Reply(ctx, &broker.Message{Body: []byte("an answer that is not to be had")}); err != nil {
				return err
			}
			return &broker.Error{Reason: broker.ReasonDenied, Message: "not on Sundays"}
		})
		c := brokertest.Connect(t, b, "login", "alice")
		c.Subscribe(t, "errors", "/user/queue/errors")
		c.Subscribe(t, "open", "/topic/open")
		for _, tc := range []struct{ command, destination, message string }{
			{"SUBSCRIBE", "/topic/secret/a", `not allowed to subscribe to "/topic/secret/a"`},
			{"SEND", "/topic/secret/a", `not allowed to send a message to "/topic/secret/a"`},
			{"SUBSCRIBE", "/user/bob/queue/a", "not allowed to subscribe to the destinations of another user"},
			{"SEND", "/user/bob/queue/a", `not allowed to send a message to "/user/bob/queue/a"`},
			{"SEND", "/app/nothing", "nothing handles messages for this destination"},
			{"SEND", "/app/sunday", "not on Sundays"},
			{"SUBSCRIBE", "/app/sunday", "not on Sundays"},
		} {
			c.Send(tc.command, "", "id", "x", "destination", tc.destination, "receipt", "r")
			seen := c.Sync(t)
			if len(seen) != 1 || seen[0].Get("destination") != "/user/queue/errors" {
				t.Fatalf("%s %s was answered with %v", tc.command, tc.destination, seen)
			}
			var got map[string]string
			if err := json.Unmarshal(seen[0].Body, &got); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"error": "denied", "message": tc.message, "command": tc.command, "destination": tc.destination, "id": "x", "receipt": "r"} {
				if got[name] != want {
					t.Errorf("%s %s: %s is %q, want %q", tc.command, tc.destination, name, got[name], want)
				}
			}
		}
		publish(t, b, "/topic/open", "for all")
		publish(t, b, "/topic/secret/a", "secret")
		wantMessages(t, c, "for all")
		synctest.Wait()
		for s := range b.Sessions() { // nothing of what was denied is kept
			if s.Pending != 0 || s.Subscriptions != 2 {
				t.Errorf("the session has %d bytes pending and %d subscriptions", s.Pending, s.Subscriptions)
			}
		}
		c.Send("SEND", "", "destination", "/nowhere") // anything but a denial ends the session still
		wantError(t, c, 1002, "")
	})
}
