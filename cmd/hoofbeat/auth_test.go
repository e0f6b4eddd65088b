//go:build unix

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// dial connects, or says why not.
func dial(t *testing.T, url string, o client.Options) (*client.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := client.Dial(ctx, url, o)
	if err == nil {
		t.Cleanup(conn.Abort)
	}
	return conn, err
}

// connectAs connects and checks as whom.
func connectAs(t *testing.T, want, url string, o client.Options) *client.Conn {
	t.Helper()
	conn, err := dial(t, url, o)
	if err != nil {
		t.Fatalf("connecting as %s: %v", want, err)
	}
	if got := conn.Header().Get("user-name"); got != want {
		t.Fatalf("connected as %q, want %q", got, want)
	}
	return conn
}

// refused checks that a handshake is answered with a status.
func refused(t *testing.T, status int, url string, o client.Options) {
	t.Helper()
	_, err := dial(t, url, o)
	var answer *client.HTTPError
	if !errors.As(err, &answer) || answer.Status != status {
		t.Errorf("error %v, want HTTP %d", err, status)
	}
}

// closed waits until a connection ends with a close code.
func closed(t *testing.T, conn *client.Conn, code int) {
	t.Helper()
	select {
	case <-conn.Done():
	case <-time.After(time.Minute):
		t.Fatal("the connection lives on")
	}
	var end *client.CloseError
	if !errors.As(conn.Err(), &end) || end.Code != code {
		t.Errorf("the connection ends with %v, want close code %d", conn.Err(), code)
	}
}

func bearerHeader(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// send makes a request and returns the status and the body.
func send(t *testing.T, c *http.Client, method, url string, header http.Header, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// mint exchanges a credential for a ticket.
func mint(t *testing.T, s *server, c *http.Client, header http.Header) string {
	t.Helper()
	status, body := send(t, c, "POST", s.web()+"/ws_ticket", header, "")
	var answer struct {
		Ticket  string
		Expires int64
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || answer.Ticket == "" || answer.Expires <= time.Now().Unix() {
		t.Fatalf("ticket: HTTP %d, %v", status, err)
	}
	return answer.Ticket
}

func bearerConfig(t *testing.T, p *provider) string {
	t.Helper()
	return write(t, "hoofbeat.yaml", fmt.Sprintf(`
auth:
  jwt: [{issuer: %[1]q, audience: hoofbeat}]
  introspection: [{url: "%[1]s/introspect", issuer: %[1]q, client_id: broker, client_secret: introspection-secret}]
rules:
  - {allow: [send], destination: "/topic/**", roles: [writer], scopes: [chat]}
`, p.URL))
}

func TestBearerAndTicket(t *testing.T) {
	p := newProvider(t)
	s := serve(t, nil, "-c", bearerConfig(t, p))
	token := p.token("ann")

	conn := connectAs(t, "ann", s.url, client.Options{Header: bearerHeader(token)})
	if err := conn.Send("/topic/a", "text/plain", []byte("b")); err != nil {
		t.Error(err)
	}
	connectAs(t, "ann", s.tcp, client.Options{ConnectHeaders: map[string]string{"Authorization": "Bearer " + token}})
	connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(p.opaque)})
	refused(t, 401, s.url, client.Options{Header: bearerHeader(token[:len(token)-10] + "AAAAAAAAAA")})
	refused(t, 401, s.url, client.Options{Header: bearerHeader("nobody's")})
	if _, err := dial(t, s.url, client.Options{}); err == nil {
		t.Error("connected without a credential")
	}

	// A ticket lets in once.
	ticket := mint(t, s, http.DefaultClient, bearerHeader(token))
	connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
	refused(t, 401, s.url+"?ticket="+ticket, client.Options{})
	if status, _ := send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", nil, ""); status != 401 {
		t.Errorf("a ticket without a credential: HTTP %d", status)
	}
	if status, _ := send(t, http.DefaultClient, "GET", s.web()+"/ws_ticket", bearerHeader(token), ""); status != 200 {
		t.Errorf("GET with a bearer token: HTTP %d", status)
	}
}

// jar is a browser's http.Client.
func jar(t *testing.T) *http.Client {
	t.Helper()
	cookies, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: cookies}
}

func oauthConfig(t *testing.T, p *provider, port string) string {
	t.Helper()
	return write(t, "hoofbeat.yaml", fmt.Sprintf(`
auth:
  oauth:
    - {name: test, issuer: %q, client_id: broker, scopes: [openid], redirect_url: "http://%s/oauth/callback"}
`, p.URL, port))
}

func TestLogin(t *testing.T) {
	p := newProvider(t)
	d := newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	_, before := login(t, s)
	conn := connectAs(t, "ann", s.url, client.Options{Header: before})
	if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, nil); status != http.StatusOK {
		t.Errorf("revocation: HTTP %d", status)
	}
	closed(t, conn, 1008)
	refused(t, http.StatusUnauthorized, s.url, client.Options{Header: before}) // the cookie of a revoked user

	// Who signs in again is let in again.
	browser, page := login(t, s)
	conn = connectAs(t, "ann", s.url, client.Options{Header: page})
	ticket := mint(t, s, browser, http.Header{"Origin": {s.web()}})
	byTicket := connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{Header: http.Header{"Origin": {s.web()}}})
	refused(t, 403, s.url, client.Options{Header: http.Header{"Origin": {"https://evil.example"}, "Cookie": page["Cookie"]}})

	// The logout takes the sockets with it.
	if status, _ := send(t, browser, "POST", s.web()+"/oauth/logout", http.Header{"Origin": {s.web()}}, ""); status != 404 {
		t.Errorf("logout: HTTP %d", status)
	}
	closed(t, conn, 1008)
	closed(t, byTicket, 1008)
	refused(t, 401, s.url, client.Options{Header: page})
}

// login signs a browser in and returns it, and the headers of its pages.
func login(t *testing.T, s *server) (browser *http.Client, page http.Header) {
	t.Helper()
	browser = jar(t)
	// After the login the browser comes to /, where there is no page.
	if status, body := send(t, browser, "GET", s.web()+"/oauth/login", nil, ""); status != 404 || !strings.Contains(body, "This is hoofbeat") {
		t.Fatalf("login: HTTP %d %s", status, body)
	}
	home, err := url.Parse(s.web())
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, c := range browser.Jar.Cookies(home) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) == 0 {
		t.Fatal("no session cookie")
	}
	return browser, http.Header{"Origin": {s.web()}, "Cookie": {strings.Join(cookies, "; ")}}
}

// backend is the operator's own backend, the webhook.
type backend struct {
	*httptest.Server
	mu        sync.Mutex
	questions []map[string]any
	unsigned  int
}

const webhookSecret = "secret-of-the-webhook-0123456789"

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := new(backend)
	b.Server = httptest.NewServer(http.HandlerFunc(b.answer))
	t.Cleanup(b.Close)
	return b
}

// signedByUs reports whether a request to a back end has the right signature.
func signedByUs(r *http.Request, body []byte) bool {
	at, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Hoofbeat-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(webhookSecret))
	fmt.Fprintf(mac, "%s.%s", at, body)
	return signature == hex.EncodeToString(mac.Sum(nil))
}

func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q map[string]any
	if err != nil || json.Unmarshal(body, &q) != nil {
		http.Error(w, "no question", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	if !signedByUs(r, body) {
		b.unsigned++
	}
	b.questions = append(b.questions, q)
	b.mu.Unlock()
	var answer map[string]any
	switch q["event"] {
	case "connect":
		answer = map[string]any{"allow": q["login"] == "ann" && q["passcode"] == "wonderland", "user": "ann"}
	case "send":
		answer = map[string]any{"allow": q["destination"] == "/topic/hooked"}
	default:
		answer = map[string]any{"pass": true}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the broker may be gone
}

func (b *backend) asked(destination string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.questions {
		if q["destination"] == destination {
			return true
		}
	}
	return false
}

// The rules decide what they name, the backend the rest, and the built-in rules
// what it passes on.
func TestWebhook(t *testing.T) {
	b := newBackend(t)
	conf := write(t, "hoofbeat.yaml", fmt.Sprintf(`
auth: {webhook: {url: %q}}
rules:
  - {allow: [send], destination: /topic/ruled}
  - {deny: [send], destination: "/topic/secret/**"}
`, b.URL))
	s := serve(t, []string{"HOOFBEAT_AUTH_WEBHOOK_SECRET=" + webhookSecret}, "-c", conf)
	login := []string{"HOOFBEAT_URL=" + s.url, "HOOFBEAT_LOGIN=ann", "HOOFBEAT_PASSCODE=wonderland"}
	for destination, want := range map[string]struct {
		code  int
		asked bool
	}{
		"/topic/ruled":    {0, false},
		"/topic/secret/x": {3, false},
		"/topic/hooked":   {0, true},
		"/topic/other":    {3, true},
	} {
		run(t, want.code, login, "pub", destination, "x")
		if b.asked(destination) != want.asked {
			t.Errorf("the backend is asked about %s: %v", destination, !want.asked)
		}
	}
	s.sub(t, login, "/topic/news") // passed on to the built-in rules
	run(t, 3, []string{"HOOFBEAT_URL=" + s.url, "HOOFBEAT_LOGIN=ann", "HOOFBEAT_PASSCODE=wrong"}, "pub", "/topic/hooked", "x")
	if b.unsigned > 0 {
		t.Errorf("%d questions with a wrong signature", b.unsigned)
	}
}

// Tickets and revocations of the admin API.
func TestAdminTicketsAndRevocation(t *testing.T) {
	file := write(t, "users.yaml", user(t, "ann", "one"))
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_ADMIN_TOKEN=" + testToken})
	env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + testToken}
	ticket := strings.TrimSpace(run(t, 0, env, "ticket", "--user", "ann", "--role", "writer").Stdout())
	conn := connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
	refused(t, 401, s.url+"?ticket="+ticket, client.Options{})
	first := connectAs(t, "ann", s.url, client.Options{Login: "ann", Passcode: "one"})

	// S-11: a changed passcode takes the unused tickets with it.
	unused := strings.TrimSpace(run(t, 0, env, "ticket", "--user", "ann").Stdout())
	if err := os.WriteFile(file, []byte(user(t, "ann", "two")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reloaded", 1)
	refused(t, 401, s.url+"?ticket="+unused, client.Options{})

	// A revocation ends what is open.
	unused = strings.TrimSpace(run(t, 0, env, "ticket", "--user", "ann").Stdout())
	if status := s.call(t, "POST", "/api/v1/revocations", `{"user":"ann"}`, nil); status/100 != 2 {
		t.Fatalf("revocation: HTTP %d", status)
	}
	closed(t, conn, 1008)
	closed(t, first, 1008)
	refused(t, 401, s.url+"?ticket="+unused, client.Options{})
	run(t, 3, []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=wrong-wrong-wrong"}, "ticket", "--user", "ann")
	run(t, 2, env, "ticket")
}

// E-15: nothing that lets anybody in is in a log, on a standard stream or in an
// answer to a request that failed.
func TestE15NoSecretIsLogged(t *testing.T) {
	p, b := newProvider(t), newBackend(t)
	d := newDoor(t)
	secrets := map[string]string{}
	secret := func(name string) string {
		secrets[name] = random() + random()
		return secrets[name]
	}
	file := write(t, "users.yaml", user(t, "carl", secret("passcode")))
	conf := write(t, "hoofbeat.yaml", fmt.Sprintf(`
log: {level: debug}
auth:
  shared_names: true
  trusted_proxies: [127.0.0.1]
  users: {file: %q}
  tickets: {signed: true, secret_file: %q}
  jwt: [{issuer: %q, audience: hoofbeat}]
  introspection: [{url: "%s/introspect", client_id: broker, client_secret: %q}]
  oauth:
    - {name: test, issuer: %q, client_id: broker, client_secret_file: %q, scopes: [openid], redirect_url: "http://%s/oauth/callback"}
  sessions: {token_store: tokens, token_store_key: "%x"}
  webhook: {url: "%s", events: [connect, send]}
`, file, write(t, "tickets.secret", "one:"+secret("ticket secret")), p.URL, p.URL, secret("introspection secret"),
		p.URL, write(t, "oauth.secret", secret("oauth secret")), d.address, sha256.Sum256([]byte(secret("token store key"))), b.URL))
	secrets["token store key"] = fmt.Sprintf("%x", sha256.Sum256([]byte(secrets["token store key"])))
	s := d.leadTo(serve(t, []string{
		"HOOFBEAT_ADMIN_TOKEN=" + secret("admin token"), "HOOFBEAT_AUTH_WEBHOOK_SECRET=" + secret("webhook secret"),
	}, "-c", conf))

	var answers strings.Builder // of what failed
	attempts := 0
	fails := func(url string, o client.Options) {
		t.Helper()
		// Each comes from elsewhere, or the broker would soon not listen any more.
		attempts++
		o.Header = o.Header.Clone()
		if o.Header == nil {
			o.Header = make(http.Header)
		}
		o.Header.Set("X-Forwarded-For", fmt.Sprintf("203.0.113.%d", attempts))
		conn, err := dial(t, url, o)
		if err == nil {
			conn.Abort()
			t.Errorf("connected")
			return
		}
		var answer *client.HTTPError
		if errors.As(err, &answer) {
			fmt.Fprintf(&answers, "%v\n%s\n%v\n", err, answer.Body, answer.Header)
		}
		var frame *client.RefusedError
		if errors.As(err, &frame) {
			fmt.Fprintf(&answers, "%v\n%s\n%v\n", err, frame.Body, frame.Header)
		}
	}
	token := p.token("ann")
	connectAs(t, "ann", s.url, client.Options{Header: bearerHeader(token)})
	connectAs(t, "bob", s.url, client.Options{Header: bearerHeader(p.opaque)})
	connectAs(t, "carl", s.url, client.Options{Login: "carl", Passcode: secrets["passcode"]})
	ticket := mint(t, s, http.DefaultClient, bearerHeader(token))
	secrets["ticket"] = ticket
	connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
	fails(s.url+"?ticket="+ticket, client.Options{})
	fails(s.url, client.Options{ConnectHeaders: map[string]string{"ticket": ticket}})
	fails(s.url+"?access_token="+token, client.Options{})
	fails(s.url, client.Options{Header: bearerHeader(token + "AAAA")})
	fails(s.url, client.Options{Header: bearerHeader(secret("wrong token"))})
	fails(s.url, client.Options{Login: "carl", Passcode: secret("wrong passcode")})
	fails(s.tcp, client.Options{Login: "carl", Passcode: secrets["wrong passcode"]})
	fails(s.tcp, client.Options{ConnectHeaders: map[string]string{"Authorization": "Bearer " + token + "AAAA"}})
	for _, request := range []struct {
		method, url string
		header      http.Header
	}{
		{"POST", s.web() + "/ws_ticket", bearerHeader(secrets["wrong token"])},
		{"GET", s.web() + "/ws_ticket?access_token=" + token, nil},
		{"GET", s.web() + "/oauth/callback?code=" + secret("code") + "&state=" + secret("state"), nil},
		{"POST", s.web() + "/oauth/logout", http.Header{"Cookie": {"hoofbeat=" + secret("cookie")}, "Origin": {"https://evil.example"}}},
		{"GET", s.admin + "/api/v1/stats", bearerHeader(secrets["wrong token"])},
	} {
		status, body := send(t, http.DefaultClient, request.method, request.url, request.header, "")
		if status < 400 {
			t.Errorf("%s %s: HTTP %d", request.method, request.url, status)
		}
		fmt.Fprintln(&answers, body)
	}
	_, page := login(t, s)
	for pair := range strings.SplitSeq(page.Get("Cookie"), "; ") {
		name, value, _ := strings.Cut(pair, "=")
		secrets["cookie "+name] = value
	}
	connectAs(t, "ann", s.url, client.Options{Header: page})
	fails(s.url, client.Options{Header: http.Header{"Origin": {"https://evil.example"}, "Cookie": page["Cookie"]}})
	got := run(t, 0, []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + secrets["admin token"]}, "ticket", "--user", "dora")
	secrets["ticket of the admin API"] = strings.TrimSpace(got.Stdout())
	connectAs(t, "dora", s.url+"?ticket="+secrets["ticket of the admin API"], client.Options{})
	fails(s.url+"?ticket="+secrets["ticket of the admin API"], client.Options{})
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reloaded", 1)
	s.Signal(t, syscall.SIGUSR1)
	s.Logged(t, "goroutines", 1)
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)

	p.mu.Lock()
	for i, text := range p.secrets {
		secrets[fmt.Sprintf("secret %d of the provider", i)] = text
	}
	p.mu.Unlock()
	for name, text := range secrets {
		if len(text) < 16 {
			t.Errorf("%s: %q is no secret to look for", name, text)
		}
		for place, seen := range map[string]string{"standard error": s.Stderr(), "standard output": s.Stdout(), "an answer": answers.String()} {
			if strings.Contains(seen, text) {
				t.Errorf("the %s is in %s", name, place)
			}
		}
	}
	if len(s.Log("authentication rejected")) < 3 || !strings.Contains(answers.String(), "invalid_ticket") {
		t.Errorf("the log and the answers have nothing to hide secrets in:\n%s\n%s", s.Stderr(), answers.String())
	}
}

// T-4, S-1: with first_frame off every WebSocket needs its credential before it
// is one.
func TestT4S1FirstFrameOff(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_AUTH_FIRST_FRAME=false", "HOOFBEAT_AUTH_TICKETS_ENABLED=true"})
	refused(t, http.StatusUnauthorized, s.url, client.Options{Login: "ann", Passcode: "pw"})
	var minted struct{ Ticket string }
	if status := s.call(t, "POST", "/api/v1/tickets", `{"user":"ann"}`, &minted); status != http.StatusCreated {
		t.Fatalf("minting: HTTP %d", status)
	}
	connectAs(t, "ann", s.url+"?ticket="+minted.Ticket, client.Options{})
	refused(t, http.StatusUnauthorized, s.url+"?ticket="+minted.Ticket, client.Options{}) // spent
}
