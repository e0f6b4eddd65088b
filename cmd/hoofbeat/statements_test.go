//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// A thousand sockets, one ticket.
func TestT7OneOfAThousandSockets(t *testing.T) {
	p := newProvider(t)
	s := serve(t, []string{"HOOFBEAT_LIMITS_UNAUTHENTICATED=off", "HOOFBEAT_LIMITS_UNAUTHENTICATED_PER_ADDRESS=off"}, "-c", bearerConfig(t, p))
	ticket := mint(t, s, http.DefaultClient, bearerHeader(p.token("ann")))
	address := strings.TrimPrefix(s.web(), "http://")
	const n = 1000
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	var in, out atomic.Int32
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, c := range conns {
		all.Go(func() {
			<-start
			fmt.Fprintf(c, "GET /ws?ticket=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ticket, address)
			_ = c.SetReadDeadline(time.Now().Add(time.Minute)) // a failure shows at the read
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			switch {
			case err != nil:
				t.Error(err)
			case res.StatusCode == http.StatusSwitchingProtocols:
				in.Add(1)
			case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusTooManyRequests: // so many failures
				out.Add(1)
			default:
				t.Error(res.Status)
			}
		})
	}
	close(start)
	testkit.Wait(t, &all)
	if in.Load() != 1 || out.Load() != n-1 {
		t.Errorf("%d were let in and %d refused", in.Load(), out.Load())
	}
}

// Whatever a revocation names, its sockets are closed within a second, over
// WebSocket and TCP, its unused tickets are dead, and others notice nothing.
func TestNPlus5TPlus4RevokedWithinASecond(t *testing.T) {
	p := newProvider(t)
	s := serve(t, nil, "-c", bearerConfig(t, p))
	token := func(user, id string) http.Header {
		return bearerHeader(p.sign(map[string]any{"aud": "hoofbeat", "sub": user, "jti": id}))
	}
	for name, body := range map[string]func(session string) string{
		"user":       func(string) string { return `{"user":"ann user"}` },
		"credential": func(string) string { return `{"credential":"jwt:` + p.URL + `#ann credential's laptop"}` },
		"session":    func(session string) string { return fmt.Sprintf(`{"session":%q}`, session) },
	} {
		t.Run(name, func(t *testing.T) {
			others := connectAs(t, "bob", s.url, client.Options{Header: token("bob", "phone")})
			ann := "ann " + name
			header := token(ann, ann+"'s laptop")
			mine := []*client.Conn{connectAs(t, ann, s.url, client.Options{Header: header})}
			unused := ""
			if name != "session" {
				mine = append(mine, connectAs(t, ann, s.tcp, client.Options{ConnectHeaders: map[string]string{"Authorization": header.Get("Authorization")}}))
				unused = mint(t, s, http.DefaultClient, header)
			}
			since := time.Now()
			if status := s.call(t, "POST", "/api/v1/revocations", body(mine[0].Header().Get("session")), nil); status != http.StatusOK {
				t.Fatalf("HTTP %d", status)
			}
			for _, c := range mine {
				testkit.Receive(t, c.Done())
				if d := time.Since(since); d > 30*time.Second { // the broker's tests hold the second itself, in virtual time
					t.Errorf("closed after %v", d)
				}
				if err := c.Err(); err == nil || !strings.Contains(err.Error(), "session revoked") {
					t.Errorf("it ended with %v", err)
				}
			}
			closed(t, mine[0], 1008)
			if unused != "" {
				refused(t, 401, s.url+"?ticket="+unused, client.Options{})
			}
			if err := others.Send("/app/session/refresh", "", nil, stomp.SendOpt.Receipt, stomp.SendOpt.Header("Authorization", token("bob", "phone").Get("Authorization"))); err != nil {
				t.Errorf("the other session: %v", err)
			}
			others.Abort()
		})
	}
}

// recorder keeps all that a browser gets to see.
type recorder struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(q)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.seen, "%s\n%v\n%s\n", q.URL, res.Header, body)
	return res, nil
}

// The page comes in by what the login left in its browser, and what the provider
// gave for it stays with the broker.
func TestA13PagesNeverGetTheToken(t *testing.T) {
	p := newProvider(t)
	d := newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	r := new(recorder)
	browser := jar(t)
	browser.Transport = r
	if status, body := send(t, browser, "GET", s.web()+"/oauth/login", nil, ""); status != 404 {
		t.Fatalf("login: HTTP %d %s", status, body)
	}
	origin := http.Header{"Origin": {s.web()}}
	conn := connectAs(t, "ann", s.url+"?ticket="+mint(t, s, browser, origin), client.Options{Header: origin})
	who, err := conn.Subscribe("/app/bootstrap", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	seen := r.seen.String() + fmt.Sprint(conn.Header()) + string(testkit.Receive(t, who.C).Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	tokens := p.secrets[len(p.secrets)-3:] // of the last login: ID, access and refresh token
	for i, text := range tokens {
		if len(text) < 20 || strings.Contains(seen, text) {
			t.Errorf("token %d was seen by the browser:\n%s", i, seen)
		}
	}
	if !strings.Contains(seen, `"ticket"`) || !strings.Contains(seen, `"user":"ann"`) {
		t.Errorf("the browser has seen nothing:\n%s", seen)
	}
}

// A resource server of the home-made kind is asked who has a token.
func TestA22UserInfo(t *testing.T) {
	me := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/users/me" || r.Header.Get("Authorization") != "Bearer abcdef" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"username":"ann","scope":["sensor-data"],"grantType":"code"}`) // the broker may be gone
	}))
	t.Cleanup(me.Close)
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", fmt.Sprintf("auth:\n  userinfo: [{url: \"%s/api/users/me\", user: username}]\n", me.URL)))
	connectAs(t, "ann", s.url, client.Options{Header: bearerHeader("abcdef")})
	refused(t, 401, s.url, client.Options{Header: bearerHeader("abcdeg")})
	connectAs(t, "ann", s.url+"?ticket="+mint(t, s, http.DefaultClient, bearerHeader("abcdef")), client.Options{})
}

func TestN7Bootstrap(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_AUTH_ANONYMOUS=true"}, "-c", write(t, "hoofbeat.yaml", `
node: two
nodes: [{id: one, url: "wss://one.example/ws"}, {id: two, url: "wss://two.example/ws"}]
`))
	conn := connectAs(t, "", s.url, client.Options{})
	sub, err := conn.Subscribe("/app/bootstrap", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"user":"","node":"two","nodes":[{"id":"one","url":"wss://one.example/ws","attached":false},{"id":"two","url":"wss://two.example/ws","attached":true}]}`
	if m := testkit.Receive(t, sub.C); m.Err != nil || string(m.Body) != want {
		t.Errorf("the answer is %s, want %s", m.Body, want)
	}
}

// The key for pings does what it says, for a client that negotiated no heart-beats.
func TestS12PingsWithoutHeartBeats(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_HEARTBEAT_PING=500ms"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	pings := make(chan struct{}, 100)
	ws, _, err := websocket.Dial(ctx, s.url, &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
		pings <- struct{}{}
		return true // it is answered
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\x00")); err != nil {
		t.Fatal(err)
	}
	if _, frame, err := ws.Read(ctx); err != nil || !strings.HasPrefix(string(frame), "CONNECTED\n") {
		t.Fatalf("%q, %v", frame, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, frame, err := ws.Read(ctx) // reading answers the pings
		ended <- fmt.Errorf("%q, %w", frame, err)
	}()
	for range 4 { // longer than a silent client lives
		select {
		case <-pings:
		case err := <-ended:
			t.Fatal(err)
		}
	}
}

// The ticket of a backend is good only with the broker's own secret, and nobody
// else gets one that is nobody's.
func TestS3S5WhoseTickets(t *testing.T) {
	const secret, other = "secret-of-the-tickets-0123456789", "another-secret-of-tickets-012345"
	with := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_SIGNED=true", "HOOFBEAT_AUTH_TICKETS_SECRET=" + secret, "HOOFBEAT_ADMIN_TOKEN=" + testToken})
	conn := connectAs(t, "", with.url+"?ticket="+backendTicket(t, secret), client.Options{})
	conn.Abort()
	refused(t, 401, with.url+"?ticket="+backendTicket(t, other), client.Options{})
	without := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken})
	refused(t, 401, without.url+"?ticket="+backendTicket(t, secret), client.Options{})
	for name, s := range map[string]*server{"with a secret": with, "without": without} {
		for _, body := range []string{`{}`, `{"user":""}`, `{"user":" "}`, `{"user":"a\nb"}`} {
			if status := s.call(t, "POST", "/api/v1/tickets", body, nil); status/100 != 4 {
				t.Errorf("%s, %s: HTTP %d", name, body, status)
			}
		}
		env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + testToken}
		ticket := strings.TrimSpace(run(t, 0, env, "ticket", "--user", "ann").Stdout())
		connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
		refused(t, 401, s.url+"?ticket="+ticket, client.Options{}) // S-8
		if _, err := dial(t, s.url, client.Options{Login: "ann"}); err == nil {
			t.Errorf("S-1 %s: connected without a ticket", name)
		}
	}
	if len(secret) < auth.MinSecretBytes || len(secret) != len(other) {
		t.Error("the secrets of this test are too short")
	}
}

// A provider's reply is read up to 1 MiB, however good it is.
func TestA7LongRepliesAreRefused(t *testing.T) {
	p := newProvider(t)
	var padding atomic.Int64
	handler := p.Config.Handler
	outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			handler.ServeHTTP(w, r)
			return
		}
		reply := httptest.NewRecorder()
		handler.ServeHTTP(reply, r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, reply.Body.String()+strings.Repeat(" ", int(padding.Load()))) // whoever asked may have had enough
	}))
	t.Cleanup(outer.Close)
	p.URL = outer.URL
	d := newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	for _, tc := range []struct {
		padding int64
		status  int
	}{{0, 404}, {1<<20 - 4096, 404}, {1 << 20, 502}} { // 404: there is no page at /
		padding.Store(tc.padding)
		if status, _ := send(t, jar(t), "GET", s.web()+"/oauth/login", nil, ""); status != tc.status {
			t.Errorf("%d bytes more: HTTP %d, want %d", tc.padding, status, tc.status)
		}
	}
}
