//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// a hundred callers ask for a token that has expired. The broker asks the
// provider once, and all get the new token.
func TestA12OneRefreshForAHundredRequests(t *testing.T) {
	p, d := newProvider(t), newDoor(t)
	p.short = true // the token of the login has expired
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	login(t, s)
	token := s.token(t)
	renewed := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.renewed
	}
	const n = 100
	for round, want := range []int{1, 1} { // the second round finds what the first has got
		answers := make([]string, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				r, err := http.NewRequestWithContext(t.Context(), "GET", s.admin+"/api/v1/users/ann/tokens/test", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+token)
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				defer res.Body.Close()
				var got struct {
					Token string `json:"access_token"`
				}
				if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode != http.StatusOK {
					t.Errorf("HTTP %d, %v", res.StatusCode, err)
				}
				answers[i] = got.Token
			})
		}
		testkit.Wait(t, &all)
		for _, a := range answers {
			if a == "" || a != answers[0] {
				t.Fatalf("round %d: the callers got different tokens", round)
			}
		}
		p.mu.Lock()
		good := p.access[answers[0]] == "ann"
		p.mu.Unlock()
		if got := renewed(); got != want || !good {
			t.Errorf("round %d: %d refreshes, want %d; the token is good: %v", round, got, want, good)
		}
	}
}

// E-8: the broker is killed while a page waits. The page comes back to the next one
// with a new ticket. When the site has announced the operation again it registers
// and gets its result.
func TestE8KilledWhileAPageWaits(t *testing.T) {
	const admin = "HOOFBEAT_ADMIN_TOKEN=" + testToken
	s := serveWith(t, process.Options{Restartable: true, Env: []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_FIRST_FRAME=false", admin}})
	page := func() *waiter {
		t.Helper()
		ticket := adminTicket(t, s, `{"user":"visitor-1","operation":"login-1"}`)
		return newWaiter(t, connectAs(t, "visitor-1", s.url+"?ticket="+ticket, client.Options{}))
	}
	id := announce(t, s, "login-1", `{}`)
	first := page()
	if ok, _ := first.register(t, id); !ok {
		t.Fatal("the page may not wait")
	}
	old := adminTicket(t, s, `{"user":"visitor-1","operation":"login-1"}`)
	s.Kill(t)
	next := s.Restart(t)
	s = &server{next, next.URL, next.Admin, next.TCP}
	if conn, err := dial(t, s.url+"?ticket="+old, client.Options{}); err == nil {
		t.Errorf("a ticket of the killed broker connects %s", conn.Header().Get("user-name"))
	}
	if again := announce(t, s, "login-1", `{}`); again != id {
		t.Errorf("the operation has the webSocketId %.10s now, and had %.10s", again, id)
	}
	second := page()
	if ok, _ := second.register(t, id); !ok {
		t.Fatal("the page may not wait after the restart")
	}
	if status := s.call(t, "POST", "/api/v1/operations/login-1/result", `{"result":"CONFIRMED"}`, nil); status != http.StatusOK {
		t.Fatalf("HTTP %d", status)
	}
	if m := receive(t, second.results); string(m.Body) != result(id, `"CONFIRMED"`) {
		t.Errorf("the page is told %s", m.Body)
	}
}
