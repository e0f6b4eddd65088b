package main

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth/oauth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// E-1: the whole story, steps 1 to 11, in under 2 s.
func TestE1Story(t *testing.T) {
	s := start(t, nil)
	began := time.Now()
	alice := s.visitor(t)
	w := alice.signIn("alice")
	page := connect(t, s.o.Provider, alice.waitTicket(w))
	replies, results := page.register(w.id)
	page.expect(replies, registered(w.id))
	s.visitor(t).answer(w, "approve")
	page.expect(results, result(w.id, "CONFIRMED"))
	alice.goOn(w)

	window := connect(t, s.o.App, alice.appTicket())
	readings := window.subscribe("/user/queue/readings")
	select {
	case m := <-readings.C:
		if m.Err != nil || !strings.Contains(string(m.Body), `"temperature"`) {
			t.Errorf("%v", m)
		}
	case <-time.After(patience):
		t.Error("the background job brings nothing")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	s.nothingSecretLogged(t)
}

// E-3: approved before the page registers; it is told once.
func TestE3Early(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	w := alice.signIn("alice")
	s.visitor(t).answer(w, "approve")
	page := connect(t, s.o.Provider, alice.waitTicket(w))
	replies, results := page.register(w.id)
	page.expect(replies, registered(w.id))
	page.expect(results, result(w.id, "CONFIRMED"))
	if err := page.Disconnect(); err != nil {
		t.Fatal(err)
	}
	if m, ok := testkit.ReceiveOK(t, results.C); ok && m.Err == nil {
		t.Errorf("told again: %s", m.Body)
	}
	alice.goOn(w)
}

// W-10: the notification carries no authority. A page that acts as if it had
// been told gets no further until the phone has answered: the authorize
// endpoint decides.
func TestW10NoAuthority(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	w := alice.signIn("alice")
	for _, try := range []func() (*http.Response, string){
		func() (*http.Response, string) { return alice.do("GET", w.url, nil) },
		func() (*http.Response, string) {
			return alice.do("POST", s.o.Provider+"/consent", url.Values{"id": {w.id}, "decision": {"allow"}})
		},
		func() (*http.Response, string) { return alice.do("GET", w.url, nil) },
	} {
		resp, _ := try()
		if at := resp.Request.URL; at.Host == strings.TrimPrefix(s.o.App, "http://") || at.Query().Has("code") {
			t.Fatalf("without an answer from the phone it came to %v", at)
		}
	}
	s.visitor(t).answer(w, "approve")
	alice.goOn(w)
}

// E-4: an attacker who knows the id and has a good ticket, his own, gets
// nothing, and the owner does not notice.
func TestE4Thief(t *testing.T) {
	s := start(t, nil)
	alice, bob := s.visitor(t), s.visitor(t)
	hers, his := alice.signIn("alice"), bob.signIn("bob")
	thief := connect(t, s.o.Provider, bob.waitTicket(his))
	stolen, loot := thief.register(hers.id)
	thief.expect(stolen, `{"webSocketId":"`+hers.id+`","registrationSucceeded":false}`)
	if resp, _ := bob.do("POST", s.o.Provider+"/wait/"+hers.id+"/ws_ticket", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a ticket for another's operation: %s", resp.Status)
	}

	page := connect(t, s.o.Provider, alice.waitTicket(hers))
	replies, results := page.register(hers.id)
	page.expect(replies, registered(hers.id))
	s.visitor(t).answer(hers, "approve")
	page.expect(results, result(hers.id, "CONFIRMED"))
	thief.send("/app/registration", `{"webSocketId":"`+his.id+`"}`)
	thief.expect(stolen, registered(his.id))
	s.visitor(t).answer(his, "deny")
	thief.expect(loot, result(his.id, "CANCELED")) // the first that comes is his own (E-16)
	if resp, _ := bob.do("GET", hers.url, nil); resp.Request.URL.Path != "/authorize" || resp.StatusCode != http.StatusOK {
		t.Errorf("with her URL bob is at %s", resp.Request.URL.Path) // a wait of his own
	}
	alice.goOn(hers)
}

// E-5: nobody listens to others or speaks in their name, signed in or waiting.
func TestE5Eavesdropper(t *testing.T) {
	s := start(t, nil)
	bob := s.visitor(t).signedIn("bob")
	waiting := s.visitor(t)
	w := waiting.signIn("bob")
	for _, who := range []struct {
		name string
		dial func() *socket
	}{
		{"signed in", func() *socket { return connect(t, s.o.App, bob.appTicket()) }},
		{"waiting", func() *socket { return connect(t, s.o.Provider, waiting.waitTicket(w)) }},
	} {
		attempts := make(map[string]*socket) // all at once: who is refused often waits
		for _, destination := range []string{
			"/topic/**", "/user/**", "/topic/authorization-user1", "/user/alice/queue/readings", "/user/*/queue/readings",
			"/user/queue/requests", "/queue/readings",
		} {
			c := who.dial()
			_, _ = c.Subscribe(destination, 0) // the answer is the socket's end
			attempts["subscribe "+destination] = c
		}
		for _, destination := range []string{
			"/topic/x", "/user/alice/queue/readings", "/user/alice/topic/authorization", "/user/topic/authorization", "/queue/readings",
		} {
			c := who.dial()
			_ = c.Send(destination, "text/plain", []byte("x"))
			attempts["send "+destination] = c
		}
		for attempt, c := range attempts {
			if err := c.ended(patience); err == nil || !strings.Contains(err.Error(), "server sent ERROR") {
				t.Errorf("%s, %s: %v", who.name, attempt, err)
			}
		}
	}
}

// E-10: a session is renewed in place with a new ticket, and ends with its
// credential.
func TestE10Renewal(t *testing.T) {
	const ttl = 10 * time.Second // enough for a busy machine to come to the renewal
	s := start(t, func(o *options) { o.SessionTTL = ttl })
	since := time.Now()
	alice := s.visitor(t).signedIn("alice")
	window := connect(t, s.o.App, alice.appTicket())
	notices := window.subscribe("/user/topic/session")
	window.send("/app/session/refresh", `{"ticket":"`+alice.appTicket()+`"}`)
	for {
		m := testkit.Receive(t, notices.C)
		if m == nil || m.Err != nil {
			t.Fatalf("%v", m)
		}
		if strings.Contains(string(m.Body), `"auth-renewed"`) {
			break
		}
	}
	session := window.Header().Get("session")
	if err := window.ended(ttl + patience); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("the socket of %s ended with %v, want the end of its credential", session, err)
	}
	if d := time.Since(since); d < ttl {
		t.Errorf("it ended after %v", d)
	}
	if resp, _ := alice.do("POST", s.o.App+"/ws_ticket", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a ticket after the session: %s", resp.Status)
	}
	s.nothingSecretLogged(t)
}

// E-11: "log out everywhere" closes all windows in under a second, unused
// tickets are dead, and the tokens with them.
func TestE11Everywhere(t *testing.T) {
	s := start(t, nil)
	one, other, bob := s.visitor(t).signedIn("alice"), s.visitor(t).signedIn("alice"), s.visitor(t).signedIn("bob")
	windows := []*socket{connect(t, s.o.App, one.appTicket()), connect(t, s.o.App, other.appTicket())}
	bystander := connect(t, s.o.App, bob.appTicket())
	unused := other.appTicket()
	one.do("POST", s.o.App+"/oauth/logout", url.Values{"all": {"true"}})
	for _, w := range windows {
		if err := w.ended(patience); err == nil || !strings.Contains(err.Error(), "session revoked") {
			t.Errorf("%v", err)
		}
	}
	if _, err := dial(t, s.o.App, unused); err == nil {
		t.Error("an unused ticket still lets in")
	}
	for _, v := range []*visitor{one, other} {
		if resp, _ := v.do("POST", s.o.App+"/ws_ticket", nil); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a new ticket: %s", resp.Status)
		}
	}
	if _, err := s.client.Token(t.Context(), "alice", providerName); !errors.Is(err, oauth.ErrNoToken) {
		t.Errorf("alice's token: %v", err)
	}
	if n := s.count("/revoke"); n != 2 { // refresh token and access token
		t.Errorf("%d tokens were revoked at the authorization server", n)
	}
	if err := bystander.Err(); err != nil {
		t.Errorf("somebody else was logged out: %v", err)
	}
	s.nothingSecretLogged(t)
}

// A broker that was restarted while a page waits knows its operation again, and
// the page comes back with a new ticket (E-8, with one broker).
func TestRestart(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	w := alice.signIn("alice")
	page := connect(t, s.o.Provider, alice.waitTicket(w))
	replies, _ := page.register(w.id)
	page.expect(replies, registered(w.id))
	old := alice.waitTicket(w)
	if resp, _ := alice.do("POST", s.o.Provider+"/device/restart", nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	page.ended(patience) // whatever it was told
	if _, err := dial(t, s.o.Provider, old); err == nil {
		t.Error("a ticket outlived its broker")
	}
	page = connect(t, s.o.Provider, alice.waitTicket(w))
	replies, results := page.register(w.id)
	page.expect(replies, registered(w.id))
	s.visitor(t).answer(w, "approve")
	page.expect(results, result(w.id, "CONFIRMED"))
	alice.goOn(w)
}

// A user whose grant has ended hears of it.
func TestReconsent(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t).signedIn("alice")
	window := connect(t, s.o.App, alice.appTicket())
	notices := window.subscribe("/user/queue/notices")
	window.sync()
	s.reconsent("alice", providerName)
	window.expect(notices, `{"event":"reconsent"}`)
}
