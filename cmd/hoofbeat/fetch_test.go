//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// resources is a site with mail and tasks for the users of a provider.
type resources struct {
	*httptest.Server
	p *provider

	mu      sync.Mutex
	unread  map[string]int
	answers int           // with a good token
	strays  int           // requests with a token that is not good
	held    chan struct{} // the requests that were refused together, see expire
	holds   int
}

func newResources(t *testing.T, p *provider) *resources {
	t.Helper()
	site := &resources{p: p, unread: make(map[string]int)}
	site.Server = httptest.NewServer(site)
	t.Cleanup(site.Close)
	return site
}

func (site *resources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	site.p.mu.Lock()
	user := site.p.access[token]
	site.p.mu.Unlock()
	if user == "" {
		site.refuse(w, r)
		return
	}
	site.mu.Lock()
	unread := site.unread[user]
	site.answers++
	site.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	fmt.Fprintf(w, `{"at":%q,"for":%q,"unread":%d}`, r.URL.Path, user, unread)
}

// refuse answers a bad token, and the next two that are expected only together.
func (site *resources) refuse(w http.ResponseWriter, r *http.Request) {
	site.mu.Lock()
	site.strays++
	held := site.held
	if held != nil && site.holds > 0 {
		if site.holds--; site.holds == 0 {
			close(held)
		}
	}
	site.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// expire makes all access tokens bad. The next n requests with them are refused when
// they have all come.
func (site *resources) expire(n int) {
	site.mu.Lock()
	site.held, site.holds = nil, n
	if n > 0 {
		site.held = make(chan struct{})
	}
	site.mu.Unlock()
	site.p.mu.Lock()
	clear(site.p.access)
	site.p.mu.Unlock()
}

func (site *resources) set(user string, unread int) {
	site.mu.Lock()
	site.unread[user] = unread
	site.mu.Unlock()
}

func mail(user string, unread int) string {
	return fmt.Sprintf(`{"at":"/mail","for":%q,"unread":%d}`, user, unread)
}

// datum asks for what was fetched and returns the whole answer.
func datum(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if cache, cors := resp.Header.Get("Cache-Control"), resp.Header.Get("Access-Control-Allow-Origin"); cache != "no-store" || cors != "" {
		t.Errorf("%s %s: Cache-Control %q, Access-Control-Allow-Origin %q", method, url, cache, cors)
	}
	return resp, string(body)
}

// becomes waits for an answer for the user of a page.
func becomes(t *testing.T, url string, page http.Header, want string) *http.Response {
	t.Helper()
	var last *http.Response
	brokertest.Eventually(t, url+" is "+want, func() bool {
		resp, body := datum(t, "GET", url, page)
		last = resp
		return resp.StatusCode == http.StatusOK && body == want
	})
	return last
}

// Steps 13 to 16 of the contract: the broker uses the tokens of users while no
// window of theirs is open, and has the answers when one is opened.
func TestFetchesForUsersWithoutAWindow(t *testing.T) {
	p, d := newProvider(t), newDoor(t)
	p.short = true
	site := newResources(t, p)
	site.set("ann", 1)
	s := d.leadTo(serve(t, nil, "-c", write(t, "hoofbeat.yaml", fmt.Sprintf(`
log: {level: debug}
auth:
  oauth:
    - name: test
      issuer: %q
      client_id: broker
      client_secret: oauth-secret-of-the-test
      scopes: [openid]
      redirect_url: "http://%s/oauth/callback"
      fetch:
        - {name: mail, url: "%s/mail", every: 1s, destination: /user/queue/mail}
        - {name: tasks, url: "%[3]s/tasks", every: 1s}
`, p.URL, d.address, site.URL))))

	_, ann := login(t, s)
	resp := becomes(t, s.web()+"/data/mail", ann, mail("ann", 1))
	if kind := resp.Header.Get("Content-Type"); kind != "application/json" || resp.Header.Get("Last-Modified") == "" {
		t.Errorf("header %v", resp.Header)
	}
	becomes(t, s.web()+"/data/tasks", ann, strings.Replace(mail("ann", 1), "mail", "tasks", 1))
	if n := s.stats(t).Sessions; n != 0 {
		t.Fatalf("%d windows are open", n)
	}
	// The token of the login had expired: both resources waited for one refresh.
	renewals := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.renewed
	}
	site.mu.Lock()
	strays := site.strays
	site.mu.Unlock()
	if n := renewals(); n != 1 || strays != 0 {
		t.Errorf("%d refreshes and %d requests with a bad token, want 1 and 0", n, strays)
	}
	// So does one that the resources refuse.
	site.set("ann", 2)
	site.expire(2)
	becomes(t, s.web()+"/data/mail", ann, mail("ann", 2))
	becomes(t, s.web()+"/data/tasks", ann, strings.Replace(mail("ann", 2), "mail", "tasks", 1))
	if n := renewals(); n != 2 {
		t.Errorf("%d refreshes, want 2", n)
	}

	t.Run("nobody else", func(t *testing.T) {
		p.mu.Lock()
		p.user = "bob"
		p.mu.Unlock()
		_, bob := login(t, s)
		becomes(t, s.web()+"/data/mail", bob, mail("bob", 0))
		becomes(t, s.web()+"/data/mail", ann, mail("ann", 2))
		for _, c := range []struct {
			name, method, path string
			header             http.Header
			want               int
		}{
			{"nobody", "GET", "/data/mail", nil, 401},
			{"a wrong cookie", "GET", "/data/mail", http.Header{"Cookie": {"hoofbeat=" + random()}}, 401},
			{"another name", "GET", "/data/other", ann, 404},
			{"POST", "POST", "/data/mail", ann, 405},
		} {
			if resp, body := datum(t, c.method, s.web()+c.path, c.header); resp.StatusCode != c.want || strings.Contains(body, "unread") {
				t.Errorf("%s: HTTP %d %s, want %d", c.name, resp.StatusCode, body, c.want)
			}
		}

		// News is published to its user alone.
		hers := subscribed(t, connectAs(t, "ann", s.url, client.Options{Header: ann}), "/user/queue/mail")
		his := subscribed(t, connectAs(t, "bob", s.url, client.Options{Header: bob}), "/user/queue/mail")
		site.set("ann", 3)
		if m := receive(t, hers); string(m.Body) != mail("ann", 3) || m.ContentType != "application/json" {
			t.Errorf("ann is told %s, %s", m.ContentType, m.Body)
		}
		site.set("bob", 7)
		if m := receive(t, his); string(m.Body) != mail("bob", 7) {
			t.Errorf("bob is told %s", m.Body)
		}
		becomes(t, s.web()+"/data/mail", ann, mail("ann", 3))
	})

	// The provider takes back what it has granted.
	p.mu.Lock()
	p.user, p.refuse = "", true
	p.mu.Unlock()
	told := subscribed(t, connectAs(t, "ann", s.url, client.Options{Header: ann}), "/user/topic/session")
	site.expire(0)
	var notice struct{ Event, Provider string }
	if m := receive(t, told); json.Unmarshal(m.Body, &notice) != nil || notice.Event != "reconsent-needed" || notice.Provider != "test" {
		t.Errorf("ann is told %s", m.Body)
	}
	if status := s.call(t, "GET", "/api/v1/users/ann/tokens/test", "", nil); status != http.StatusConflict {
		t.Errorf("the API says HTTP %d", status)
	}
	brokertest.Eventually(t, "the last answer says so", func() bool {
		resp, body := datum(t, "GET", s.web()+"/data/mail", ann)
		return resp.Header.Get("Hoofbeat-Reconsent-Needed") == "test" && body == mail("ann", 3)
	})
	// She signs in again, and it goes on.
	p.mu.Lock()
	p.refuse = false
	p.mu.Unlock()
	site.set("ann", 4)
	browser, ann := login(t, s)
	if resp := becomes(t, s.web()+"/data/mail", ann, mail("ann", 4)); resp.Header.Get("Hoofbeat-Reconsent-Needed") != "" {
		t.Errorf("header %v", resp.Header)
	}
	send(t, browser, "POST", s.web()+"/oauth/logout", http.Header{"Origin": {s.web()}}, "all=true")
	if resp, body := datum(t, "GET", s.web()+"/data/mail", ann); resp.StatusCode != 401 {
		t.Errorf("after the logout: HTTP %d %s", resp.StatusCode, body)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.secrets {
		if strings.Contains(s.Stderr(), text) {
			t.Errorf("a secret is in the log: %s", s.Stderr())
		}
	}
}

// What auth.sessions.token_store keeps is used after a restart, before anybody has
// signed in again.
func TestFetchesAfterARestart(t *testing.T) {
	p, d := newProvider(t), newDoor(t)
	site := newResources(t, p)
	conf := write(t, "hoofbeat.yaml", fmt.Sprintf(`
auth:
  oauth:
    - name: test
      issuer: %q
      client_id: broker
      client_secret: oauth-secret-of-the-test
      redirect_url: "http://%s/oauth/callback"
      scopes: [openid]
      fetch: [{name: mail, url: "%s/mail", every: 1s}]
  sessions: {token_store: tokens, token_store_key: "%064x"}
`, p.URL, d.address, site.URL, 5))
	s := d.leadTo(serve(t, nil, "-c", conf))
	_, ann := login(t, s)
	becomes(t, s.web()+"/data/mail", ann, mail("ann", 0))
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	before := site.answered()
	s = serve(t, nil, "-c", conf)
	brokertest.Eventually(t, "the resource is asked again", func() bool { return site.answered() > before })
	if resp, body := datum(t, "GET", s.web()+"/data/mail", ann); resp.StatusCode != 401 {
		t.Errorf("with the cookie of the last run: HTTP %d %s", resp.StatusCode, body)
	}
}

func (site *resources) answered() int {
	site.mu.Lock()
	defer site.mu.Unlock()
	return site.answers
}

// subscribed subscribes and waits until the server has confirmed it.
func subscribed(t *testing.T, conn *client.Conn, destination string) *stomp.Subscription {
	t.Helper()
	sub, receipt, err := conn.SubscribeWithReceipt(destination, stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := receipt.Wait(ctx); err != nil {
		t.Fatalf("subscribed to %s: %v", destination, err)
	}
	return sub
}
