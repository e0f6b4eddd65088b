//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// recipesPage is where the recipes are.
const recipesPage = "../../docs/authentication.md"

// yamlBlocks returns the YAML blocks of the page, by the heading that they stand
// below.
func yamlBlocks(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(recipesPage)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	heading := ""
	for _, m := range regexp.MustCompile("(?sm)^## ([^\n]*)$|^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			heading = m[1]
		}
		if m[2] == "yaml" {
			all[heading] = append(all[heading], m[3])
		}
	}
	return all
}

// recipe is one of them, as the test runs it.
type recipe struct {
	heading string
	replace []string          // old, new, old, new: addresses, each of which is in the block
	files   map[string]string // beside the configuration
	door    *door             // to it, when its address is known outside

	// visit returns how a client comes in; it is asked for each client anew.
	visit func(t *testing.T, s *server) visit
	// curl asks what is HTTP.
	curl func(t *testing.T, s *server)
}

// visit is what a client does, whichever it is: connect, listen to /topic/news, and
// send.
type visit struct {
	user  string   // "nobody" when it has no name
	roles []string // of the session

	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"` // of its HTTP requests
	Ticket  string            `json:"ticket,omitempty"`  // where it gets one
	Connect map[string]string `json:"connect,omitempty"` // headers of CONNECT

	Send        string            `json:"send,omitempty"`  // what it may send to, if anything
	Reply       string            `json:"reply,omitempty"` // where it hears of that
	Renew       bool              `json:"renew,omitempty"` // by sending a ticket
	Bare        bool              `json:"bare,omitempty"`  // without a body
	SendHeaders map[string]string `json:"sendHeaders,omitempty"`
	event       string            // what it hears
	Denied      string            `json:"denied"` // what it may not send to
	remote      string            // where it comes from, if a proxy says so
}

// TestRecipes runs the broker with the YAML of each recipe, and three clients
// against it. Only addresses and the names of files are changed.
func TestRecipes(t *testing.T) {
	blocks := yamlBlocks(t)
	list := recipes(t, blocks)
	var tested []string
	for _, r := range list {
		tested = append(tested, r.heading)
	}
	slices.Sort(tested)
	if have := slices.Sorted(maps.Keys(blocks)); !slices.Equal(have, tested) {
		t.Errorf("the page has recipes below %q, and %q are tested", have, tested)
	}
	for _, r := range list {
		t.Run(r.heading, func(t *testing.T) {
			r.run(t, blocks[r.heading])
		})
	}
}

func (r recipe) run(t *testing.T, blocks []string) {
	s := r.serve(t, blocks)
	for name, client := range map[string]func(t *testing.T){
		"curl":     func(t *testing.T) { r.curl(t, s) },
		"stompjs":  func(t *testing.T) { r.visit(t, s).stompjs(t, s) },
		"go-stomp": func(t *testing.T) { r.visit(t, s).gostomp(t, s) },
	} {
		t.Run(name, client)
		brokertest.Eventually(t, "its connections are closed", func() bool { return s.stats(t).Sessions == 0 })
	}
}

// serve starts the broker with the last block of a recipe; one before it is the
// users file.
func (r recipe) serve(t *testing.T, blocks []string) *server {
	t.Helper()
	if len(blocks) == 0 {
		t.Fatal("the page has no such recipe any more")
	}
	text := blocks[len(blocks)-1]
	for i := 0; i < len(r.replace); i += 2 {
		if !strings.Contains(text, r.replace[i]) {
			t.Fatalf("there is no %s to replace in\n%s", r.replace[i], text)
		}
		text = strings.ReplaceAll(text, r.replace[i], r.replace[i+1])
	}
	conf := write(t, "hoofbeat.yaml", text)
	for name, content := range r.files {
		if !strings.Contains(text, name) {
			t.Errorf("the recipe has no file %s", name)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(conf), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, 0, nil, "config", "check", "-c", conf)
	env := []string{"HOOFBEAT_ADMIN_TOKEN=" + testToken}
	s := serve(t, env, "-c", conf)
	if r.door != nil {
		r.door.leadTo(s)
	}
	return s
}

const page = "https://app.example.com" // the origin of the page's examples

func recipes(t *testing.T, blocks map[string][]string) []recipe {
	t.Helper()
	p := newRealm(t)
	hook := newBackend(t)
	loginDoor := newDoor(t)
	login := "http://" + loginDoor.address
	ann := user(t, "ann", "wonderland")
	secret := strings.ToLower(strings.Repeat(random(), 2))
	proxyDoor := newDoor(t)
	proxy := newProxy(t, proxyDoor.address)

	if users := blocks["Static users"]; len(users) != 2 || !regexp.MustCompile(`^- name: ann\n  hash: \S+\n  roles: \[writer\]\n$`).MatchString(users[0]) {
		t.Errorf("the users file of the page is %q", users)
	}
	annFile := regexp.MustCompile(`(?m)^  hash: .*$`).ReplaceAllLiteralString(blocks["Static users"][0], "  hash: "+hashOf(ann))

	return []recipe{
		{
			heading: "A browser page with a ticket",
			replace: []string{"https://login.example.com", p.URL},
			visit: func(t *testing.T, s *server) visit {
				return visit{
					user: "ann", URL: s.url, Ticket: s.web() + "/ws_ticket",
					Headers: map[string]string{"Authorization": "Bearer " + p.access("ann"), "Origin": page},
					Send:    "/app/session/refresh", Reply: "/user/topic/session", Renew: true, event: "auth-renewed", Denied: "/topic/news",
				}
			},
			curl: func(t *testing.T, s *server) {
				bearer := "Authorization: Bearer " + p.access("ann")
				wantHTTP(t, 401, `"error"`, "-X", "POST", s.web()+"/ws_ticket")
				wantHTTP(t, 401, `"error"`, "-H", bearer+"x", "-X", "POST", s.web()+"/ws_ticket")
				wantHTTP(t, 403, `"error"`, "-H", bearer, "-H", "Origin: https://evil.example", "-X", "POST", s.web()+"/ws_ticket")
				wantHTTP(t, 200, `"ticket"`, "-H", bearer, s.web()+"/ws_ticket")
				answer := wantHTTP(t, 200, "Access-Control-Allow-Origin: "+page, "-H", bearer, "-H", "Origin: "+page, "-X", "POST", s.web()+"/ws_ticket")
				if !strings.Contains(answer, "Cache-Control: no-store") {
					t.Errorf("T-1: it may be kept:\n%s", answer)
				}
				ticket := regexp.MustCompile(`"ticket":"([^"]+)"`).FindStringSubmatch(answer)[1]
				refusedHandshake(t, 403, "origin not allowed", s.web()+"/ws?ticket="+ticket, "Origin: https://evil.example")
				refusedHandshake(t, 401, "invalid_ticket", s.web()+"/ws?ticket="+ticket) // no page: bound to the origin, and dead now
				refusedHandshake(t, 401, "invalid_ticket", s.web()+"/ws?ticket="+ticket, "Origin: "+page)
				refusedHandshake(t, 400, "must not be in the URL", s.web()+"/ws?access_token=x", "Origin: "+page)
			},
		},
		{
			heading: "A native app with a bearer token",
			replace: []string{"https://login.example.com/realms/main", p.URL, "https://login.example.com/introspect", p.URL + "/introspect"},
			files:   map[string]string{"introspection.secret": realmSecret},
			visit: func(t *testing.T, s *server) visit {
				bearer := map[string]string{"Authorization": "Bearer " + p.access("ann")}
				return visit{
					user: "ann", roles: []string{"writer"}, URL: s.url, Headers: bearer,
					Send: "/app/session/refresh", Reply: "/user/topic/session", Bare: true, SendHeaders: bearer, event: "auth-renewed", Denied: "/topic/news",
				}
			},
			curl: func(t *testing.T, s *server) {
				refusedHandshake(t, 401, `error="invalid_token"`, s.web()+"/ws", "Authorization: Bearer "+p.access("ann")+"x")
				refusedHandshake(t, 401, `error="invalid_token"`, s.web()+"/ws", "Authorization: Bearer opaque-and-unknown")
				// The opaque token of the other server, and both over TCP too.
				connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(p.opaque)})
				connectAs(t, "bob", s.tcp, client.Options{ConnectHeaders: map[string]string{"Authorization": "Bearer " + p.opaque}})
				connectAs(t, "ann", s.tcp, client.Options{ConnectHeaders: map[string]string{"Authorization": "Bearer " + p.access("ann")}})
				wantHTTP(t, 200, `"ticket"`, "-H", "Authorization: Bearer "+p.opaque, s.web()+"/ws_ticket")
			},
		},
		{
			heading: "Your backend decides: Spring, Node, PHP",
			replace: []string{"https://app.example.com/hoofbeat", hook.URL + "/hoofbeat"},
			files:   map[string]string{"webhook.secret": webhookSecret},
			visit: func(t *testing.T, s *server) visit {
				return visit{
					user: "ann", URL: s.url, Connect: map[string]string{"login": "ann", "passcode": "wonderland"},
					Send: "/topic/hooked", Reply: "/topic/hooked", event: "sent", Denied: "/topic/news",
				}
			},
			curl: func(t *testing.T, s *server) {
				refusedHandshake(t, 403, "origin not allowed", s.web()+"/ws", "Origin: https://evil.example", "Cookie: a=b")
				var no *client.RefusedError
				if _, err := dial(t, s.url, client.Options{Login: "ann", Passcode: "wrong"}); !errors.As(err, &no) {
					t.Errorf("a wrong passcode: %v", err)
				}
				hook.mu.Lock()
				defer hook.mu.Unlock()
				if len(hook.questions) == 0 || hook.unsigned != 0 {
					t.Errorf("%d questions, %d of them with a wrong signature", len(hook.questions), hook.unsigned)
				}
			},
		},
		{
			heading: "Login at Keycloak or another OpenID provider",
			door:    loginDoor,
			replace: []string{"https://login.example.com/realms/main", p.URL, page, login},
			files:   map[string]string{"oauth.secret": realmSecret},
			visit: func(t *testing.T, s *server) visit {
				cookie := curlLogin(t, s)
				return visit{
					user: "ann", roles: []string{"writer"}, URL: s.url, Ticket: s.web() + "/ws_ticket",
					Headers: map[string]string{"Cookie": cookie, "Origin": login},
					Send:    "/app/session/refresh", Reply: "/user/topic/session", Renew: true, event: "auth-renewed", Denied: "/topic/news",
				}
			},
			curl: func(t *testing.T, s *server) {
				cookie := "Cookie: " + curlLogin(t, s)
				wantHTTP(t, 405, "Allow: POST", "-H", cookie, "-H", "Origin: "+login, s.web()+"/ws_ticket")
				wantHTTP(t, 403, `"error"`, "-H", cookie, "-X", "POST", s.web()+"/ws_ticket")
				wantHTTP(t, 200, `"ticket"`, "-H", cookie, "-H", "Origin: "+login, "-X", "POST", s.web()+"/ws_ticket")
				refusedHandshake(t, 403, "Origin", s.web()+"/ws", cookie)
				refusedHandshake(t, 403, "origin not allowed", s.web()+"/ws", cookie, "Origin: https://evil.example")
				wantHTTP(t, 400, "", s.web()+"/oauth/callback?code=x&state=y")
				wantHTTP(t, 303, "Location: /", "-H", cookie, "-H", "Origin: "+login, "-X", "POST", s.web()+"/oauth/logout")
				wantHTTP(t, 401, `"error"`, "-H", cookie, "-H", "Origin: "+login, "-X", "POST", s.web()+"/ws_ticket")
			},
		},
		{
			heading: "Static users",
			files:   map[string]string{"users.yaml": annFile},
			visit: func(t *testing.T, s *server) visit {
				return visit{user: "ann", roles: []string{"writer"}, URL: s.url, Connect: map[string]string{"login": "ann", "passcode": "wonderland"}, Denied: "/topic/news"}
			},
			curl: func(t *testing.T, s *server) {
				refusedHandshake(t, 401, `"error"`, s.web()+"/ws", "Authorization: "+basicAuth("ann", "wrong"))
				connectAs(t, "ann", s.url, client.Options{Header: http.Header{"Authorization": {basicAuth("ann", "wonderland")}}})
			},
		},
		{
			heading: "Backends that only publish",
			files:   map[string]string{"tickets.secret": secret + "\n"},
			visit: func(t *testing.T, s *server) visit {
				return visit{
					user: "nobody", roles: []string{auth.RoleBackend}, URL: s.url + "?ticket=" + backendTicket(t, secret),
					Send: "/topic/orders", Reply: "/topic/orders", event: "sent", Denied: "/queue/orders",
				}
			},
			curl: func(t *testing.T, s *server) {
				refusedHandshake(t, 401, "invalid_ticket", s.web()+"/ws?ticket="+backendTicket(t, strings.Repeat("x", 52)))
				wantHTTP(t, 404, "", "-X", "POST", s.web()+"/ws_ticket") // nobody could ask there
			},
		},
		{
			heading: "Rules",
			visit: func(t *testing.T, s *server) visit {
				return visit{user: "nobody", URL: s.url, Denied: "/topic/news"}
			},
			curl: func(t *testing.T, s *server) {
				refusedHandshake(t, 403, "origin not allowed", s.web()+"/ws", "Origin: https://evil.example")
				wantHTTP(t, 403, "origin not allowed", "-X", "POST", "-H", "Origin: https://evil.example", s.web()+"/ws/000/a/xhr")
				wantHTTP(t, 200, "Welcome to SockJS!", s.web()+"/ws")
			},
		},
		{
			heading: "Reverse proxies",
			door:    proxyDoor,
			replace: []string{"127.0.0.1:8080", "127.0.0.1:0"},
			files:   map[string]string{"users.yaml": annFile},
			visit: func(t *testing.T, s *server) visit {
				return visit{
					user: "ann", URL: "wss" + strings.TrimPrefix(proxy, "https") + "/ws", Headers: map[string]string{"Origin": "https://shop.apps.example.com"},
					Connect: map[string]string{"login": "ann", "passcode": "wonderland"}, Denied: "/topic/news", remote: "198.51.100.7:0",
				}
			},
			curl: func(t *testing.T, s *server) {
				// The proxy keeps Host, so a page of the proxy is one of our own host.
				refusedHandshake(t, 401, `"error"`, proxy+"/ws", "Origin: "+proxy, "Authorization: "+basicAuth("ann", "wrong"))
				refusedHandshake(t, 403, "origin not allowed", proxy+"/ws", "Origin: https://evil.example")
				refusedHandshake(t, 403, "origin not allowed", proxy+"/ws", "Origin: http://app.example.com")
				refusedHandshake(t, 401, `"error"`, proxy+"/ws", "Origin: "+page, "Authorization: "+basicAuth("ann", "wrong"))
			},
		},
	}
}

// startBackend runs a program until the end of the test, and returns the lines
// that it prints.
func startBackend(t *testing.T, env []string, args ...string) <-chan string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			select {
			case lines <- strings.TrimSpace(in.Text()):
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { _ = cmd.Wait() }) // its context has ended by then
	return lines
}

// The webhook's recipe again, with the backend for Node that the page names.
func TestRecipeWithNodeBackend(t *testing.T) {
	const heading = "Your backend decides: Spring, Node, PHP"
	node := needs(t, "node", "apt-get install nodejs npm")
	port := testkit.Receive(t, startBackend(t, []string{"WEBHOOK_SECRET=" + webhookSecret}, node, "../../auth/webhook/testdata/backend.mjs"))
	recipe{
		heading: heading,
		replace: []string{"https://app.example.com", "http://127.0.0.1:" + port},
		files:   map[string]string{"webhook.secret": webhookSecret},
		visit: func(t *testing.T, s *server) visit {
			return visit{
				user: "alice", roles: []string{"reader"}, URL: s.url, Connect: map[string]string{"login": "alice", "passcode": "wonderland"}, Denied: "/topic/news",
			}
		},
		curl: func(t *testing.T, s *server) {
			refusedHandshake(t, 403, "origin not allowed", s.web()+"/ws", "Origin: https://evil.example", "Cookie: a=b")
			var no *client.RefusedError
			if _, err := dial(t, s.url, client.Options{Login: "alice", Passcode: "wrong"}); !errors.As(err, &no) || no.Message != "the login or the passcode is wrong" {
				t.Errorf("a wrong passcode: %v", err)
			}
		},
	}.run(t, yamlBlocks(t)[heading])
}

// session returns the only session of the broker.
func (s *server) session(t *testing.T) (one struct {
	User   string
	Roles  []string
	Remote string
}) {
	t.Helper()
	var list struct {
		Items []json.RawMessage
	}
	if status := s.call(t, "GET", "/api/v1/sessions", "", &list); status != 200 || len(list.Items) != 1 {
		t.Fatalf("HTTP %d with %d sessions, want one", status, len(list.Items))
	}
	if err := json.Unmarshal(list.Items[0], &one); err != nil {
		t.Fatal(err)
	}
	return one
}

// check checks what the broker thinks of the client that has just connected, and
// lets it hear the news.
func (v visit) check(t *testing.T, s *server) {
	t.Helper()
	one := s.session(t)
	if name := map[bool]string{true: "nobody", false: one.User}[one.User == ""]; name != v.user || v.roles != nil && !slices.Equal(one.Roles, v.roles) {
		t.Errorf("the session is %q's with roles %q, want %q and %q", name, one.Roles, v.user, v.roles)
	}
	if v.remote != "" && one.Remote != v.remote {
		t.Errorf("it comes from %s, want %s", one.Remote, v.remote)
	}
	if status := s.call(t, "POST", "/api/v1/messages", `{"destination":"/topic/news","body":"hello"}`, nil); status/100 != 2 {
		t.Fatalf("HTTP %d", status)
	}
}

// want is what a client tells of a visit that went well.
func (v visit) want() []string {
	lines := []string{"/topic/news: hello"}
	if v.Send != "" {
		lines = append(lines, v.Reply+": "+v.event)
	}
	return append(lines, fmt.Sprintf("ERROR not allowed to send a message to %q", v.Denied), "closed with 4403")
}
