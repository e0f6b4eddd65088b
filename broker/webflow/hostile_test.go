package webflow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// E-4: another user that knows the operation and its webSocketId cannot use
// them.
func TestE4StrangerCannotTakeOrCancel(t *testing.T) {
	for _, owner := range []webflow.Owner{user("alice"), {}} {
		var d diary
		b, f := start(t, d.in(webflow.Options{}))
		id, err := f.Open(t.Context(), webflow.Operation{ID: "op", Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		thief := connect(t, b, "login", "mallory", "scopes", "operation:of-his-own")
		thief.subscribe("r", subRegistration)
		thief.subscribe("a", subAuthorization)
		thief.register(id) // before the owner
		alice := connect(t, b, "login", "alice", "scopes", "operation:op")
		alice.subscribe("r", subRegistration)
		alice.subscribe("a", subAuthorization)
		alice.register(id)
		want(t, alice, accepted(id))
		thief.register(id) // and after
		thief.register(id, "poll-token", "AAAAAAAAAAAAAAAAAAAAAA", "login", "alice", "session", alice.Session)
		want(t, thief, rejected(id), rejected(id), rejected(id))
		thief.do("DISCONNECT", "", "receipt", "sync")
		thief.Close()
		want(t, alice)
		notify(t, f, "op", "CONFIRMED", true)
		want(t, alice, told(id, "CONFIRMED"))
		_ = f.Close()
		if e := d.wantEvents(t, "registered")[0]; e.User != "alice" {
			t.Errorf("%+v", e)
		}
	}
}

// A non-owner gets the same answer for another user's operation, in any state,
// as for one that does not exist.
func TestE4NothingTellsWhetherAnOperationExists(t *testing.T) {
	b, f := start(t, webflow.Options{})
	open(t, f, "waiting", user("alice"))
	open(t, f, "taken", user("alice"))
	open(t, f, "done", user("alice"))
	alice := page(t, b, "alice", "auto")
	alice.register("ws-taken")
	notify(t, f, "done", "DONE", false)
	thief := stranger(t, b, "login", "mallory")
	var reply string
	for _, id := range []string{"ws-none", "ws-waiting", "ws-taken", "ws-done"} {
		thief.register(id)
		m := want(t, thief, rejected(id))[0]
		var text []string
		for _, h := range m.Headers {
			if h.Name != "message-id" && h.Name != "content-length" {
				text = append(text, h.Name+":"+h.Value)
			}
		}
		if got := strings.Join(text, "\n"); reply == "" {
			reply = got
		} else if got != reply {
			t.Errorf("%s is told\n%s\nwant\n%s", id, got, reply)
		}
	}
	if s := f.Stats(); s.Sessions != 1 {
		t.Errorf("the thief left something: %+v", s)
	}
}

// E-5: no subscription shows a user another user's data.
func TestE5NobodyCanListen(t *testing.T) {
	for name, authorizer := range map[string]auth.Authorizer{"open": auth.Open(), "guarded": auth.Guarded()} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authenticator: credentials, Authorizer: authorizer})
			f, err := webflow.New(b, webflow.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			open(t, f, "op", user("alice"))
			alice := page(t, b, "alice", "auto")
			guesses := []string{
				"/topic/**", "/topic/*", "/queue/**", "/user/**", "/user/*", "/**", "/*/**", "/user/topic/*", "/user/topic/**", "/user/*/topic/authorization",
				"/topic/authorization", "/topic/registration", "/app/authorization", "/app/registration",
				"/topic/authorization-user" + alice.Session, "/topic/registration-user" + alice.Session, "/queue/authorization-user" + alice.Session,
				"/user/alice/topic/authorization", "/user/" + alice.Session + "/topic/authorization", "/user/alice/topic/registration",
				"/user/alice%2Ftopic/authorization", "/USER/topic/authorization", "/user//topic/authorization", subAuthorization, subRegistration,
			}
			var spies []*brokertest.Client
			for i, g := range guesses { // a refusal ends the session and delays the next attempt: each guess has its own session and name
				c := brokertest.Connect(t, b, "login", fmt.Sprint("mallory", i))
				c.Send("SUBSCRIBE", "", "id", "spy", "destination", g)
				c.Send("UNSUBSCRIBE", "", "id", "none", "receipt", "handled")
				for {
					fr, err := c.Receive()
					if err != nil || fr.Get("receipt-id") == "handled" {
						break
					}
				}
				spies = append(spies, c)
			}
			alice.register("ws-op")
			notify(t, f, "op", "CONFIRMED", true)
			want(t, alice, accepted("ws-op"), told("ws-op", "CONFIRMED"))
			for i, c := range spies {
				c.Send("UNSUBSCRIBE", "", "id", "none", "receipt", "end")
				for {
					fr, err := c.Receive()
					if err != nil || fr.Get("receipt-id") == "end" {
						break
					}
					if fr.Command == "MESSAGE" {
						t.Errorf("%s got %s", guesses[i], fr.Body)
					}
				}
			}
		})
	}
}

// E-5: nothing that another client sends reaches a waiting page.
func TestE5NobodyCanForge(t *testing.T) {
	for name, authorizer := range map[string]auth.Authorizer{"open": auth.Open(), "guarded": auth.Guarded()} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Authenticator: credentials, Authorizer: authorizer})
			f, err := webflow.New(b, webflow.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			open(t, f, "op", user("alice"))
			alice := page(t, b, "alice", "auto")
			alice.register("ws-op")
			want(t, alice, accepted("ws-op"))
			for i, destination := range []string{
				"/topic/authorization", "/topic/authorization-user" + alice.Session, "/queue/authorization-user" + alice.Session,
				"/user/alice/topic/authorization", "/user/" + alice.Session + "/topic/authorization", "/user/alice/topic/registration",
				subAuthorization, "/app/authorization", "/app/topic/authorization", "/user/alice%2Ftopic/authorization",
				"/topic/**", "/user/**", "/user/*/topic/authorization",
			} {
				c := brokertest.Connect(t, b, "login", fmt.Sprint("mallory", i)) // a refusal delays the next attempt
				c.Send("SEND", `{"webSocketId":"ws-op","authResult":"CONFIRMED"}`, "destination", destination, "receipt", "handled",
					"simpSessionId", alice.Session, "session", alice.Session, "reply-to", "/user/alice/topic/authorization")
				for {
					if fr, err := c.Receive(); err != nil || fr.Command == "RECEIPT" {
						break
					}
				}
				want(t, alice)
			}
			// A registration that asks for its reply elsewhere.
			thief := connect(t, b, "login", "mallory")
			thief.register("ws-op", "reply-to", "/user/queue/elsewhere", "simpSessionId", alice.Session)
			want(t, alice)
			notify(t, f, "op", "CONFIRMED", true)
			want(t, alice, told("ws-op", "CONFIRMED"))
		})
	}
}

// Errors and State contain nothing that must not be logged.
func TestErrorsHoldNoID(t *testing.T) {
	_, f := start(t, webflow.Options{})
	secret := "se\ncret"
	_, err := f.Open(t.Context(), webflow.Operation{ID: secret})
	_, err2 := f.Open(t.Context(), webflow.Operation{ID: "ok", WebSocketID: secret})
	_, err3 := f.Notify(t.Context(), secret, "DONE")
	_, err4 := f.Notify(t.Context(), "ok", secret)
	for _, err := range []error{err, err2, err3, err4} {
		if err == nil || strings.Contains(err.Error(), "cret") {
			t.Errorf("error %v", err)
		}
	}
}
