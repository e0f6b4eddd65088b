package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// sit connects a client from an address and returns its first frame, and what
// ends it.
func sit(t *testing.T, b *broker.Broker, address string, headers ...string) (answer string, leave func()) {
	l := newLink(netip.MustParseAddrPort(address + ":4711"))
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(t.Context(), l, broker.Admission{}) }()
	l.in <- encode(frame("CONNECT", "", append([]string{"accept-version", "1.2", "heart-beat", "0,0"}, headers...)...))
	synctest.Wait()
	select {
	case p := <-l.out:
		answer = string(p)
	default:
		t.Error("there was no answer")
	}
	return answer, func() {
		_ = l.Close(0, "")
		<-ended
	}
}

func TestSessionLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		limits          broker.Limits
		before          [][2]string // address and login of those who are in
		address, login  string
		status          int
		message, counts string
	}{
		"in all":          {broker.Limits{Sessions: 2}, [][2]string{{"192.0.2.1", "ann"}, {"192.0.2.2", "bob"}}, "192.0.2.3", "cid", 503, "too many sessions: limits.sessions is 2", "limits.sessions"},
		"of one user":     {broker.Limits{SessionsPerUser: 2}, [][2]string{{"192.0.2.1", "ann"}, {"192.0.2.2", "ann"}}, "192.0.2.3", "ann", 429, "too many sessions of this user: limits.sessions_per_user is 2", "limits.sessions_per_user"},
		"of an address":   {broker.Limits{SessionsPerAddress: 2}, [][2]string{{"192.0.2.1", "ann"}, {"192.0.2.1", "bob"}}, "192.0.2.1", "cid", 429, "too many sessions from your address: limits.sessions_per_address is 2", "limits.sessions_per_address"},
		"of a /64":        {broker.Limits{SessionsPerAddress: 2}, [][2]string{{"[2001:db8::1]", "ann"}, {"[2001:db8::2]", "bob"}}, "[2001:db8::3:0:0:1]", "cid", 429, "too many sessions from your address: limits.sessions_per_address is 2", "limits.sessions_per_address"},
		"another user":    {broker.Limits{SessionsPerUser: 1}, [][2]string{{"192.0.2.1", "ann"}}, "192.0.2.1", "bob", 101, "", ""},
		"nobody":          {broker.Limits{SessionsPerUser: 1}, [][2]string{{"192.0.2.1", ""}, {"192.0.2.1", ""}}, "192.0.2.1", "", 101, "", ""},
		"another address": {broker.Limits{SessionsPerAddress: 1}, [][2]string{{"192.0.2.1", "ann"}}, "192.0.2.2", "bob", 101, "", ""},
		"another /64":     {broker.Limits{SessionsPerAddress: 1}, [][2]string{{"[2001:db8::1]", "ann"}}, "[2001:db8:0:1::1]", "bob", 101, "", ""},
		"no limit":        {broker.Limits{Sessions: -1, SessionsPerUser: -1, SessionsPerAddress: -1}, [][2]string{{"192.0.2.1", "ann"}, {"192.0.2.1", "ann"}}, "192.0.2.1", "ann", 101, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Limits: tc.limits, Authenticator: auth.AuthenticatorFunc(
					func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
						login := a.Login
						if a.Stage == auth.StageHandshake {
							login = a.Header("X-User")
						}
						return &auth.Principal{Name: login}, nil
					})})
				var leave func()
				for _, c := range tc.before {
					var answer string
					answer, leave = sit(t, b, c[0], "login", c[1])
					if !strings.HasPrefix(answer, "CONNECTED") {
						t.Fatalf("%v got %s", c, answer)
					}
				}
				handshake := func(want int) {
					t.Helper()
					r := request("GET", "/ws", tc.address+":1", "X-User", tc.login)
					a, err := b.Admit(r)
					a.Release()
					got, text := http.StatusSwitchingProtocols, ""
					if refusal, ok := errors.AsType[*auth.Refusal](err); ok {
						got, text = refusal.StatusCode(), refusal.Error()
					}
					if got != want || want != 101 && text != tc.message {
						t.Errorf("the handshake was answered with %d %s, want %d %s", got, text, want, tc.message)
					}
				}
				handshake(tc.status)
				answer, end := sit(t, b, tc.address, "login", tc.login)
				if tc.status == 101 {
					if !strings.HasPrefix(answer, "CONNECTED") {
						t.Errorf("got %s", answer)
					}
					return
				}
				if !strings.HasPrefix(answer, "ERROR\nmessage:"+tc.message+"\n") {
					t.Errorf("got %s", answer)
				}
				end()
				st := b.Stats()
				if st.Limited[tc.counts] != 2 || st.Ended["limit"] != 1 {
					t.Errorf("counted are %v and %v", st.Limited, st.Ended)
				}
				leave() // one of them
				handshake(101)
				if answer, _ := sit(t, b, tc.address, "login", tc.login); !strings.HasPrefix(answer, "CONNECTED") {
					t.Errorf("when one has left: %s", answer)
				}
				if st := b.Stats(); st.Sessions != len(tc.before) {
					t.Errorf("%d sessions are counted", st.Sessions)
				}
			})
		})
	}
}

// Those who come at once get no more seats than there are.
func TestSessionLimitsHoldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, broker.Options{Authenticator: auth.TrustLogin, Limits: broker.Limits{SessionsPerUser: 10, UnauthenticatedPerAddress: -1}})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				l := newLink(netip.MustParseAddrPort("192.0.2.1:1"))
				go func() { _ = b.Serve(t.Context(), l, broker.Admission{}) }() // ends with the broker
				l.in <- encode(frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0", "login", "ann"))
				<-l.out
			})
		}
		all.Wait()
		if st := b.Stats(); st.Sessions != 10 || st.Limited["limits.sessions_per_user"] != 40 {
			t.Errorf("%d sessions, limited %v", st.Sessions, st.Limited)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if all, networks := b.Seats(); all != 0 || networks != 0 {
			t.Errorf("after the end %d seats of %d networks are taken", all, networks)
		}
	})
}

// When most come from one address, which is no trusted proxy, the log says so,
// once.
func TestOneAddressIsWarnedOf(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted []netip.Prefix
		want    int
	}{"a proxy that is not trusted": {nil, 1}, "a trusted one": {[]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				b := brokertest.New(t, broker.Options{TrustedProxies: tc.trusted, Logger: slog.New(slog.NewTextHandler(&out, nil))})
				for i := range 150 {
					sit(t, b, "192.0.2.1", "login", fmt.Sprint("user", i))
				}
				if got := strings.Count(out.String(), "add it to auth.trusted_proxies"); got != tc.want {
					t.Errorf("%d warnings, want %d:\n%s", got, tc.want, out.String())
				}
			})
		})
	}
}

// A flood from one network has a share of the log, and others have theirs.
func TestRefusalsShareTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		b := brokertest.New(t, broker.Options{
			Logger: slog.New(slog.NewTextHandler(&out, nil)), Limits: broker.Limits{SessionsPerAddress: 1},
		})
		sit(t, b, "192.0.2.1")
		sit(t, b, "192.0.2.2")
		for range 500 {
			admitted(t, b, request("GET", "/ws", "192.0.2.1:1"))
		}
		admitted(t, b, request("GET", "/ws", "192.0.2.2:1"))
		lines := func(address string) int {
			return strings.Count(out.String(), "limit=limits.sessions_per_address value=1 remote="+address)
		}
		if a, other := lines("192.0.2.1"), lines("192.0.2.2"); a != 1 || other != 1 {
			t.Errorf("%d and %d lines, want 1 and 1", a, other)
		}
		<-time.After(time.Minute)
		admitted(t, b, request("GET", "/ws", "192.0.2.1:1"))
		if !strings.Contains(out.String(), "suppressed=499") {
			t.Errorf("what was left out is not counted: %s", out.String())
		}
	})
}
