package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/bearer"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Every way of a first frame, and nothing else as a first frame. What the broker
// could tell of itself it keeps for those who have connected (N-5).
func TestN2N4N5FirstFrame(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	op.Server, op.Node, op.Nodes = "hoofbeat/test", "secret-node", []broker.Node{{ID: "secret-node", URL: "wss://10.0.0.1/ws"}}
	op.Authenticator = auth.Chain(o.Issuer, auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		switch {
		case a.Bearer == "alice's token", a.Login == "alice" && a.Passcode == "pw":
			return &auth.Principal{Name: "alice"}, nil
		case a.Bearer == "" && a.Login == "":
			return nil, auth.ErrNotMine
		}
		return nil, fmt.Errorf("wrong: %s %s", a.Bearer, a.Passcode)
	}))
	srv := brokertest.Start(t, op)
	for _, ws := range []bool{true, false} {
		for _, command := range []string{"CONNECT", "STOMP"} {
			for _, credential := range [][]string{
				{"Authorization", "Bearer alice's token"}, {"login", "alice", "passcode", "pw"}, {"ticket", o.ticket(t, "alice")},
			} {
				p := rawDial(t, srv, ws)
				p.send(t, command, "", append([]string{"accept-version", "1.2"}, credential...)...)
				e := p.want(t, "CONNECTED")
				wantHeaders(t, e.f, "user-name", "alice", "server", "hoofbeat/test", "heart-beat", "10000,10000", "version", "1.2")
				if e.f.Get("session") == "" {
					t.Error("N-4: no session")
				}
			}
		}
		for _, credential := range [][]string{ // N-3
			{"Authorization", "Bearer guessed-secret"}, {"login", "alice", "passcode", "guessed-secret"}, {"ticket", "guessed-secret"}, {},
		} {
			p := rawDial(t, srv, ws)
			p.send(t, "CONNECT", "", append([]string{"accept-version", "1.2"}, credential...)...)
			e := p.want(t, "ERROR")
			if text := e.String(); strings.Contains(text, "guessed") || strings.Contains(text, "secret-node") || strings.Contains(text, "10.0.0.1") {
				t.Errorf("N-3: %s", text)
			}
			p.wantClosed(t, 1008)
		}
		for _, first := range [][]string{
			{"SUBSCRIBE", "/app/bootstrap"}, {"SUBSCRIBE", "/user/topic/session"}, {"SEND", "/app/session/refresh"}, {"SEND", "/app/registration"},
			{"DISCONNECT", ""}, {"ACK", ""}, {"BEGIN", ""},
		} {
			p := rawDial(t, srv, ws)
			p.send(t, first[0], "", "id", "1", "destination", first[1], "transaction", "1", "login", "alice", "passcode", "pw")
			p.wantGoodbye(t, 1008, "authentication required")
		}
	}
}

// A session whose credential is gone does nothing any more, although its last
// frames had been sent before it could know.
func TestN6NothingIsDoneWithoutACredential(t *testing.T) {
	t.Run("revoked", func(t *testing.T) {
		o := newOffice(t)
		b := brokertest.New(t, o.options())
		handled := collect(t, b, "/topic/**")
		c := brokertest.Connect(t, b, "ticket", o.ticket(t, "alice"))
		if err := o.store.Revoke(t.Context(), auth.Revocation{User: "alice"}); err != nil {
			t.Fatal(err)
		}
		c.Send("SEND", "too late", "destination", "/topic/a")
		wantError(t, c, 1008, "session revoked")
		if len(handled) != 0 {
			t.Error("it was still obeyed")
		}
	})
	t.Run("expired", func(t *testing.T) { // to the millisecond
		for _, late := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second} {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				b := brokertest.New(t, o.options())
				handled := collect(t, b, "/topic/**")
				<-time.After(1234567 * time.Microsecond) // not with the sweeper's ticks
				until := time.Now().Add(90*time.Second + late)
				c := brokertest.Connect(t, b, "ticket", o.grant(t, ticket.Grant{Principal: &auth.Principal{Name: "alice", Expires: until}}))
				<-time.After(time.Until(until.Add(late)))
				c.Send("SEND", "too late", "destination", "/topic/a")
				wantError(t, c, 1008, "the credential has expired")
				if len(handled) != 0 {
					t.Errorf("%v after the end it was still obeyed", late)
				}
			})
		}
	})
}

// Two brokers with one store, as two nodes will be: what one revokes is worthless
// at the other, and a lost connection revokes nothing.
func TestN1N8N9CredentialsAcrossNodes(t *testing.T) {
	o := newOffice(t)
	one, two := brokertest.New(t, o.options()), brokertest.New(t, o.options())
	first := o.ticket(t, "alice")
	c := brokertest.Connect(t, two, "ticket", first) // N-1: at once, wherever
	c.Close()
	c = brokertest.Connect(t, two, "ticket", o.ticket(t, "alice")) // N-9
	twin, phone := brokertest.Connect(t, one, "ticket", o.ticket(t, "alice")), brokertest.Connect(t, one, "ticket", o.grant(t, ticket.Grant{
		Principal: &auth.Principal{Name: "alice", CredentialID: "her phone"}}))
	unused := o.ticket(t, "alice")

	c.Send("DISCONNECT", "", "logout", "true", "receipt", "bye")
	c.ExpectReceipt(t, "bye")
	wantEnd(t, c, 1000)
	wantError(t, twin, 1008, "session revoked")
	if got := use(t, one, unused); got != 401 {
		t.Errorf("an unused ticket of the same credential: %d", got)
	}
	if _, err := o.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice", CredentialID: "alice's laptop"}}); err == nil {
		t.Error("the credential still gets tickets")
	}
	phone.Sync(t)
}

func TestN12EverySocketOfTheUser(t *testing.T) {
	o := newOffice(t)
	srv := brokertest.Start(t, o.options())
	var mine []*peer
	for i, ws := range []bool{true, true, false} {
		mine = append(mine, rawDial(t, srv, ws).connect(t, "ticket", o.ticket(t, "alice")))
		mine[i].subscribe(t, "1", "/user/queue/news")
	}
	bob := rawDial(t, srv, true).connect(t, "ticket", o.ticket(t, "bob"))
	bob.subscribe(t, "1", "/user/queue/news")
	notify(t, srv.Broker, "alice", "/queue/news", "hello", 3)
	for _, p := range mine {
		if e := p.want(t, "MESSAGE"); string(e.f.Body) != "hello" {
			t.Errorf("got %v", e)
		}
	}
	bob.send(t, "UNSUBSCRIBE", "", "id", "1", "receipt", "r")
	bob.receipt(t, "r")
}

// A cap counts the address that a trusted proxy tells, and nobody else's word;
// and whoever is in stays in.
func TestNPlus2CapsBehindAProxy(t *testing.T) {
	b := brokertest.New(t, broker.Options{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Limits:         broker.Limits{UnauthenticatedPerAddress: 1},
	})
	member := brokertest.Connect(t, b)
	for _, tc := range []struct {
		remote, forwarded string
		status            int
	}{
		{"10.0.0.1:1", "198.51.100.1", 101}, {"10.0.0.1:1", "198.51.100.1", 429}, {"10.0.0.2:1", "198.51.100.1", 429},
		{"10.0.0.1:1", "198.51.100.2", 101}, {"192.0.2.1:1", "198.51.100.3", 101}, {"192.0.2.1:1", "198.51.100.4", 429},
	} {
		a, err := b.Admit(request("GET", "/ws", tc.remote, "X-Forwarded-For", tc.forwarded))
		t.Cleanup(a.Release)
		if got := err == nil; got != (tc.status == 101) {
			t.Errorf("%s for %s: %v", tc.remote, tc.forwarded, err)
		}
	}
	member.Sync(t)
}

// Before CONNECTED 8 KiB and 20 headers; afterwards what the limits say.
func TestNPlus3SmallFramesFromStrangers(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	for _, ws := range []bool{true, false} {
		headers := func(n int) (list []string) {
			for i := range n {
				list = append(list, fmt.Sprint("h", i), "x")
			}
			return list
		}
		p := rawDial(t, srv, ws).connect(t, headers(19)...) // and accept-version
		p.send(t, "SEND", strings.Repeat("x", 60<<10), append(headers(90), "destination", "/topic/a", "receipt", "r")...)
		p.receipt(t, "r")
		p = rawDial(t, srv, ws)
		p.send(t, "CONNECT", "", append(headers(20), "accept-version", "1.2")...)
		p.wantGoodbye(t, 1009, "more than 20 headers (fixed before CONNECTED)")
		rawDial(t, srv, ws).connect(t, "x", strings.Repeat("y", 8000))
		p = rawDial(t, srv, ws)
		p.send(t, "CONNECT", "", "accept-version", "1.2", "x", strings.Repeat("y", 8192))
		p.wantGoodbye(t, 1009, "frame larger than 8192 bytes (limits.unauthenticated_frame)")
	}
}

// An anonymous backend publishes where the rules let it, and has no business with
// what is anybody's own.
func TestS4S6BackendSession(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	guarded, err := auth.Guarded().Prepend(auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/maintenance", Roles: []string{auth.RoleBackend}})
	if err != nil {
		t.Fatal(err)
	}
	op.Authorizer = guarded
	b := brokertest.New(t, op)
	page := brokertest.Connect(t, b, "ticket", o.ticket(t, "alice"))
	page.Subscribe(t, "1", "/topic/maintenance")
	backend := func() *brokertest.Client {
		ticket, err := o.MintBackend(t.Context(), strings.Repeat("k", auth.MinSecretBytes), ticket.Grant{})
		if err != nil {
			t.Fatal(err)
		}
		return brokertest.Connect(t, b, "ticket", ticket.Value)
	}
	send(t, backend(), "/topic/maintenance", `{"isOn":true}`)
	wantMessages(t, page, `{"isOn":true}`)
	for _, destination := range []string{"/user/queue/a", "/user/alice/queue/a", "/user/topic/registration", "/user/topic/authorization"} {
		c := backend()
		c.Send("SUBSCRIBE", "", "id", "1", "destination", destination)
		wantError(t, c, 4403, "not allowed")
	}
	page.Send("SEND", "", "destination", "/topic/maintenance") // S-14
	wantError(t, page, 4403, "not allowed")
}

// A reminder is its user's, and only services send one.
func TestS10Reminders(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	op.Authorizer = rules(t,
		allow("/topic/reminder/{user}", auth.Subscribe), deny("/topic/reminder/**", auth.Subscribe), allow("/topic/**", auth.Subscribe),
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/reminder/*", Roles: []string{"service"}})
	b := brokertest.New(t, op)
	alice, bob := brokertest.Connect(t, b, "ticket", o.ticket(t, "alice")), brokertest.Connect(t, b, "ticket", o.ticket(t, "bob"))
	alice.Subscribe(t, "own", "/topic/reminder/alice")
	bob.Subscribe(t, "everything", "/topic/**")
	service := brokertest.Connect(t, b, "ticket", o.ticket(t, "cron", "service"))
	send(t, service, "/topic/reminder/alice", "for alice")
	send(t, service, "/topic/reminder/bob", "for bob")
	wantMessages(t, alice, "for alice")
	expectMessage(t, bob, "for bob")
	bob.Send("UNSUBSCRIBE", "", "id", "everything")
	wantMessages(t, bob)
	for _, denied := range [][]string{{"SUBSCRIBE", "/topic/reminder/alice"}, {"SEND", "/topic/reminder/alice"}, {"SEND", "/topic/reminder/bob"}} {
		c := brokertest.Connect(t, b, "ticket", o.ticket(t, "bob"))
		c.Send(denied[0], "", "id", "1", "destination", denied[1])
		wantError(t, c, 4403, "not allowed")
	}
}

// With the defaults something is said at least every minute, in one direction or
// the other, whatever heart-beats the client asked for.
func TestS12NoMinuteOfSilence(t *testing.T) {
	for _, beat := range []string{"0,0", "0,10000", "10000,0", "10000,10000", "0,50000", "0,120000", "120000,120000", "none"} {
		t.Run(beat, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, broker.Options{})
				p := pipe(t, b, true)
				var every int
				if beat == "none" {
					p.send(t, "CONNECT", "")
					p.want(t, "CONNECTED")
				} else {
					p.connect(t, "heart-beat", beat)
					if _, err := fmt.Sscanf(beat, "%d,", &every); err != nil {
						t.Fatal(err)
					}
				}
				wait := time.Duration(every) * time.Millisecond
				if wait == 0 {
					wait = time.Hour
				}
				last := time.Now()
				for end := time.Now().Add(time.Hour); time.Now().Before(end); {
					for _, e := range p.listen(t, min(wait, time.Until(end))) {
						if e.what != "ping" && e.what != "eol" {
							t.Fatalf("got %v", e)
						}
						if gap := e.at.Sub(last); gap > 55*time.Second {
							t.Fatalf("nothing was said for %v", gap)
						}
						last = e.at
					}
					if gap := time.Since(last); gap > 55*time.Second {
						t.Fatalf("nothing was said for %v", gap)
					}
					if every > 0 {
						p.octets(t, []byte("\n"))
						last = time.Now()
					}
				}
			})
		})
	}
}

// A revocation at the provider shows within 30 s, and a token that has become good
// within 5 s.
func TestA21AnswersAreBelievedForSeconds(t *testing.T) {
	var active atomic.Bool
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%v,"sub":"alice"}`, active.Load())
	}))
	t.Cleanup(provider.Close)
	now := time.Now()
	verifier, err := bearer.New(bearer.Options{
		Introspection: []bearer.Introspection{{URL: provider.URL, ClientID: "broker", ClientSecret: "secret"}},
		Clock:         func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.New(t, broker.Options{Authenticator: verifier})
	want := func(status int) {
		t.Helper()
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Authorization", "Bearer opaque")); got != status {
			t.Errorf("%d, want %d", got, status)
		}
	}
	active.Store(true)
	want(101)
	active.Store(false)
	now = now.Add(29 * time.Second)
	want(101)
	now = now.Add(time.Second)
	want(401)
	active.Store(true)
	now = now.Add(4 * time.Second)
	want(401)
	now = now.Add(time.Second)
	want(101)
}
