package webflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// W-1, W-2, W-4, W-14.
func TestW1RegistrationIsAnsweredToItsSession(t *testing.T) {
	for _, destination := range []string{"/app/registration", "/user/topic/registration"} {
		t.Run(destination, func(t *testing.T) {
			b, f := start(t, webflow.Options{})
			if _, err := f.Open(t.Context(), webflow.Operation{ID: "op", WebSocketID: "12345678", Owner: user("alice")}); err != nil {
				t.Fatal(err)
			}
			other, bob := page(t, b, "alice", "auto"), page(t, b, "bob", "auto")
			c := connect(t, b, "login", "alice")
			// The test need not wait: frames of a session are handled in order
			// (W-14).
			c.Send("SUBSCRIBE", "", "id", "sub-0", "destination", subRegistration)
			c.Send("SEND", `{"webSocketId":"12345678"}`, "destination", destination)
			m := want(t, c, accepted("12345678"))[0]
			wantHeaders(t, m, "subscription", "sub-0", "content-type", "application/json")
			want(t, other)
			want(t, bob)
		})
	}
}

func TestW3MinimalReply(t *testing.T) {
	b, f := start(t, webflow.Options{Reply: webflow.Minimal})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	c.register("unknown")
	want(t, c, subRegistration+` {"webSocketId":"ws-op"}`, rejected("unknown"))
}

func TestW8UnknownID(t *testing.T) {
	b, _ := start(t, webflow.Options{})
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	want(t, c, rejected("ws-op"))
	want(t, c) // and the socket stays open
}

func TestW8OpenModeTakesAnyID(t *testing.T) {
	b, f := start(t, webflow.Options{Registration: webflow.Open})
	id := webflow.WebSocketID("op")
	c := stranger(t, b)
	c.register(id)
	want(t, c, accepted(id))
	notify(t, f, "op", "CONFIRMED", true)
	want(t, c, told(id, "CONFIRMED"))
	// And in the other order: the result first.
	notify(t, f, "second", "DONE", false)
	id = webflow.WebSocketID("second")
	c.register(id)
	want(t, c, accepted(id), told(id, "DONE"))
}

func TestW9FirstWins(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", anyone)
	first, second := stranger(t, b), stranger(t, b)
	first.register("ws-op")
	want(t, first, accepted("ws-op"))
	second.register("ws-op")
	want(t, second, rejected("ws-op"))
	first.register("ws-op") // again, from the same session
	want(t, first, accepted("ws-op"))
	notify(t, f, "op", "CONFIRMED", true)
	want(t, first, told("ws-op", "CONFIRMED"))
	want(t, second)
}

func TestW9LastWins(t *testing.T) {
	b, f := start(t, webflow.Options{Policy: webflow.LastWins})
	open(t, f, "op", anyone)
	first, second := stranger(t, b), stranger(t, b)
	first.register("ws-op")
	want(t, first, accepted("ws-op"))
	second.register("ws-op")
	want(t, second, accepted("ws-op"))
	want(t, first, superseded("ws-op"))
	notify(t, f, "op", "CONFIRMED", true)
	want(t, second, told("ws-op", "CONFIRMED"))
	want(t, first)
}

func TestW9WhoeverHasTheTokenIsTheSame(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", anyone)
	first, second := stranger(t, b), stranger(t, b)
	first.register("ws-op")
	token := want(t, first, accepted("ws-op"))[0].Get("poll-token")
	second.register("ws-op", "poll-token", "-"+token)
	second.register("ws-op", "poll-token", token)
	want(t, second, rejected("ws-op"), accepted("ws-op"))
	want(t, first, superseded("ws-op"))
	first.register("ws-op", "poll-token", token) // an old token
	want(t, first, rejected("ws-op"))
}

func TestW9SameUserMovesHisRegistration(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", anyone)
	first, second := page(t, b, "alice", "auto"), page(t, b, "alice", "auto")
	first.register("ws-op")
	second.register("ws-op")
	want(t, second, accepted("ws-op"))
	want(t, first, accepted("ws-op"), superseded("ws-op"))
}

func TestW13MalformedBodies(t *testing.T) {
	long := strings.Repeat("x", 257)
	none := subRegistration + ` {"registrationSucceeded":false}`
	cases := []struct{ body, want string }{
		{"", none},
		{"{", none},
		{"null", none},
		{"[]", none},
		{`"ws-op"`, none},
		{`{}`, none},
		{`{"webSocketId":null}`, none},
		{`{"webSocketId":7}`, none},
		{`{"webSocketId":["ws-op"]}`, none},
		{`{"webSocketId":""}`, none},
		{`{"WEBSOCKETID":"ws-op"}`, none},
		{`{"webSocketId":"ws-op"} trailing`, none},
		{"{\"webSocketId\":\"ws-op\xff\"}", none},
		{`{"webSocketId":"` + long + `"}`, none},
		{`{"webSocketId":"ws-op","filler":"` + strings.Repeat(" ", 4096) + `"}`, none},
		{strings.Repeat("[", 2000), none},
		{`{"webSocketId":"` + long[1:] + `"}`, rejected(long[1:])},
		{`{"webSocketId":"a<b>&\"\\\n\u00e4"}`, subRegistration + ` {"webSocketId":"a<b>&\"\\\nä","registrationSucceeded":false}`},
		{`{"more":[1,{}],"webSocketId":"ws\u002dop"}`, accepted("ws-op")},
	}
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	for _, tc := range cases {
		c.do("SEND", tc.body, "destination", "/app/registration")
		want(t, c, tc.want)
	}
}

func TestSubscribeToTheHandlerIsRefused(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	c := page(t, b, "alice", "auto")
	c.do("SUBSCRIBE", "", "id", "x", "destination", "/app/registration")
	want(t, c, `/app/registration {"registrationSucceeded":false}`)
	if s := f.Stats(); s.Sessions != 0 {
		t.Errorf("%+v", s)
	}
}

// W+1, S-6, T-13: which session may register which operation.
func TestOwnership(t *testing.T) {
	cases := []struct {
		name    string
		owner   webflow.Owner
		headers []string
		want    bool
	}{
		{"the user", user("alice"), []string{"login", "alice"}, true},
		{"another user", user("alice"), []string{"login", "bob"}, false},
		{"another spelling", user("alice"), []string{"login", "Alice"}, false},
		{"nobody", user("alice"), nil, false},
		{"the user with a ticket for it", user("alice"), []string{"login", "alice", "scopes", "operation:op"}, true},
		{"the user with a ticket for another", user("alice"), []string{"login", "alice", "scopes", "operation:other"}, false},
		{"another user with a ticket for it", user("alice"), []string{"login", "bob", "scopes", "operation:op"}, false},
		{"a ticket for it", webflow.Owner{}, []string{"scopes", "read operation:op"}, true},
		{"a backend's ticket for it", webflow.Owner{}, []string{"roles", "backend", "scopes", "operation:op"}, true},
		{"a ticket for another", webflow.Owner{}, []string{"scopes", "operation:op2"}, false},
		{"a ticket for nothing", webflow.Owner{}, []string{"login", "alice"}, false},
		{"a scope that begins alike", webflow.Owner{}, []string{"scopes", "operation:o operation:opp operation: operation"}, false},
		{"a ticket for its other name", webflow.Owner{}, []string{"scopes", "operation:ws-op"}, false},
		{"anyone", anyone, nil, true},
		{"anyone with a ticket for another", anyone, []string{"scopes", "operation:other"}, false},
		{"a backend", anyone, []string{"roles", "backend"}, false},
		{"a service with a name", user("svc"), []string{"login", "svc", "roles", "backend"}, true},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			b, f := start(t, webflow.Options{})
			open(t, f, "op", tc.owner)
			c := stranger(t, b, tc.headers...)
			c.register("ws-op")
			if tc.want {
				want(t, c, accepted("ws-op"))
				notify(t, f, "op", "CONFIRMED", true)
				return
			}
			want(t, c, rejected("ws-op"))
			notify(t, f, "op", "CONFIRMED", false)
			want(t, c)
		})
	}
}

// T-13 with a real ticket.
func TestT13TicketForOneOperation(t *testing.T) {
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.New(t, broker.Options{Authenticator: tickets})
	f, err := webflow.New(b, webflow.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open(t, f, "mine", webflow.Owner{})
	open(t, f, "other", webflow.Owner{})
	open(t, f, "open", anyone)
	ticket, err := tickets.Mint(t.Context(), ticket.Grant{Principal: &auth.Principal{Name: "visitor"}, Operation: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	c := stranger(t, b, "ticket", ticket.Value)
	for _, id := range []string{"ws-other", "ws-open", "ws-mine"} {
		c.register(id)
	}
	want(t, c, rejected("ws-other"), rejected("ws-open"), accepted("ws-mine"))
}

func TestT13OpenModeKeepsTheScope(t *testing.T) {
	b, _ := start(t, webflow.Options{Registration: webflow.Open})
	mine, other := webflow.WebSocketID("mine"), webflow.WebSocketID("other")
	c := stranger(t, b, "scopes", "operation:mine")
	c.register(other)
	c.register(mine)
	want(t, c, rejected(other), accepted(mine))
}

// W+6.
func TestOwnerRegistersAgain(t *testing.T) {
	var d diary
	b, f := start(t, d.in(webflow.Options{}))
	open(t, f, "op", user("alice"))
	first, second := page(t, b, "alice", "auto"), page(t, b, "alice", "auto")
	first.register("ws-op")
	want(t, first, accepted("ws-op"))
	second.register("ws-op")
	want(t, second, accepted("ws-op"))
	want(t, first, superseded("ws-op"))
	first.Close() // not a loss
	notify(t, f, "op", "CONFIRMED", true)
	want(t, second, told("ws-op", "CONFIRMED"))
	_ = f.Close()
	d.wantEvents(t, "registered", "registered")
}

func TestSupersededIsHeldToo(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	first, second := connect(t, b, "login", "alice"), page(t, b, "alice", "auto")
	first.register("ws-op")
	want(t, first)
	second.register("ws-op")
	want(t, second, accepted("ws-op"))
	first.subscribe("r", subRegistration)
	want(t, first, accepted("ws-op"), superseded("ws-op"))
}

func TestLimitPerSession(t *testing.T) {
	b, f := start(t, webflow.Options{MaxPerSession: 2})
	for _, id := range []string{"1", "2", "3"} {
		open(t, f, id, user("alice"))
	}
	c := page(t, b, "alice", "auto")
	for _, id := range []string{"ws-1", "ws-2", "ws-3", "ws-2"} {
		c.register(id)
	}
	want(t, c, accepted("ws-1"), accepted("ws-2"), rejected("ws-3"), accepted("ws-2"))
}

func TestHeldRepliesAreBounded(t *testing.T) { // W+4
	b, f := start(t, webflow.Options{MaxPerSession: 3})
	c := connect(t, b)
	for i := range 100 {
		c.register(fmt.Sprint(i))
	}
	c.subscribe("r", subRegistration)
	want(t, c, rejected("97"), rejected("98"), rejected("99"))
	if s := f.Stats(); s.Sessions != 0 {
		t.Errorf("something is kept: %+v", s)
	}
}

func TestLimitOfOperations(t *testing.T) {
	b, f := start(t, webflow.Options{Registration: webflow.Open, MaxOperations: 2})
	open(t, f, "1", anyone)
	c := stranger(t, b)
	c.register("2")
	c.register("3")
	want(t, c, accepted("2"), rejected("3"))
	if _, err := f.Open(t.Context(), webflow.Operation{ID: "4"}); err != webflow.ErrFull {
		t.Errorf("Open: %v", err)
	}
	if _, err := f.Notify(t.Context(), "5", "DONE"); err != webflow.ErrFull {
		t.Errorf("Notify: %v", err)
	}
	open(t, f, "1", anyone) // which is known
}

// What a squatter did with the result is undone for the owner.
func TestSquatterLeavesNothingBehind(t *testing.T) {
	for _, when := range []string{"acknowledges before", "acknowledges after", "leaves before"} {
		t.Run(when, func(t *testing.T) {
			b, f := start(t, webflow.Options{Registration: webflow.Open, PollInterval: -1})
			thief := page(t, b, "thief", "client")
			thief.register("ws-op")
			token := webflow.Caller{PollToken: want(t, thief, accepted("ws-op"))[0].Get("poll-token")}
			if ok, err := f.NotifyWebSocketID(t.Context(), "ws-op", "CONFIRMED"); !ok || err != nil {
				t.Fatal(ok, err)
			}
			m := want(t, thief, told("ws-op", "CONFIRMED"))[0]
			if _, err := f.Result(t.Context(), "ws-op", token); err != nil {
				t.Fatal(err)
			}
			switch when {
			case "acknowledges before":
				thief.ack(m)
				open(t, f, "op", user("alice"))
			case "acknowledges after":
				open(t, f, "op", user("alice"))
				thief.ack(m)
			default:
				thief.ack(m)
				thief.Close()
				open(t, f, "op", user("alice"))
			}
			if _, err := f.Result(t.Context(), "ws-op", token); err != webflow.ErrUnknown {
				t.Errorf("the thief's poll: %v", err)
			}
			alice := page(t, b, "alice", "client")
			alice.register("ws-op")
			want(t, alice, accepted("ws-op"), told("ws-op", "CONFIRMED"))
		})
	}
}

func TestAnnouncingTakesFromSquatters(t *testing.T) {
	b, f := start(t, webflow.Options{Registration: webflow.Open})
	thief, alice := page(t, b, "thief", "auto"), page(t, b, "alice", "auto")
	thief.register("ws-op")
	want(t, thief, accepted("ws-op"))
	open(t, f, "op", user("alice"))
	want(t, thief, superseded("ws-op"))
	thief.register("ws-op")
	want(t, thief, rejected("ws-op"))
	alice.register("ws-op")
	want(t, alice, accepted("ws-op"))
	notify(t, f, "op", "CONFIRMED", true)
	want(t, thief)
	// The rightful owner keeps the registration.
	alice.register("ws-2")
	open(t, f, "2", user("alice"))
	notify(t, f, "2", "CONFIRMED", true)
	want(t, alice, told("ws-op", "CONFIRMED"), accepted("ws-2"), told("ws-2", "CONFIRMED"))
}

// An operation id is for one wait: announced again, it is still the operation
// with its result.
func TestOperationIDThatIsUsedAgain(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "op", user("alice"))
	notify(t, f, "op", "CONFIRMED", false)
	open(t, f, "op", user("alice"))
	if _, err := f.Notify(t.Context(), "op", "CANCELED"); err != webflow.ErrDecided {
		t.Errorf("another result: %v, want %v", err, webflow.ErrDecided)
	}
	c := page(t, b, "alice", "auto")
	c.register("ws-op")
	want(t, c, accepted("ws-op"), told("ws-op", "CONFIRMED"))
}
