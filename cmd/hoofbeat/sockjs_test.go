//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// webFlow is what Web Flow's page sends with stompjs 2.3.3, byte for byte.
var webFlow = []string{
	"CONNECT\nX-CSRF-TOKEN:t\naccept-version:1.1,1.0\nheart-beat:10000,10000\n\n\x00",
	"SUBSCRIBE\nid:sub-0\ndestination:/user/topic/registration\n\n\x00",
	"SEND\ndestination:/app/registration\ncontent-length:26\n\n{\"webSocketId\":\"12345678\"}\x00",
	"SUBSCRIBE\nid:sub-1\ndestination:/user/topic/authorization\n\n\x00",
	"UNSUBSCRIBE\nid:/user/topic/authorization\n\n\x00",
	"DISCONNECT\n\n\x00",
}

// sockJSURL is what a page gives to new SockJS: what the log says.
func (s *server) sockJSURL(t *testing.T) string {
	t.Helper()
	for _, e := range s.Log("listening") {
		if address, ok := e["sockjs"].(string); ok {
			return address
		}
	}
	t.Fatal("the log does not say where SockJS is")
	return ""
}

// E-2, W-1, W-5, W-11, C-1 to C-3, C-5 to C-9: the recorded bytes over each transport,
// against the operations of the binary.
func TestE2W11WebFlowOverSockJS(t *testing.T) {
	for _, transport := range sockJSTransports {
		t.Run(transport, func(t *testing.T) {
			s := serve(t, nil)
			if status := s.call(t, "PUT", "/api/v1/operations/login-1", `{"owner":{"anyone":true},"websocket_id":"12345678"}`, nil); status != http.StatusCreated {
				t.Fatalf("announcement: HTTP %d", status)
			}
			p := openSockJS(t, http.DefaultClient, s.sockJSURL(t), transport, http.Header{"Origin": {s.web()}})
			p.want("o")
			p.send(webFlow[0])
			if f := p.next(1)[0]; !strings.HasPrefix(f, "CONNECTED\nversion:1.1\nheart-beat:10000,10000\n") { // C-2
				t.Fatalf("got %q", f)
			}
			p.send(webFlow[1], webFlow[2])
			f := p.next(1)[0]
			if !strings.HasPrefix(f, "MESSAGE\n") || !strings.Contains(f, "\nsubscription:sub-0\n") || !strings.Contains(f, "\ndestination:/user/topic/registration\n") ||
				!strings.HasSuffix(f, "\n\n{\"webSocketId\":\"12345678\",\"registrationSucceeded\":true}\x00") {
				t.Fatalf("got %q", f)
			}
			p.send(webFlow[3], webFlow[4])
			brokertest.Eventually(t, "both are subscribed", func() bool { return s.stats(t).Subscriptions == 2 })
			var answer struct{ Delivered bool }
			if status := s.call(t, "POST", "/api/v1/operations/login-1/result", `{"result":"CONTINUE"}`, &answer); status != http.StatusOK || !answer.Delivered {
				t.Fatalf("result: HTTP %d, %+v", status, answer)
			}
			f = p.next(1)[0]
			if !strings.Contains(f, "\nsubscription:sub-1\n") || !strings.Contains(f, "\ndestination:/user/topic/authorization\n") ||
				!strings.HasSuffix(f, "\n\n"+result("12345678", `"CONTINUE"`)+"\x00") {
				t.Fatalf("got %q", f)
			}
			// The operation that `hoofbeat notify` ends is named by its id.
			id := webflow.WebSocketID("login-2")
			p.send(strings.NewReplacer("12345678", id, "content-length:26\n", "").Replace(webFlow[2]))
			p.next(1)
			env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
			if out := run(t, 0, env, "notify", "login-2", "DONE").Stdout(); out != "delivered\n" {
				t.Errorf("notify prints %q", out)
			}
			if f := p.next(1)[0]; !strings.HasSuffix(f, "\n\n"+result(id, `"DONE"`)+"\x00") {
				t.Errorf("got %q", f)
			}
			p.send(webFlow[5])
			p.want(`c[3000,"Go away!"]`) // C-5
			brokertest.Eventually(t, "the session has ended", func() bool { return s.stats(t).Sessions == 0 })
		})
	}
}

// The list of sessions says which transport each has.
func TestSockJSTransportsAreListed(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_LIMITS_SOCKJS_SESSIONS=6"}) // one address has half of them
	for _, transport := range sockJSTransports {
		openSockJS(t, http.DefaultClient, s.sockJSURL(t), transport, nil).connect()
	}
	var list struct {
		Items []struct{ ID, Transport, Remote string }
	}
	if status := s.call(t, "GET", "/api/v1/sessions?sort=opened", "", &list); status != http.StatusOK {
		t.Fatalf("HTTP %d", status)
	}
	var kinds []string
	for _, x := range list.Items {
		kinds = append(kinds, x.Transport)
		if strings.HasPrefix(x.ID, "session") || len(x.ID) < 32 || !strings.HasPrefix(x.Remote, "127.0.0.1:") { // C-10
			t.Errorf("session %+v", x)
		}
	}
	slices.Sort(kinds)
	if want := []string{"sockjs-eventsource", "sockjs-websocket", "sockjs-xhr-polling", "sockjs-xhr-streaming"}; !slices.Equal(kinds, want) {
		t.Errorf("transports %q, want %q", kinds, want)
	}
	openSockJS(t, http.DefaultClient, s.sockJSURL(t), "xhr-polling", nil).want("HTTP 503")
}

// T-15: /info spends no ticket, the request that opens the session does, and the
// others are accepted with the same value only.
func TestT15TicketsOverSockJS(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_AUTH_FIRST_FRAME=false", "HOOFBEAT_ADMIN_TOKEN=" + testToken})
	for _, transport := range sockJSTransports {
		t.Run(transport, func(t *testing.T) {
			var minted struct{ Ticket string }
			if status := s.call(t, "POST", "/api/v1/tickets", `{"user":"ann"}`, &minted); status != http.StatusCreated {
				t.Fatalf("HTTP %d", status)
			}
			endpoint := s.sockJSURL(t) + "?ticket=" + minted.Ticket
			if status, _ := get(t, strings.Replace(endpoint, "?", "/info?", 1)); status != http.StatusOK {
				t.Errorf("info: HTTP %d", status)
			}
			openSockJS(t, http.DefaultClient, s.sockJSURL(t), transport, nil).want("HTTP 401")
			openSockJS(t, http.DefaultClient, s.sockJSURL(t)+"?ticket=wrong", transport, nil).want("HTTP 401")
			p := openSockJS(t, http.DefaultClient, endpoint, transport, nil)
			if f := p.connect(); !strings.Contains(f, "\nuser-name:ann\n") {
				t.Errorf("got %q", f)
			}
			openSockJS(t, http.DefaultClient, endpoint, transport, nil).want("HTTP 401")
			if transport != "websocket" {
				for _, query := range []string{"", "?ticket=wrong"} {
					if status, _ := send(t, http.DefaultClient, "POST", p.base+"/xhr_send"+query, nil, `["\n"]`); status != http.StatusNotFound {
						t.Errorf("xhr_send%s: HTTP %d", query, status)
					}
				}
			}
			p.send("SUBSCRIBE\nid:a\ndestination:/user/queue/x\nreceipt:1\n\n\x00")
			if f := p.next(1)[0]; f != "RECEIPT\nreceipt-id:1\n\n\x00" {
				t.Errorf("got %q", f)
			}
		})
	}
	if strings.Contains(s.Stderr(), "ticket=") {
		t.Error("a ticket is in the log") // T-12
	}
}

// C-10: the session id is the client's choice and no secret: of the browsers behind
// one proxy each has its own sessions.
func TestC10BrowsersBehindOneProxy(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_COMPATIBILITY=spring"})
	browser := func() *http.Client {
		c := jar(t)
		if status, body := send(t, c, "GET", s.sockJSURL(t)+"/info", nil, ""); status != http.StatusOK || !strings.Contains(body, `"cookie_needed":true`) {
			t.Fatalf("info: HTTP %d %s", status, body)
		}
		u, err := url.Parse(s.sockJSURL(t) + "/info")
		if err != nil {
			t.Fatal(err)
		}
		if cookies := c.Jar.Cookies(u); len(cookies) != 1 || cookies[0].Name != "JSESSIONID" {
			t.Fatalf("cookies %v", cookies)
		}
		return c
	}
	for _, transport := range sockJSTransports[1:] {
		p := openSockJS(t, browser(), s.sockJSURL(t), transport, nil)
		p.connect()
		for name, stranger := range map[string]*http.Client{"another browser": browser(), "a client without cookies": http.DefaultClient} {
			for _, path := range []string{"/xhr_send", "/xhr"} {
				if status, _ := send(t, stranger, "POST", p.base+path, nil, `["DISCONNECT\n\n\u0000"]`); status != http.StatusNotFound {
					t.Errorf("%s, %s: %s: HTTP %d", transport, name, path, status)
				}
			}
		}
		p.send("SEND\ndestination:/topic/a\nreceipt:1\n\n\x00")
		if f := p.next(1)[0]; f != "RECEIPT\nreceipt-id:1\n\n\x00" {
			t.Errorf("got %q", f)
		}
	}
}

// A session that was opened by the cookie of a login is that login's.
func TestLoginOverSockJS(t *testing.T) {
	p := newProvider(t)
	d := newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	browser, page := login(t, s)
	origin := http.Header{"Origin": page["Origin"]}
	session := openSockJS(t, browser, s.web()+"/ws", "xhr-streaming", origin)
	if f := session.connect(); !strings.Contains(f, "\nuser-name:ann\n") {
		t.Errorf("got %q", f)
	}
	other, _ := login(t, s)
	for name, stranger := range map[string]*http.Client{"another login": other, "nobody": http.DefaultClient} {
		if status, _ := send(t, stranger, "POST", session.base+"/xhr_send", origin, `["\n"]`); status != http.StatusNotFound {
			t.Errorf("%s: HTTP %d", name, status)
		}
	}
	if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, nil); status/100 != 2 {
		t.Fatalf("revocation: HTTP %d", status)
	}
	if f := session.next(1)[0]; !strings.HasPrefix(f, "ERROR\n") {
		t.Errorf("got %q", f)
	}
	if f := session.frame(); !strings.HasPrefix(f, "c[1008,") {
		t.Errorf("got %q", f)
	}
}

// SIGTERM tells the sessions to come back.
func TestTerminationDrainsSockJS(t *testing.T) {
	s := serve(t, nil)
	all := make(map[string]*sockJS)
	for _, transport := range sockJSTransports {
		all[transport] = openSockJS(t, http.DefaultClient, s.sockJSURL(t), transport, nil)
		all[transport].connect()
	}
	s.Signal(t, syscall.SIGTERM)
	for transport, p := range all {
		if f := p.frame(); f != `c[1012,"draining"]` {
			t.Errorf("%s: got %q", transport, f)
		}
	}
	s.Exit(t, 0)
}

// A polling client learns with its next request why its session has ended: the
// server waits for that request.
func TestTerminationWaitsForPolls(t *testing.T) {
	s := serve(t, nil)
	at := s.sockJSURL(t) + "/000/polls"
	poll := func(want string) {
		t.Helper()
		if status, body := send(t, http.DefaultClient, "POST", at+"/xhr", nil, ""); status != 200 || !strings.HasPrefix(body, want) {
			t.Fatalf("HTTP %d %s, want %s", status, body, want)
		}
	}
	poll("o")
	if status, body := send(t, http.DefaultClient, "POST", at+"/xhr_send", nil, `["CONNECT\naccept-version:1.2\n\n\u0000"]`); status != 204 {
		t.Fatalf("HTTP %d %s", status, body)
	}
	poll(`a["CONNECTED`)
	s.Signal(t, syscall.SIGTERM)
	brokertest.Eventually(t, "the session ends", func() bool { return len(s.Log("session ended")) == 1 })
	poll(`c[1012,"draining"]`)
	s.Exit(t, 0)
}

func TestSockJSOff(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_SOCKJS=false"})
	for path, want := range map[string]int{"/ws/info": 404, "/ws/": 404, "/ws/000/a/xhr_streaming": 404, "/ws/websocket": 404, "/ws": 426} {
		if status, _ := get(t, s.web()+path); status != want {
			t.Errorf("GET %s: HTTP %d, want %d", path, status, want)
		}
	}
	run(t, 0, nil, "pub", "-u", s.url, "/topic/a", "b")
	if strings.Contains(s.Stderr(), "sockjs") {
		t.Errorf("the log speaks of SockJS\n%s", s.Stderr())
	}
}

// The endpoint is at one path, whatever it is, for every kind of client.
func TestSockJSPaths(t *testing.T) {
	for _, path := range []string{"/", "/ws/", "/gs-guide-websocket", "/a/b"} {
		s := serve(t, []string{"HOOFBEAT_WEBSOCKET_PATH=" + path})
		run(t, 0, nil, "pub", "-u", s.url, "/topic/a", "b")
		endpoint := strings.TrimSuffix(s.sockJSURL(t), "/")
		for _, transport := range sockJSTransports {
			openSockJS(t, http.DefaultClient, endpoint, transport, nil).connect()
		}
		run(t, 0, nil, "pub", "-u", "ws"+strings.TrimPrefix(endpoint, "http")+"/websocket", "/topic/a", "b") // where Spring has it
		if status, body := get(t, fmt.Sprintf("http://%s/livez", s.Log("listening")[0]["address"])); status != 200 || body != "ok\n" {
			t.Errorf("%s: /livez: HTTP %d %s", path, status, body)
		}
	}
}

// slowPages lets the pages and scripts of a busy machine take their time from the
// handshake to CONNECTED.
const slowPages = "HOOFBEAT_LIMITS_CONNECT_DEADLINE=2m"

const clientScripts = "../../broker/sockjs"

// clients runs a script with an argument and makes each of its reports a subtest.
func clients(t *testing.T, name string, input any) {
	t.Helper()
	node := needs(t, "node", "apt-get install nodejs npm")
	if _, err := os.Stat(clientScripts + "/node_modules/sockjs-client"); err != nil {
		missing(t, "sockjs-client", "npm ci --prefix broker/sockjs")
	}
	argument, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, "testdata/"+name, string(argument))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // lets it end its browser
	cmd.WaitDelay = 5 * time.Second
	out, failed := cmd.CombinedOutput()
	tests, done := 0, -1
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var r struct {
			Test, Error string
			Done        *int
		}
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue
		}
		if r.Done != nil {
			done = *r.Done
			continue
		}
		tests++
		t.Run(r.Test, func(t *testing.T) {
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
	if failed != nil || done < 1 || done != tests {
		t.Errorf("%s ended with %v, reported %d tests and counted %d\n%s", name, failed, tests, done, out)
	}
}

// withoutWebSocket is a proxy that refuses every upgrade, as many between a client
// and its server do.
func withoutWebSocket(t *testing.T, target string) string {
	t.Helper()
	return withoutWebSocketAfter(t, target, 0)
}

// withoutWebSocketAfter is withoutWebSocket, slow with everything but /info: so
// are proxies and machines that become busy just then.
func withoutWebSocketAfter(t *testing.T, target string, delay time.Duration) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0), // of clients that have left
	}
	return site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if delay > 0 && !strings.HasSuffix(r.URL.Path, "/info") {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		pass.ServeHTTP(w, r)
	}))
}

func site(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// TestNodeSockJS is sockjs-client with stompjs 2.3.3 in Node, over each transport.
func TestNodeSockJS(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_COMPATIBILITY=spring", slowPages})
	tickets := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken, slowPages})
	clients(t, "sockjs.mjs", map[string]any{
		"url": s.sockJSURL(t), "proxied": withoutWebSocket(t, s.web()) + "/ws",
		"admin": s.admin, "token": s.token(t), "hoofbeat": process.Binary(t),
		"tickets": tickets.sockJSURL(t), "ticketsAdmin": tickets.admin, "ticketsToken": tickets.token(t),
	})
}

// TestChromiumSpringPage is a page as it is written for Spring, with another host.
func TestChromiumSpringPage(t *testing.T) {
	chromium := needs(t, "chromium", "apt-get install chromium")
	text, err := os.ReadFile("testdata/spring.html")
	if err != nil {
		t.Fatal(err)
	}
	var brokers atomic.Pointer[[]string] // by the number in the path of the page
	pages := http.NewServeMux()
	pages.HandleFunc("/{broker}/", func(w http.ResponseWriter, r *http.Request) {
		i, err := strconv.Atoi(r.PathValue("broker"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, strings.ReplaceAll(string(text), "http://localhost:8080", (*brokers.Load())[i])) // the browser may be gone
	})
	for path, name := range map[string]string{"/sockjs.min.js": "sockjs-client/dist/sockjs.min.js", "/stomp.min.js": "stompjs/lib/stomp.min.js"} {
		pages.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, clientScripts+"/node_modules/"+name)
		})
	}
	home, foreign := site(t, pages), site(t, pages)
	s := serve(t, []string{"HOOFBEAT_COMPATIBILITY=spring", "HOOFBEAT_WEBSOCKET_ORIGINS=" + home, slowPages})
	brokers.Store(&[]string{s.web(), withoutWebSocket(t, s.web()), withoutWebSocketAfter(t, s.web(), 3*time.Second)})
	clients(t, "spring.mjs", map[string]any{
		"chromium": chromium, "home": home, "foreign": foreign, "admin": s.admin, "token": s.token(t),
	})
}
