package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// wallet is an authenticator whose credentials are tickets that say what they
// are worth: "user", "user role" or "user role seconds".
func wallet() auth.Authenticator {
	return auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		value := a.Ticket
		if value == "" {
			value = a.Bearer
		}
		if value == "" && a.Stage == auth.StageHandshake {
			return nil, auth.ErrNotMine
		}
		fields := strings.Fields(value)
		if len(fields) == 0 || fields[0] == "wrong" {
			return nil, &auth.Refusal{Reason: "ticket refused"}
		}
		p := &auth.Principal{Name: fields[0], CredentialID: "credential of " + value}
		if len(fields) > 1 {
			p.Roles = fields[1:2]
		}
		if len(fields) > 2 {
			d, err := time.ParseDuration(fields[2])
			if err != nil {
				return nil, err
			}
			p.Expires = time.Now().Add(d)
		}
		return p, nil
	})
}

// notice reads a message of /user/topic/session.
func notice(t *testing.T, e event) (n struct {
	Event        string
	Expires      int64
	Subscription string
	Destination  string
}) {
	t.Helper()
	if e.what != "MESSAGE" || e.f.Get("destination") != "/user/topic/session" || e.f.Get("content-type") != "application/json" {
		t.Fatalf("got %v, want a notice", e)
	}
	if err := json.Unmarshal(e.f.Body, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestExpiry(t *testing.T) { // T+2
	bubble(t, func(t *testing.T, ws bool) {
		b := brokertest.New(t, broker.Options{Authenticator: wallet(), PingInterval: -1})
		since := time.Now()
		p := pipe(t, b, ws).connect(t, "ticket", "alice page 5m")
		p.subscribe(t, "1", "/user/topic/session")
		e, ok := p.within(10 * time.Minute)
		if !ok || !about(e.at.Sub(since), 4*time.Minute) {
			t.Fatalf("after %v came %v, want the notice a minute before the end", e.at.Sub(since), e)
		}
		if n := notice(t, e); n.Event != "auth-expiring" || n.Expires != since.Add(5*time.Minute).Unix() {
			t.Errorf("the notice is %+v", n)
		}
		e, _ = p.within(10 * time.Minute)
		if d := e.at.Sub(since); e.what != "ERROR" || e.f.Get("message") != "the credential has expired" || !about(d, 5*time.Minute) || d < 5*time.Minute {
			t.Fatalf("after %v came %v", d, e)
		}
		p.wantClosed(t, 1008)
		if n := b.Stats().Ended["expired"]; n != 1 {
			t.Errorf("%d sessions are counted as expired", n)
		}
	})
}

// N-6: a credential that has run out when it is presented lets nobody in, not
// even until the clock is looked at next.
func TestExpiredAtConnect(t *testing.T) {
	b := brokertest.New(t, broker.Options{Authenticator: wallet()})
	other := brokertest.Connect(t, b, "ticket", "bob")
	other.Subscribe(t, "1", "/topic/a")
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Write(encode(
		frame("CONNECT", "", "accept-version", "1.2", "ticket", "alice page -1s"),
		frame("SEND", "too late", "destination", "/topic/a"),
	))
	wantError(t, c, 1008, "the credential has expired")
	wantMessages(t, other)
}

// A client that connects, or subscribes, within the last minute is told at once:
// it has no other moment to learn it.
func TestExpiryNoticeToLateSubscriber(t *testing.T) { // T+2
	for name, life := range map[string]string{"short credential": "40s", "late subscription": "90s"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{Authenticator: wallet(), PingInterval: -1})
				p := pipe(t, b, true).connect(t, "ticket", "alice page "+life)
				if seen := p.listen(t, 35*time.Second); len(seen) > 0 {
					t.Fatalf("before it subscribed came %v", seen)
				}
				p.subscribe(t, "1", "/user/topic/session")
				if e, ok := p.within(2 * time.Second); !ok {
					t.Error("it was not told")
				} else if n := notice(t, e); n.Event != "auth-expiring" {
					t.Errorf("it was told %+v", n)
				}
			})
		})
	}
}

// T+3: the same session, the same subscriptions, a later end.
func TestRenewInPlace(t *testing.T) {
	for _, by := range []string{"ticket", "bearer"} {
		t.Run(by, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				b := brokertest.New(t, broker.Options{Authenticator: wallet(), PingInterval: -1})
				p := pipe(t, b, ws).connect(t, "ticket", "alice page 2m")
				p.subscribe(t, "notices", "/user/topic/session")
				p.subscribe(t, "news", "/topic/news")
				p.subscribe(t, "mine", "/user/queue/mine")
				if seen := p.listen(t, 70*time.Second); len(seen) != 1 || notice(t, seen[0]).Event != "auth-expiring" {
					t.Fatalf("got %v", seen)
				}
				if by == "ticket" {
					p.send(t, "SEND", `{"ticket":"alice page 10m"}`, "destination", "/app/session/refresh", "receipt", "renewed")
				} else {
					p.send(t, "SEND", "", "destination", "/app/session/refresh", "receipt", "renewed", "Authorization", "Bearer alice page 10m")
				}
				until := time.Now().Add(10 * time.Minute)
				if n := notice(t, p.next(t)); n.Event != "auth-renewed" || n.Expires != until.Unix() {
					t.Errorf("the notice is %+v, want one that says %d", n, until.Unix())
				}
				p.receipt(t, "renewed")

				if seen := p.listen(t, 5*time.Minute); len(seen) > 0 {
					t.Fatalf("after the renewal came %v", seen)
				}
				publish(t, b, "/topic/news", "still here")
				if e := p.want(t, "MESSAGE"); e.f.Get("subscription") != "news" {
					t.Errorf("got %v", e)
				}
				if d, err := b.PublishToSession(t.Context(), p.session, &broker.Message{Destination: "/queue/mine"}); err != nil || d.Subscriptions != 1 {
					t.Errorf("the session is not the same: %v %v", d, err)
				}
				p.want(t, "MESSAGE")
				seen := p.listen(t, 6*time.Minute) // the second end comes with a notice of its own
				if len(seen) < 2 || notice(t, seen[0]).Event != "auth-expiring" || seen[1].what != "ERROR" || seen[1].at.Before(until) || !about(seen[1].at.Sub(until), 0) {
					t.Errorf("at the second end came %v", seen)
				}
			})
		})
	}
}

// T+3: what the renewed credential does not allow any more ends with a notice,
// and it is gone when the receipt comes.
func TestRenewReconsidersSubscriptions(t *testing.T) {
	both := []auth.Action{auth.Subscribe, auth.Send}
	authorizer := rules(t,
		auth.Rule{Effect: auth.Allow, Actions: both, Destination: "/topic/staff/**", Roles: []string{"staff"}},
		auth.Rule{Effect: auth.Deny, Actions: both, Destination: "/topic/staff/**"},
		allow("/topic/**", both...), allow("/queue/**", both...), allow("/app/**", both...), allow("/user/topic/**", both...))
	for _, version := range []string{"1.0", "1.2"} {
		t.Run(version, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authenticator: wallet(), Authorizer: authorizer})
			c := brokertest.Connect(t, b, "ticket", "alice staff", "accept-version", version)
			subscribeAs := func(id, destination string) { // 1.0 knows subscriptions without an id
				headers := []string{"destination", destination, "receipt", "r"}
				if version != "1.0" {
					headers = append(headers, "id", id)
				}
				c.Send("SUBSCRIBE", "", headers...)
				c.ExpectReceipt(t, "r")
			}
			subscribeAs("public", "/topic/public")
			subscribeAs("staff", "/topic/staff/plans")
			subscribeAs("notices", "/user/topic/session")
			subscribeAs("all", "/topic/staff/*")
			c.Send("SEND", `{"ticket":"alice page"}`, "destination", "/app/session/refresh", "receipt", "renewed")
			var ended []string
			for {
				f, err := c.Receive()
				if err != nil {
					t.Fatal(err)
				}
				if f.Command == "RECEIPT" {
					break
				}
				var n struct{ Event, Destination string }
				if err := json.Unmarshal(f.Body, &n); err != nil {
					t.Fatalf("%s %v %q: %v", f.Command, f.Headers, f.Body, err)
				}
				ended = append(ended, n.Event+" "+n.Destination)
			}
			want := []string{"subscription-ended /topic/staff/plans", "subscription-ended /topic/staff/*", "auth-renewed "}
			if !slices.Equal(ended, want) {
				t.Errorf("the notices are %q, want %q", ended, want)
			}
			publish(t, b, "/topic/staff/plans", "secret")
			publish(t, b, "/topic/public", "for all")
			if got := bodiesOf(t, c.Sync(t)); !slices.Equal(got, []string{"for all"}) {
				t.Errorf("afterwards it received %q", got)
			}
			if n := b.Stats().Subscriptions; n != 2 {
				t.Errorf("%d subscriptions are counted, want 2", n)
			}
			c.Close()
			if n := b.Stats().Subscriptions; n != 0 {
				t.Errorf("%d subscriptions outlive the session", n)
			}
			for d := range b.Destinations() {
				t.Errorf("%s has %d subscriptions after the end of the only session", d.Name, d.Subscriptions)
			}
		})
	}
}

// T+3: neither may the renewed credential send where only the former could, even
// though where the last SENDs went is remembered; and others have to ask anew.
func TestRenewReconsidersSends(t *testing.T) {
	both := []auth.Action{auth.Subscribe, auth.Send}
	authorizer := rules(t,
		auth.Rule{Effect: auth.Allow, Actions: both, Destination: "/topic/staff/**", Roles: []string{"staff"}},
		auth.Rule{Effect: auth.Deny, Actions: both, Destination: "/topic/staff/**"},
		allow("/topic/**", both...), allow("/app/**", both...))
	b := brokertest.New(t, broker.Options{Authenticator: wallet(), Authorizer: authorizer})
	c := brokertest.Connect(t, b, "ticket", "alice staff")
	for range 2 {
		send(t, c, "/topic/staff/plans", "allowed")
		send(t, c, "/topic/public", "allowed")
		send(t, c, "/topic/public", "allowed")
		send(t, c, "/topic/staff/plans", "allowed")
	}
	c.Send("SEND", `{"ticket":"alice page"}`, "destination", "/app/session/refresh", "receipt", "renewed")
	c.ExpectReceipt(t, "renewed")
	send(t, c, "/topic/public", "allowed")
	c.Send("SEND", "not allowed", "destination", "/topic/staff/plans")
	wantError(t, c, 4403, "not allowed to send a message")
}

// An answer that the authorizer gave for the old credential, in the middle of a
// renewal, is not remembered for the new one.
func TestRenewWhileTheAuthorizerThinks(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	b := brokertest.New(t, broker.Options{Authenticator: wallet(), Authorizer: auth.AuthorizerFunc(
		func(_ context.Context, p *auth.Principal, act auth.Action, destination string) error {
			if act == auth.Subscribe && destination == "/topic/staff" {
				if p.HasRole("staff") {
					asked <- struct{}{}
					testkit.Hold(t, answer)
					return nil
				}
				return auth.ErrDenied
			}
			return nil
		})})
	c := brokertest.Connect(t, b, "ticket", "alice staff")
	c.Subscribe(t, "1", "/topic/**")
	publish(t, b, "/topic/staff", "published to staff")
	testkit.Receive(t, asked)
	c.Send("SEND", `{"ticket":"alice page"}`, "destination", "/app/session/refresh", "receipt", "renewed")
	c.ExpectReceipt(t, "renewed")
	close(answer)
	publish(t, b, "/topic/other", "1") // waits behind, so that the answer is known when it comes
	for f := c.Expect(t, "MESSAGE"); string(f.Body) != "1"; f = c.Expect(t, "MESSAGE") {
	}
	publish(t, b, "/topic/staff", "secret")
	publish(t, b, "/topic/other", "2")
	expectMessage(t, c, "2")
}

func TestRenewRefused(t *testing.T) { // T+3
	for name, tc := range map[string]struct {
		body    string
		headers []string
		code    int
		text    string
	}{
		"another user":       {`{"ticket":"bob page"}`, nil, 1008, "the credential belongs to another user"},
		"wrong ticket":       {`{"ticket":"wrong"}`, nil, 1008, "ticket refused"},
		"wrong bearer":       {``, []string{"Authorization", "Bearer wrong"}, 1008, "ticket refused"},
		"hook fails":         {`{"ticket":"alice page secret-detail"}`, nil, 1008, "authentication failed"},
		"revoked credential": {`{"ticket":"alice revoked"}`, nil, 1008, "session revoked"},
		"expired credential": {`{"ticket":"alice page -1s"}`, nil, 1008, "the credential has expired"},
		"no credential":      {``, nil, 1002, "no ticket and no bearer token to renew with"},
		"empty object":       {`{}`, nil, 1002, "no ticket and no bearer token to renew with"},
		"no JSON":            {`alice page`, nil, 1002, `the body must be {"ticket":"…"}`},
		"no string":          {`{"ticket":7}`, nil, 1002, `the body must be {"ticket":"…"}`},
	} {
		t.Run(name, func(t *testing.T) {
			store := auth.NewRevocations()
			if err := store.Revoke(t.Context(), auth.Revocation{Credential: "credential of alice revoked"}); err != nil {
				t.Fatal(err)
			}
			b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store, SoftDenial: true})
			c := brokertest.Connect(t, b, "ticket", "alice page")
			c.Send("SEND", tc.body, append([]string{"destination", "/app/session/refresh", "receipt", "r"}, tc.headers...)...)
			e := wantError(t, c, tc.code, tc.text)
			wantHeaders(t, e, "message", tc.text, "receipt-id", "r")
		})
	}
}

func TestRefreshTakesMessagesOnly(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	c := brokertest.Connect(t, b)
	c.Send("SUBSCRIBE", "", "id", "1", "destination", "/app/session/refresh")
	wantError(t, c, 4403, "takes messages")
}

// T+4: within a second, those it names and nobody else.
func TestRevocationEndsSessions(t *testing.T) {
	for name, tc := range map[string]struct {
		r     func(sessions map[string]string) auth.Revocation
		ended []string
	}{
		"user":       {func(map[string]string) auth.Revocation { return auth.Revocation{User: "alice"} }, []string{"alice 1", "alice 2"}},
		"credential": {func(map[string]string) auth.Revocation { return auth.Revocation{Credential: "credential of bob 1"} }, []string{"bob 1"}},
		"session":    {func(s map[string]string) auth.Revocation { return auth.Revocation{Session: s["bob 2"]} }, []string{"bob 2"}},
		"nobody":     {func(map[string]string) auth.Revocation { return auth.Revocation{User: "carol"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ws bool) {
				store := auth.NewRevocations()
				b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store})
				peers, sessions := make(map[string]*peer), make(map[string]string)
				for _, who := range []string{"alice 1", "alice 2", "bob 1", "bob 2"} {
					peers[who] = pipe(t, b, ws).connect(t, "ticket", who)
					sessions[who] = peers[who].session
				}
				if err := store.Revoke(t.Context(), tc.r(sessions)); err != nil {
					t.Fatal(err)
				}
				for who, p := range peers {
					if slices.Contains(tc.ended, who) {
						e, ok := p.within(time.Second)
						if !ok || e.what != "ERROR" || e.f.Get("message") != "session revoked" {
							t.Fatalf("%s got %v within a second", who, e)
						}
						p.wantClosed(t, 1008)
						continue
					}
					p.send(t, "SEND", "", "destination", "/topic/a", "receipt", "1")
					p.receipt(t, "1")
				}
			})
		})
	}
}

// N-8, T+4: a revoked credential does not get in, and is told nothing but that.
func TestRevokedCredentialIsRefused(t *testing.T) {
	store := auth.NewRevocations()
	b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store})
	if err := store.Revoke(t.Context(), auth.Revocation{Credential: "credential of alice page"}); err != nil {
		t.Fatal(err)
	}
	var connected, disconnected atomic.Int32
	b.Observe(broker.Observer{
		Connected:    func(broker.SessionInfo) { connected.Add(1) },
		Disconnected: func(broker.SessionInfo, *broker.Error) { disconnected.Add(1) },
	})
	c := brokertest.Dial(b)
	t.Cleanup(c.Close)
	c.Send("CONNECT", "", "accept-version", "1.2", "ticket", "alice page")
	f, err := c.Receive()
	if err != nil || f.Command != "ERROR" || f.Get("message") != "session revoked" {
		t.Errorf("a revoked credential was answered with %v %v", f, err)
	}
	c.Ended(t)
	if c.CloseCode() != 1008 {
		t.Errorf("closed with %d", c.CloseCode())
	}
	if connected.Load() != disconnected.Load() {
		t.Errorf("observers saw %d connected and %d disconnected", connected.Load(), disconnected.Load())
	}
}

// The same at the handshake: the browser learns it from the status, and no socket
// is opened. Another credential of the same user is as good as before.
func TestRevokedCredentialIsRefusedAtTheHandshake(t *testing.T) {
	store := auth.NewRevocations()
	var log bytes.Buffer
	b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := store.Revoke(t.Context(), auth.Revocation{Credential: "credential of alice page"}); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, request("GET", "/ws?ticket=alice+page", "192.0.2.1:1"))
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "the credential was revoked") {
		t.Errorf("answered with %d %s, want 401", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), `msg="handshake refused" remote=192.0.2.1:1 error="the credential was revoked" user=alice`) {
		t.Errorf("the log says %s", log.String())
	}
	if status := admitted(t, b, request("GET", "/ws?ticket=alice+phone", "192.0.2.1:1")); status != http.StatusSwitchingProtocols {
		t.Errorf("another credential gets %d", status)
	}
	if all, addresses := b.Places(); all != 0 || addresses != 0 {
		t.Errorf("%d places of %d addresses are left", all, addresses)
	}
}

func TestLogout(t *testing.T) { // N-8, N-9
	for name, tc := range map[string]struct {
		leave   func(c *brokertest.Client)
		revoked bool
	}{
		"logout:true":      {func(c *brokertest.Client) { c.Send("DISCONNECT", "", "logout", "true", "receipt", "bye") }, true},
		"plain DISCONNECT": {func(c *brokertest.Client) { c.Send("DISCONNECT", "", "receipt", "bye") }, false},
		"logout:false":     {func(c *brokertest.Client) { c.Send("DISCONNECT", "", "logout", "false", "receipt", "bye") }, false},
		"lost connection":  {func(c *brokertest.Client) { c.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			store := auth.NewRevocations()
			b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store})
			c := brokertest.Connect(t, b, "ticket", "alice laptop")
			twin := brokertest.Connect(t, b, "ticket", "alice laptop") // the same credential
			phone := brokertest.Connect(t, b, "ticket", "alice phone")
			tc.leave(c)
			if name != "lost connection" {
				c.ExpectReceipt(t, "bye") // not an ERROR: it leaves of its own will
				wantEnd(t, c, 1000)
			}
			c.Ended(t)
			if got := store.Revoked(&auth.Principal{Name: "alice", CredentialID: "credential of alice laptop"}); got != tc.revoked {
				t.Errorf("the credential is revoked: %v, want %v", got, tc.revoked)
			}
			if tc.revoked {
				wantError(t, twin, 1008, "session revoked")
			} else {
				twin.Sync(t)
			}
			phone.Sync(t)
		})
	}
}

// What is revoked by a logout need not be remembered longer than it would have
// been good for.
func TestLogoutIsForgottenInTime(t *testing.T) {
	store := auth.NewRevocations()
	revoked := make(chan auth.Revocation, 1)
	defer store.Watch(func(e auth.Event) { revoked <- e.Revocation })()
	b := brokertest.New(t, broker.Options{Authenticator: wallet(), Revocations: store})
	c := brokertest.Connect(t, b, "ticket", "alice laptop 1h")
	c.Send("DISCONNECT", "", "logout", "true")
	if r := testkit.Receive(t, revoked); time.Until(r.Until) > time.Hour || time.Until(r.Until) < 59*time.Minute {
		t.Errorf("a credential that runs out in an hour is revoked until %v", r.Until)
	}
}

// A passcode is not revoked by logging out: its owner could not come back.
func TestLogoutOfPasscode(t *testing.T) {
	store := auth.NewRevocations()
	b := brokertest.New(t, broker.Options{Revocations: store, Authenticator: auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		return &auth.Principal{Name: a.Login, CredentialID: "passcode of " + a.Login}, nil
	})})
	c := brokertest.Connect(t, b, "login", "alice", "passcode", "p")
	twin := brokertest.Connect(t, b, "login", "alice", "passcode", "p")
	c.Send("DISCONNECT", "", "logout", "true", "receipt", "r")
	c.ExpectReceipt(t, "r")
	wantEnd(t, c, 1000)
	twin.Sync(t)
	brokertest.Connect(t, b, "login", "alice", "passcode", "p").Sync(t)
}

func TestLogoutWithoutStore(t *testing.T) {
	c := brokertest.Connect(t, brokertest.New(t, broker.Options{Authenticator: wallet()}), "ticket", "alice laptop")
	c.Send("DISCONNECT", "", "logout", "true", "receipt", "r")
	wantHeaders(t, wantError(t, c, 1002, "nothing to log out of"), "receipt-id", "r")
}
