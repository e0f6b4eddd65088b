package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// everything allows what no rule before it denies.
func everything() auth.Rule {
	r := allow("/**", auth.Subscribe, auth.Send)
	r.AnyUser = true
	return r
}

// A rule holds for a destination whatever the client calls it.
func TestDenyHoldsForEveryName(t *testing.T) {
	for _, tc := range []struct {
		rule, command, destination string
		allowed                    bool
	}{
		// One's own destinations have two names.
		{"/user/{user}/queue/audit", "SUBSCRIBE", "/user/queue/audit", false},
		{"/user/{user}/queue/audit", "SUBSCRIBE", "/user/acme%2Fboss/queue/audit", false},
		{"/user/*/queue/audit", "SUBSCRIBE", "/user/queue/audit", false},
		{"/user/queue/audit", "SUBSCRIBE", "/user/acme%2Fboss/queue/audit", false},
		{"/user/queue/audit", "SUBSCRIBE", "/user/queue//audit/", false},
		{"/user/queue/audit", "SUBSCRIBE", "/user/acme%2fboss/queue//audit", false},
		{"/user/queue/audit", "SUBSCRIBE", "/user/queue/audits", true},
		{"/user/{user}/queue/audit", "SUBSCRIBE", "/user/topic/audit", true},

		// A name has one spelling, in a rule and in a destination.
		{"/user/acme%2Fboss/queue/x", "SEND", "/user/acme%2fboss/queue/x", false},
		{"/user/acme%2fboss/queue/x", "SEND", "/user/acme%2Fboss/queue/x", false},
		{"/user/acme%2f*/queue/x", "SEND", "/user/acme%2Fboss/queue/x", false},
		{"/user/{user}/queue/x", "SEND", "/user/acme%2fboss/queue/x", false},
		{"/user/100%25/queue/x", "SEND", "/user/100%25/queue//x", false},

		// A SEND to one's own destination goes to a handler.
		{"/app/admin", "SEND", "/user/queue/admin", false},
		{"/app/admin", "SEND", "/user/topic/admin", false},
		{"/app/admin", "SEND", "/user/topic//admin/", false},
		{"/app/admin", "SEND", "/app//admin", false},
		{"/app/**", "SEND", "/user/queue/admin", false},
		{"/*/admin", "SEND", "/user/queue/admin", false},
		{"/user/topic/admin", "SEND", "/app/admin", false},
		{"/user/queue/adm*", "SEND", "/app/adm", true},
		{"/user/queue/admin/**", "SEND", "/app/admin", false},
		{"/user/queue/**", "SEND", "/app/admin", true}, // names no handler
		{"/user/**", "SEND", "/app/admin", true},
		{"/user/topic/other", "SEND", "/app/admin", true},

		// The dead letters of a queue are its messages.
		{"/queue/jobs", "SUBSCRIBE", "/queue/DLQ.jobs", false},
		{"/queue/jobs/**", "SUBSCRIBE", "/queue/DLQ.jobs/a", false},
		{"/queue/jobs", "SUBSCRIBE", "/queue/DLQ.other", true},

		// Empty segments do not count.
		{"/topic/secret", "SUBSCRIBE", "/topic//secret", false},
		{"/topic/secret", "SUBSCRIBE", "/topic/secret/", false},
		{"/topic/secret", "SEND", "/topic///secret//", false},
		{"/topic/secret/**", "SUBSCRIBE", "/topic//secret/**", false},
		{"/queue/secret", "SEND", "/queue/secret/", false},
		{"/topic/secret", "SEND", "/topic/secrets/", true},
	} {
		t.Run(tc.rule+" "+tc.command+" "+tc.destination, func(t *testing.T) {
			b := newBroker(t, broker.Options{Authorizer: rules(t, deny(tc.rule, auth.Subscribe, auth.Send), everything())})
			for _, path := range []string{"/admin", "/adm", "//admin", "//admin/"} {
				handle(t, b, path, func(context.Context, *broker.Request) error { return nil })
			}
			c := brokertest.Connect(t, b, "login", "acme/boss")
			c.Send(tc.command, "", "id", "1", "destination", tc.destination, "receipt", "r")
			if tc.allowed {
				c.ExpectReceipt(t, "r")
				return
			}
			wantError(t, c, 4403, fmt.Sprintf("%q", tc.destination))
		})
	}
}

// The rules are read in their order, whichever of the names a rule matches.
func TestOwnDestinationIsOneThingToTheRules(t *testing.T) {
	authorizer := rules(t,
		allow("/user/{user}/queue/mine", auth.Subscribe), deny("/user/queue/mine", auth.Subscribe),
		allow("/user/queue/**", auth.Subscribe), deny("/**", auth.Subscribe))
	for _, destination := range []string{"/user/queue/mine", "/user/ann/queue/mine", "/user/queue/x", "/user/ann/queue/x"} {
		c := brokertest.Connect(t, newBroker(t, broker.Options{Authorizer: authorizer}), "login", "ann")
		c.Subscribe(t, "1", destination)
	}
}

// A credential that is renewed may lose the right to what a pattern matches only
// with a slash at its end.
func TestPatternMatchesTheNameWithASlash(t *testing.T) {
	b := newBroker(t, broker.Options{Authorizer: rules(t, deny("/topic/a", auth.Subscribe), everything())})
	c := brokertest.Connect(t, b)
	c.Subscribe(t, "1", "/topic/a/*")
	c.Subscribe(t, "2", "/topic/b/*")
	publish(t, b, "/topic/a/", "denied as /topic/a")
	publish(t, b, "/topic/a/x", "one")
	publish(t, b, "/topic//a/y", "two")
	publish(t, b, "/topic/b/", "three")
	got := make(map[string][]string)
	for range 3 {
		m := c.Expect(t, "MESSAGE")
		got[m.Get("subscription")] = append(got[m.Get("subscription")], string(m.Body))
	}
	if want := map[string][]string{"1": {"one", "two"}, "2": {"three"}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c.Sync(t)
}

// A hook is asked about canonical names, and about the handler and the queue
// behind a name.
func TestAuthorizerIsAskedCanonicalNames(t *testing.T) {
	var asked []string
	b := newBroker(t, broker.Options{Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ *auth.Principal, act auth.Action, destination string) error {
		asked = append(asked, fmt.Sprint(act, " ", destination)) // on the session's goroutine
		return nil
	})})
	handle(t, b, "//a/", func(context.Context, *broker.Request) error { return nil })
	c := brokertest.Connect(t, b, "login", "a/b")
	for i, destination := range []string{"/topic//a/", "/user/a%2fb/queue//x", "/queue/DLQ.q/"} {
		c.Send("SUBSCRIBE", "", "id", fmt.Sprint(i), "destination", destination)
	}
	for _, destination := range []string{"/topic//a/", "/user/queue//a/", "/user/a%2fb/queue/x"} {
		c.Send("SEND", "", "destination", destination)
	}
	c.Sync(t)
	want := []string{
		"subscribe /topic/a", "subscribe /user/queue/x", "subscribe /queue/DLQ.q", "subscribe /queue/q",
		"send /topic/a", "send /user/queue/a", "send /app/a", "send /user/a%2Fb/queue/x",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// spell writes a canonical destination in another way that means the same to the
// broker. how chooses.
func spell(destination, command, user string, how uint32) string {
	bit := func() bool { b := how&1 == 1; how >>= 1; return b }
	if command == "SUBSCRIBE" && bit() {
		if rest, ok := strings.CutPrefix(destination, "/user/queue/"); ok {
			destination = "/user/" + strings.ReplaceAll(user, "/", "%2F") + "/queue/" + rest
		} else if rest, ok := strings.CutPrefix(destination, "/queue/"); ok {
			destination = "/queue/DLQ." + rest
		}
	}
	if rest, ok := strings.CutPrefix(destination, "/app/"); ok && command == "SEND" {
		if bit() {
			destination = "/user/topic/" + rest
		} else if bit() {
			destination = "/user/queue/" + rest
		}
	}
	if rest, ok := strings.CutPrefix(destination, "/user/"); bit() && ok { // only in a user's name, elsewhere these are two destinations
		name, tail, _ := strings.Cut(rest, "/")
		destination = "/user/" + strings.ReplaceAll(name, "%2F", "%2f") + "/" + tail
	}
	var b strings.Builder
	for i, c := range destination {
		b.WriteRune(c)
		// Before a prefix or a user's name an empty segment is refused anyway.
		if c == '/' && i > 0 && bit() {
			b.WriteByte('/')
		}
	}
	if bit() {
		b.WriteByte('/')
	}
	return b.String()
}

// FuzzDenyHoldsForEverySpelling denies a destination, and tries another spelling
// of it.
func FuzzDenyHoldsForEverySpelling(f *testing.F) {
	for how := range uint32(64) {
		f.Add("/topic/a/b", true, how)
		f.Add("/queue/a/b", true, how)
		f.Add("/user/queue/a", true, how)
		f.Add("/app/a", false, how)
		f.Add("/user/acme%2Fboss/queue/x", false, how)
		f.Add("/user/acme%2Fboss/quepe/x", true, how)
		f.Add("/user/ann/a%2Fb/x", false, how)
	}
	f.Fuzz(func(t *testing.T, destination string, subscribe bool, how uint32) {
		act, command := auth.Send, "SEND"
		if subscribe {
			act, command = auth.Subscribe, "SUBSCRIBE"
		}
		if strings.ContainsAny(destination, "{}*?\\:\r\n\x00") || len(destination) > 100 {
			return
		}
		authorizer, err := auth.NewRules(deny(destination, act), everything())
		if err != nil {
			return
		}
		b := newBroker(t, broker.Options{Authorizer: authorizer})
		handle(t, b, "/**", func(context.Context, *broker.Request) error { return nil })
		c := brokertest.Connect(t, b, "login", "acme/boss")
		c.Send(command, "", "id", "1", "destination", destination, "receipt", "r")
		if got, err := c.Receive(); err != nil || got.Command != "ERROR" {
			t.Fatalf("%s %q: %v, %v", command, destination, got, err)
		}
		spelt := spell(destination, command, "acme/boss", how)
		c = brokertest.Connect(t, b, "login", "acme/boss")
		c.Send(command, "", "id", "1", "destination", spelt, "receipt", "r")
		if got, err := c.Receive(); err != nil || got.Command != "ERROR" {
			t.Fatalf("%q is denied, but %s %q: %v, %v", destination, command, spelt, got, err)
		}
	})
}
