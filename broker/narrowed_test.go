package broker_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A message that was allowed, and still waits behind one that is not judged yet, is
// not delivered by rules that have changed meanwhile.
func TestPolicyRulesHoldForWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1), Authorizer: hook(func(ctx context.Context, destination string) error {
			if destination == "/topic/slow" {
				select {
				case <-let:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})})
		p := pipe(t, b, false).connect(t)
		p.subscribe(t, "1", "/topic/**")
		want := func(body string) {
			t.Helper()
			if e := p.want(t, "MESSAGE"); string(e.f.Body) != body {
				t.Fatalf("received %v, want %q", e, body)
			}
		}
		publish(t, b, "/topic/b", "0")
		want("0")
		publish(t, b, "/topic/slow", "1")
		publish(t, b, "/topic/b", "2") // allowed, as is known
		synctest.Wait()
		setPolicy(t, b, broker.Policy{Authorizer: hook(func(_ context.Context, destination string) error {
			if destination == "/topic/b" {
				return auth.ErrDenied
			}
			return nil
		})})
		synctest.Wait()
		close(let)
		want("1")
		publish(t, b, "/topic/c", "3")
		want("3")
	})
}

// Limits that count for all sessions hold for whoever comes after a change.
func TestPolicyLimitsHoldForNewConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1)})
		_, leave := sit(t, b, "192.0.2.1", "login", "ann")
		defer leave()
		setPolicy(t, b, broker.Policy{Limits: broker.Limits{SessionsPerUser: 1, UnauthenticatedPerAddress: 1}})
		answer, again := sit(t, b, "192.0.2.2", "login", "ann")
		again()
		if !strings.HasPrefix(answer, "ERROR\nmessage:too many sessions of this user: limits.sessions_per_user is 1") {
			t.Errorf("a second session of the user is answered with %q", answer)
		}
		a, err := b.Admit(request("GET", "/ws", "192.0.2.3:1"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
		if _, err := b.Admit(request("GET", "/ws", "192.0.2.3:2")); err == nil || !strings.Contains(err.Error(), "limits.unauthenticated_per_address is 1") {
			t.Errorf("a second socket of the address: %v", err)
		}
	})
}

// Clients without a name share what is allowed for slow patterns with those of
// their address, and with nobody else.
func TestSlowPatternsOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{HeartBeat: heartBeat(-1, -1), Limits: broker.Limits{SlowPatternsPerUser: 1}})
		for _, tc := range []struct{ address, pattern, want string }{
			{"192.0.2.1", "/topic/?a", "RECEIPT\n"},
			{"192.0.2.1", "/topic/?b", "ERROR\nmessage:too many patterns that are slow to compare, of this user or address\\c limits.slow_patterns_per_user is 1"},
			{"192.0.2.2", "/topic/?b", "RECEIPT\n"},
		} {
			l := newLink(netip.MustParseAddrPort(tc.address + ":4711"))
			go func() { _ = b.Serve(t.Context(), l, broker.Admission{}) }() // ends with the broker
			l.in <- encode(frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0"))
			synctest.Wait()
			<-l.out
			l.in <- encode(frame("SUBSCRIBE", "", "id", "1", "destination", tc.pattern, "receipt", "r"))
			synctest.Wait()
			if got := string(<-l.out); !strings.HasPrefix(got, tc.want) {
				t.Errorf("%s is answered with %q, want %q", tc.address, got, tc.want)
			}
		}
	})
}
