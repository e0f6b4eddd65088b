//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// killed kills a broker with SIGKILL and starts it again: the same addresses,
// arguments and files.
func (s *server) killed(t *testing.T) *server {
	t.Helper()
	s.Kill(t)
	next := s.Restart(t)
	return &server{next, s.url, next.Admin, next.TCP} // it may be behind a door
}

// serveKept runs a broker with a store that can be killed and restarted.
func serveKept(t *testing.T, env []string, args ...string) *server {
	t.Helper()
	env = append(env, "HOOFBEAT_ADMIN_TOKEN="+testToken)
	args = append(args, "--store-dir", filepath.Join(t.TempDir(), "store"))
	return serveWith(t, process.Options{Binary: program, Restartable: true, Env: env, Args: args})
}

// Tickets and revocations survive kill -9: an unused ticket connects once, a
// used one never again, and who was revoked stays so.
func TestTicketsSurviveAKill(t *testing.T) {
	for _, signed := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			t.Parallel()
			env := []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_TICKETS_TTL=1h"}
			if signed {
				env = append(env, "HOOFBEAT_AUTH_TICKETS_SIGNED=true", "HOOFBEAT_AUTH_TICKETS_SECRET=0123456789abcdef0123456789abcdef")
			}
			s := serveKept(t, env)
			ticket := func(user string) string { return adminTicket(t, s, fmt.Sprintf(`{"user":%q,"roles":["r"]}`, user)) }
			unused, used, revoked := ticket("ann"), ticket("bob"), ticket("carol")
			connectAs(t, "bob", s.url+"?ticket="+used, client.Options{})
			if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"carol"}`, nil); status != http.StatusOK {
				t.Fatalf("revocation: HTTP %d", status)
			}
			s = s.killed(t)
			connectAs(t, "ann", s.url+"?ticket="+unused, client.Options{})
			for name, bad := range map[string]string{"used now": unused, "used before": used, "of a revoked user": revoked} {
				if conn, err := dial(t, s.url+"?ticket="+bad, client.Options{}); err == nil {
					t.Errorf("a ticket %s connects %s", name, conn.Header().Get("user-name"))
				}
			}
			connectAs(t, "carol", s.url+"?ticket="+ticket("carol"), client.Options{}) // a new one is good
			s = s.killed(t)
			if conn, err := dial(t, s.url+"?ticket="+unused, client.Options{}); err == nil {
				t.Errorf("a used ticket connects %s after another kill", conn.Header().Get("user-name"))
			}
		})
	}
}

// A page waits, and the broker is killed. The page comes back with a new ticket
// and gets its result without the site announcing the operation again. What it
// acknowledged does not come again after the next kill.
func TestWaitSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := serveKept(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_FIRST_FRAME=false", "HOOFBEAT_WEBFLOW_TTL=1h"})
	page := func() *waiter {
		t.Helper()
		ticket := adminTicket(t, s, `{"user":"visitor-1","operation":"login-1"}`)
		return newWaiter(t, connectAs(t, "visitor-1", s.url+"?ticket="+ticket, client.Options{}))
	}
	report := func(want int) {
		t.Helper()
		if status := s.call(t, "POST", "/api/v1/operations/login-1/result", `{"result":"CONFIRMED"}`, nil); status != want {
			t.Fatalf("reporting: HTTP %d", status)
		}
	}
	id := announce(t, s, "login-1", `{}`)
	first := page()
	ok, token := first.register(t, id)
	if !ok {
		t.Fatal("the page may not wait")
	}
	s = s.killed(t)
	var o struct {
		Registered bool
		Result     string
	}
	brokertest.Eventually(t, "the page of the killed broker does not wait any more", func() bool {
		o.Registered = true
		return s.call(t, "GET", "/api/v1/operations/login-1", "", &o) == http.StatusOK && !o.Registered
	})
	report(http.StatusOK)
	s = s.killed(t)
	if status, body := poll(t, s, id, http.Header{"Poll-Token": {token}}); status != http.StatusOK || !strings.Contains(body, "CONFIRMED") {
		t.Errorf("poll: HTTP %d %s", status, body)
	}
	second := page()
	if ok, _ := second.register(t, id); !ok {
		t.Fatal("the page may not wait after the restart")
	}
	if m := receive(t, second.results); string(m.Body) != result(id, `"CONFIRMED"`) {
		t.Errorf("the page is told %s", m.Body)
	}
	if status := s.call(t, "POST", "/api/v1/operations/login-1/result", `{"result":"CANCELED"}`, nil); status != http.StatusConflict {
		t.Errorf("another result: HTTP %d", status)
	}
}

// A login survives kill -9, with its tokens: the cookie is good, and so is the
// token for the back end. A logout survives as well.
func TestLoginSurvivesAKill(t *testing.T) {
	t.Parallel()
	p, d := newProvider(t), newDoor(t)
	env := []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret", "HOOFBEAT_AUTH_SESSIONS_TOKEN_STORE_KEY=" + fmt.Sprintf("%064x", 5)}
	s := d.leadTo(serveKept(t, env, "-c", oauthConfig(t, p, d.address)))
	browser, page := login(t, s)
	_, other := login(t, s)
	connectAs(t, "ann", s.url, client.Options{Header: page})
	s = s.killed(t)
	conn := connectAs(t, "ann", s.url, client.Options{Header: page})
	if status := s.call(t, "GET", "/api/v1/users/ann/tokens/test", "", nil); status != http.StatusOK {
		t.Errorf("the token of the user: HTTP %d", status)
	}
	if status, _ := send(t, browser, "POST", s.web()+"/oauth/logout", http.Header{"Origin": {s.web()}}, ""); status != 404 {
		t.Errorf("logout: HTTP %d", status)
	}
	closed(t, conn, 1008)
	s = s.killed(t)
	refused(t, http.StatusUnauthorized, s.url, client.Options{Header: page})
	connectAs(t, "ann", s.url, client.Options{Header: other})
}

// The tokens of a file move into the store, once. No file of the store contains
// one.
func TestTokenFileMovesIntoTheStore(t *testing.T) {
	t.Parallel()
	p, d := newProvider(t), newDoor(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	env := []string{
		"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret", "HOOFBEAT_AUTH_SESSIONS_TOKEN_STORE=" + file,
		"HOOFBEAT_AUTH_SESSIONS_TOKEN_STORE_KEY=" + fmt.Sprintf("%064x", 5), "HOOFBEAT_ADMIN_TOKEN=" + testToken,
	}
	conf := oauthConfig(t, p, d.address)
	s := d.leadTo(serve(t, env, "-c", conf))
	login(t, s)
	s.Stop(t)
	for range 2 {
		s = serve(t, env, "-c", conf, "--store-dir", filepath.Join(dir, "store"))
		if status := s.call(t, "GET", "/api/v1/users/ann/tokens/test", "", nil); status != http.StatusOK {
			t.Errorf("the token of the user: HTTP %d", status)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("the file is still there: %v", err)
		}
		if _, err := os.Stat(file + ".moved"); err != nil {
			t.Error(err)
		}
		s.Stop(t)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err := filepath.WalkDir(filepath.Join(dir, "store"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for access := range p.access {
			if strings.Contains(string(content), access) {
				t.Errorf("%s contains an access token", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
