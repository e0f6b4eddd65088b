package broker_test

import (
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

// N+6: after a few failed tries each further one must wait, twice as long every
// time; a right one forgets, and others are not concerned.
func TestFailedTriesAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
			c := make(chan error, 1)
			go func() { c <- b.Serve(t.Context(), l, broker.Admission{}) }()
			l.in <- encode(frame("CONNECT", "", "accept-version", "1.2", "login", login, "passcode", passcode))
			answer := string(<-l.out)
			_ = l.Close(0, "")
			<-c
			return answer[:strings.IndexByte(answer, '\n')] + map[bool]string{true: " throttled"}[strings.Contains(answer, "too many failed attempts, try again later")]
		}
		for i := range 6 {
			if got := try("192.0.2.1", "alice", "wrong"); got != "ERROR" {
				t.Fatalf("try %d was answered with %s", i, got)
			}
		}
		for wait := time.Second; wait < 2*time.Minute; wait *= 2 {
			before := asked
			if got := try("192.0.2.1", "alice", "right"); got != "ERROR throttled" || asked != before {
				t.Fatalf("before %v had passed: %s", wait, got)
			}
			if got := try("192.0.2.1", "bob", "right"); got != "CONNECTED" {
				t.Fatalf("another login from the same address: %s", got)
			}
			if got := try("192.0.2.2", "alice", "right"); got != "CONNECTED" {
				t.Fatalf("a stranger keeps the user out: %s", got)
			}
			<-time.After(min(wait, time.Minute))
			if got := try("192.0.2.1", "alice", "wrong"); got != "ERROR" {
				t.Fatalf("after %v: %s", wait, got)
			}
		}
		<-time.After(time.Minute)
		if got := try("192.0.2.1", "alice", "right"); got != "CONNECTED" {
			t.Fatalf("after the wait: %s", got)
		}
		for i := range 5 {
			if got := try("192.0.2.1", "alice", "wrong"); got != "ERROR" {
				t.Fatalf("try %d after a success: %s", i, got)
			}
		}
		// A whole network of 2^64 addresses is one client.
		for i := range 6 {
			try(fmt.Sprintf("[2001:db8::%d]", i+1), "alice", "wrong")
		}
		if got := try("[2001:db8::ffff]", "alice", "right"); got != "ERROR throttled" {
			t.Errorf("the seventh address of a network: %s", got)
		}
		if got := try("[2001:db8:0:1::1]", "alice", "right"); got != "CONNECTED" {
			t.Errorf("another network: %s", got)
		}
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
		l.out <- p // room for all that these tests provoke
	}
	return nil
}

func (l *link) Close(int, string) error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// N+6 at the handshake: 429 and when to come again.
func TestFailedHandshakesAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authenticator: wallet()})
		try := func(address, ticket string) (status int, retry string) {
			a, err := b.Admit(request("GET", "/ws?ticket="+ticket, address+":4711"))
			a.Release()
			if err == nil {
				return http.StatusSwitchingProtocols, ""
			}
			var r *auth.Refusal
			if !errors.As(err, &r) {
				t.Fatalf("refused with %v", err)
			}
			return r.StatusCode(), answer429(r)
		}
		// A ticket cannot be guessed, so the right one always gets in: one bad
		// client behind an address does no harm to the others.
		for i := range 50 {
			if status, _ := try("192.0.2.1", "wrong"); status != http.StatusUnauthorized {
				t.Fatalf("try %d: %d", i, status)
			}
		}
		for wait := time.Second; wait < 2*time.Minute; wait *= 2 {
			wait := min(wait, time.Minute)
			if status, retry := try("192.0.2.1", "wrong"); status != http.StatusTooManyRequests || retry != fmt.Sprint(wait.Seconds()) {
				t.Fatalf("want 429 for %v, got %d for %s", wait, status, retry)
			}
			for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
				if status, _ := try(address, "alice"); status != http.StatusSwitchingProtocols {
					t.Fatalf("a good ticket from %s: %d", address, status)
				}
			}
		}
		<-time.After(15 * time.Minute) // forgotten
		if status, _ := try("192.0.2.1", "wrong"); status != http.StatusUnauthorized {
			t.Fatalf("a quarter of an hour later: %d", status)
		}
		if all, addresses := b.Places(); all != 0 || addresses != 0 {
			t.Errorf("%d places of %d addresses are left", all, addresses)
		}
	})
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
				t.Errorf("the session has %d octets pending and %d subscriptions", s.Pending, s.Subscriptions)
			}
		}
		c.Send("SEND", "", "destination", "/nowhere") // anything but a denial ends the session still
		wantError(t, c, 1002, "")
	})
}
