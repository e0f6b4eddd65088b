package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// office mints real tickets, for any number of brokers that share its store.
type office struct {
	*ticket.Issuer
	store *auth.Revocations
}

func newOffice(t testing.TB) office {
	t.Helper()
	store := auth.NewRevocations()
	key := ticket.Secret{ID: "main", Key: bytes.Repeat([]byte("k"), auth.MinSecretBytes)}
	tickets, err := ticket.New(ticket.NewMemory(), store, ticket.Options{Rate: -1, Secrets: []ticket.Secret{key}})
	if err != nil {
		t.Fatal(err)
	}
	return office{tickets, store}
}

// options are those of a broker of this office.
func (o office) options() broker.Options {
	return broker.Options{Authenticator: o.Issuer, Revocations: o.store}
}

// strict refuses at the handshake whoever has no ticket there.
func (o office) strict() auth.Authenticator {
	return auth.Chain(o.Issuer, auth.AuthenticatorFunc(func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
		if a.Stage == auth.StageHandshake {
			return nil, &auth.Refusal{Reason: "a ticket is required"}
		}
		return nil, auth.ErrNotMine
	}))
}

// ticket mints one for a user; the credential behind it is the user's laptop.
func (o office) ticket(t testing.TB, user string, roles ...string) string {
	t.Helper()
	return o.grant(t, ticket.Grant{Principal: &auth.Principal{Name: user, Roles: roles, CredentialID: user + "'s laptop"}})
}

func (o office) grant(t testing.TB, g ticket.Grant) string {
	t.Helper()
	ticket, err := o.Mint(context.Background(), g)
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Value
}

// use presents a ticket at a handshake that never sees a socket.
func use(t *testing.T, b *broker.Broker, ticket string, headers ...string) int {
	t.Helper()
	return admitted(t, b, request("GET", "/ws?ticket="+ticket, "192.0.2.1:1", headers...))
}

// The principal of the session is the one who asked for the ticket, whichever way
// the ticket came, and what it may do is for the rules to say.
func TestT3S1S9TicketOpensASession(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	op.Authorizer = rules(t,
		auth.Rule{Effect: auth.Allow, Actions: []auth.Action{auth.Send}, Destination: "/topic/news", Roles: []string{"editor"}},
		allow("/topic/**", auth.Subscribe))
	srv := brokertest.Start(t, op)
	ways := map[string]func(ticket string) *peer{
		"query": func(ticket string) *peer {
			_, p := handshake(t, srv, "/ws?ticket="+ticket)
			return p.connect(t)
		},
		"sub-protocol": func(ticket string) *peer {
			return rawWebSocket(t, srv, "Sec-WebSocket-Protocol", "v12.stomp, ticket."+ticket).connect(t)
		},
		"CONNECT":     func(ticket string) *peer { return rawWebSocket(t, srv).connect(t, "ticket", ticket) },
		"CONNECT/TCP": func(ticket string) *peer { return rawTCP(t, srv).connect(t, "ticket", ticket) },
	}
	for name, connect := range ways {
		t.Run(name, func(t *testing.T) {
			p := connect(o.ticket(t, "alice", "editor"))
			var seen broker.SessionInfo
			for s := range srv.Broker.Sessions() {
				if s.ID == p.session {
					seen = s
				}
			}
			if seen.User != "alice" || !slices.Equal(seen.Roles, []string{"editor"}) {
				t.Errorf("the session is %q's with roles %q", seen.User, seen.Roles)
			}
			p.subscribe(t, "1", "/topic/news")
			p.send(t, "SEND", "hello", "destination", "/topic/news")
			if e := p.want(t, "MESSAGE"); string(e.f.Body) != "hello" {
				t.Errorf("got %v", e)
			}
			p.send(t, "SEND", "", "destination", "/topic/other") // S-9: subject to S-10
			p.wantGoodbye(t, 4403, `not allowed to send a message to "/topic/other"`)

			reader := connect(o.ticket(t, "bob"))
			reader.subscribe(t, "1", "/topic/news")
			reader.send(t, "SEND", "", "destination", "/topic/news")
			reader.wantGoodbye(t, 4403, `not allowed to send a message to "/topic/news"`)
		})
	}
}

func TestT4NoTicketNoSocket(t *testing.T) {
	o := newOffice(t)
	srv := brokertest.Start(t, broker.Options{Authenticator: o.strict(), Revocations: o.store})
	var events atomic.Int32
	srv.Broker.Observe(broker.Observer{
		Connected:    func(broker.SessionInfo) { events.Add(1) },
		Disconnected: func(broker.SessionInfo, *broker.Error) { events.Add(1) },
	})
	for _, target := range []string{"/ws", "/ws?ticket=", "/ws?other=x", "/ws?ticket=wrong"} {
		res, p := handshake(t, srv, target)
		if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Upgrade") != "" {
			t.Errorf("%s: %s %v", target, res.Status, res.Header)
		}
		_ = p.Close()
	}
	if st := srv.Broker.Stats(); st.Opened != 0 || st.Refused != 4 || srv.Broker.Sockets() != 0 || events.Load() != 0 {
		t.Errorf("%d sockets were opened, %d are there, %d events", st.Opened, srv.Broker.Sockets(), events.Load())
	}
	if all, _ := srv.Broker.Places(); all != 0 {
		t.Errorf("%d places are taken", all)
	}
	_, p := handshake(t, srv, "/ws?ticket="+o.ticket(t, "alice"))
	p.connect(t)
}

// Whatever is wrong with a ticket, the answer is one and the same; the log knows.
func TestT5OneAnswerForEveryBadTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := newOffice(t)
		op := o.options()
		op.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		b := brokertest.New(t, op)
		used, expired, revoked := o.ticket(t, "alice"), o.ticket(t, "bob"), o.ticket(t, "carol")
		if got := use(t, b, used); got != 101 {
			t.Fatal(got)
		}
		if err := o.store.Revoke(t.Context(), auth.Revocation{User: "carol"}); err != nil {
			t.Fatal(err)
		}
		var answers []string
		ask := func(ticket, cause string) {
			t.Helper()
			log.Reset()
			w := httptest.NewRecorder()
			b.ServeHTTP(w, request("GET", "/ws?ticket="+ticket, "192.0.2.1:1"))
			answers = append(answers, fmt.Sprint(w.Code, w.Header(), w.Body))
			if !strings.Contains(log.String(), cause) || strings.Contains(log.String(), ticket) {
				t.Errorf("the log should say %q and not the ticket:\n%s", cause, log.String())
			}
			if w.Code != 401 || strings.TrimSpace(w.Body.String()) != `{"error":"invalid_ticket"}` {
				t.Errorf("%s: %d %s", cause, w.Code, w.Body)
			}
		}
		ask(used, "used before")
		ask(revoked, "revoked")
		ask(strings.Repeat("A", 43), "unknown")
		ask("invented", "malformed")
		<-time.After(301 * time.Second) // S-7
		ask(expired, "expired")
		if slices.Sort(answers); len(slices.Compact(answers)) != 1 {
			t.Errorf("the answers differ: %q", answers)
		}
	})
}

func TestT6S8SecondUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		nodes := []*broker.Broker{brokertest.New(t, o.options()), brokertest.New(t, o.options())}
		ticket := o.ticket(t, "alice")
		if got := use(t, nodes[0], ticket); got != 101 {
			t.Fatal(got)
		}
		for _, later := range []time.Duration{0, time.Millisecond, time.Hour} {
			<-time.After(later)
			for i, b := range nodes {
				if got := use(t, b, ticket); got != 401 {
					t.Errorf("%v later on node %d: %d", later, i, got)
				}
				c := brokertest.Dial(b)
				c.Send("CONNECT", "", "accept-version", "1.2", "ticket", ticket)
				wantError(t, c, 1008, "invalid_ticket")
			}
		}
	})
}

func TestT7OneOfAThousandHandshakes(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	op.Limits.Unauthenticated = -1
	nodes := []*broker.Broker{brokertest.New(t, op), brokertest.New(t, op), brokertest.New(t, op)}
	ticket := o.ticket(t, "alice")
	var in, out atomic.Int32
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range 1000 {
		all.Go(func() {
			r := request("GET", "/ws?ticket="+ticket, fmt.Sprintf("192.0.2.%d:%d", i%200, i))
			<-start
			a, err := nodes[i%3].Admit(r)
			if err == nil {
				in.Add(1)
			} else {
				out.Add(1)
			}
			a.Release()
		})
	}
	close(start)
	testkit.Wait(t, &all)
	if in.Load() != 1 || out.Load() != 999 {
		t.Errorf("%d were let in and %d refused", in.Load(), out.Load())
	}
}

// The end of a ticket that its endpoint announced is the end that the handshake
// keeps.
func TestT8S7TicketEndsWhenItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		b := brokertest.New(t, o.options())
		for left, want := range map[time.Duration]int{time.Second: 101, -time.Second: 401} {
			ticket, err := o.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "alice"}})
			if err != nil {
				t.Fatal(err)
			}
			if life := time.Until(ticket.Expires); life < 300*time.Second || life > 301*time.Second {
				t.Fatalf("it lives for %v", life)
			}
			<-time.After(time.Until(ticket.Expires) - left)
			if got := use(t, b, ticket.Value); got != want {
				t.Errorf("%v before the end: %d", left, got)
			}
		}
	})
}

// upgrade headers → Origin → caps → ticket: whoever is refused earlier has his
// ticket still.
func TestT10T11EarlyRefusalsDoNotBurnTheTicket(t *testing.T) {
	o := newOffice(t)
	op := o.options()
	op.Origins = []string{"https://app.example.com"}
	op.Limits = broker.Limits{Unauthenticated: 3, UnauthenticatedPerAddress: 2}
	const good, evil = "https://app.example.com", "https://evil.example"
	b, drained := brokertest.New(t, op), brokertest.New(t, op)
	if err := drained.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := func(addresses ...string) (release func()) {
		var held []broker.Admission
		for _, address := range addresses {
			a, err := b.Admit(request("GET", "/ws", address+":1"))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, a)
		}
		return func() {
			for i := range held {
				held[i].Release()
			}
		}
	}
	for name, tc := range map[string]struct {
		status int
		b      *broker.Broker
		hold   []string
		change func(r *http.Request)
	}{
		"method":          {405, b, nil, func(r *http.Request) { r.Method = "POST" }},
		"no upgrade":      {426, b, nil, func(r *http.Request) { r.Header.Del("Upgrade") }},
		"old version":     {426, b, nil, func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }},
		"no key":          {400, b, nil, func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }},
		"foreign page":    {403, b, nil, func(r *http.Request) { r.Header.Set("Origin", evil) }},
		"another scheme":  {403, b, nil, func(r *http.Request) { r.Header.Set("Origin", "http://app.example.com") }},
		"another port":    {403, b, nil, func(r *http.Request) { r.Header.Set("Origin", good+":8443") }},
		"sandboxed page":  {403, b, nil, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		"cap in all":      {429, b, []string{"192.0.2.7", "192.0.2.8", "192.0.2.9"}, nil},
		"cap per address": {429, b, []string{"192.0.2.1", "192.0.2.1"}, nil},
		"token in URL":    {400, b, nil, func(r *http.Request) { r.URL.RawQuery += "&access_token=x" }},
		"draining":        {503, drained, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ticket := o.ticket(t, "alice")
			release := hold(tc.hold...)
			r := request("GET", "/ws?ticket="+ticket, "192.0.2.1:1", "Origin", good)
			if tc.change != nil {
				tc.change(r)
			}
			w := httptest.NewRecorder()
			tc.b.ServeHTTP(w, r)
			release()
			if w.Code != tc.status {
				t.Errorf("refused with %d %s, want %d", w.Code, w.Body, tc.status)
			}
			if got := use(t, b, ticket, "Origin", good); got != 101 {
				t.Errorf("afterwards the right page gets %d", got)
			}
			if got := use(t, b, ticket, "Origin", good); got != 401 {
				t.Errorf("a second time it gets %d", got)
			}
		})
	}
}
