package broker_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// E-12, N+2: a flood of sockets that never authenticate pushes out itself, the
// oldest first, and not a client that means it.
func TestFloodPushesOutItself(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{Unauthenticated: 3}, ConnectDeadline: time.Minute, PingInterval: -1})
		member := pipe(t, b, ws).connect(t, "heart-beat", "0,0") // does not count any more
		var flood []*peer
		for range 3 {
			flood = append(flood, pipe(t, b, ws))
			<-time.After(200 * time.Millisecond)
		}
		for i := range 20 {
			good, since := pipe(t, b, ws), time.Now()
			flood[i].wantGoodbye(t, 4429, "too many unauthenticated connections: limits.unauthenticated is 3")
			good.connect(t, "heart-beat", "0,0")
			if d := time.Since(since); d > 100*time.Millisecond+2*time.Second { // over a pipe a goodbye lingers
				t.Errorf("the newcomer waited %v", d)
			}
			flood = append(flood, pipe(t, b, ws))
			<-time.After(200 * time.Millisecond)
			if all, _ := b.Places(); all != 3 {
				t.Fatalf("%d places are taken, want 3", all)
			}
		}
		member.send(t, "SEND", "", "destination", "/topic/a", "receipt", "1")
		member.receipt(t, "1")
		if st := b.Stats(); st.Sessions != 21 || st.Ended["limit"] != 20 || st.Limited["limits.unauthenticated"] != 20 {
			t.Errorf("stats are %+v", st)
		}
	})
}

// A socket has a round trip's time to send its CONNECT before it can be pushed
// out; until then it is the newcomer that has to come again.
func TestFloodLeavesTimeToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{Unauthenticated: 1}})
		first := pipe(t, b, true)
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != http.StatusTooManyRequests {
			t.Errorf("at once: %d", got)
		}
		<-time.After(99 * time.Millisecond)
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != http.StatusTooManyRequests {
			t.Errorf("after 99 ms: %d", got)
		}
		first.connect(t)
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != http.StatusSwitchingProtocols {
			t.Errorf("when it has connected: %d", got)
		}
	})
}

// A client whose CONNECT is being decided on has done what it could: it is not
// pushed out by sockets that have sent nothing.
func TestFloodSparesThoseBeingAuthenticated(t *testing.T) {
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{Limits: broker.Limits{Unauthenticated: 2}, Authenticator: auth.AuthenticatorFunc(
			func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
				<-time.After(time.Second)
				return &auth.Principal{Name: a.Login}, nil
			})})
		slow := pipe(t, b, ws)
		slow.send(t, "CONNECT", "", "accept-version", "1.2", "login", "alice", "heart-beat", "0,0")
		<-time.After(200 * time.Millisecond)
		silent := pipe(t, b, ws)
		<-time.After(200 * time.Millisecond)
		pipe(t, b, ws)
		if e := slow.next(t); e.what != "CONNECTED" {
			t.Errorf("the client that was being authenticated got %v", e)
		}
		silent.wantGoodbye(t, 4429, "too many unauthenticated connections: limits.unauthenticated is 2")
	})
}

// Over the cap of its address a plain TCP connection is closed without a word.
func TestCapsOverTCP(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: 1}, ConnectDeadline: -1})
	first := rawTCP(t, srv)
	brokertest.Eventually(t, "the first is there", func() bool { return srv.Broker.Sockets() == 1 })
	rawTCP(t, srv).want(t, "end")
	if n := srv.Broker.Stats().Refused; n != 1 {
		t.Errorf("%d refusals are counted", n)
	}
	first.connect(t)
	rawTCP(t, srv).connect(t)
}
