//go:build unix

package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

func basicHeader(login, passcode string, more ...string) http.Header {
	h := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+passcode))}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// Static users get tickets by HTTP Basic, from pages that may ask, and guessing is
// limited as it is at CONNECT.
func TestStaticUsersGetTickets(t *testing.T) {
	t.Parallel()
	file := write(t, "users.yaml", user(t, "ann", "one"))
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_WEBSOCKET_ORIGINS=https://app.example.com", "HOOFBEAT_LIMITS_CONNECT_DEADLINE=5s"})
	for name, origin := range map[string]string{"no page": "", "its own page": s.web(), "an allowed page": "https://app.example.com"} {
		header := basicHeader("ann", "one")
		if origin != "" {
			header.Set("Origin", origin)
		}
		ticket := mint(t, s, http.DefaultClient, header)
		conn := connectAs(t, "ann", s.url+"?ticket="+ticket, client.Options{})
		conn.Abort()
		if name == "no page" {
			refused(t, 401, s.url+"?ticket="+ticket, client.Options{})
		}
	}
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         int
	}{
		{"another site's page", "POST", basicHeader("ann", "one", "Origin", "https://evil.example"), 403},
		{"another site without Origin", "POST", basicHeader("ann", "one", "Sec-Fetch-Site", "cross-site"), 403},
		{"GET", "GET", basicHeader("ann", "one"), 405},
		{"nobody", "POST", nil, 401},
		{"a wrong passcode", "POST", basicHeader("ann", "two"), 401},
		{"an unknown user", "POST", basicHeader("bob", "one"), 401},
	} {
		if status, body := send(t, http.DefaultClient, c.method, s.web()+"/ws_ticket", c.header, ""); status != c.want {
			t.Errorf("%s: HTTP %d %s, want %d", c.name, status, body, c.want)
		}
	}
	for try := 0; ; try++ {
		status, _ := send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", basicHeader("ann", "wrong"), "")
		if status == http.StatusTooManyRequests {
			break
		}
		if status != 401 || try == 20 {
			t.Fatalf("try %d of a wrong passcode: HTTP %d, and no limit", try, status)
		}
	}
	// The limit is one and the same: CONNECT meets it too.
	if _, err := dial(t, s.tcp, client.Options{Login: "ann", Passcode: "wrong"}); err == nil || !strings.Contains(err.Error(), "failed") {
		t.Errorf("CONNECT after as many failures: %v", err)
	}
}

// Ann logs out of a session that she opened with a ticket got by HTTP Basic, and
// comes in again.
func TestLogoutKeepsThePasscodeOfATicket(t *testing.T) {
	users := "HOOFBEAT_AUTH_USERS_FILE=" + write(t, "users.yaml", user(t, "ann", "one"))
	for name, env := range map[string][]string{
		"random": nil,
		"signed": {"HOOFBEAT_AUTH_TICKETS_SIGNED=true", "HOOFBEAT_AUTH_TICKETS_SECRET=0123456789abcdef0123456789abcdef"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, append(env, users))
			ticket := mint(t, s, http.DefaultClient, basicHeader("ann", "one"))
			logOut(t, s, ticket)
			conn := connectAs(t, "ann", s.tcp, client.Options{Login: "ann", Passcode: "one"})
			conn.Abort()
			mint(t, s, http.DefaultClient, basicHeader("ann", "one"))
		})
	}
}

// logOut opens a session with a ticket and ends it by DISCONNECT with logout:true.
func logOut(t *testing.T, s *server, ticket string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.tcp, "tcp://"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "CONNECT\naccept-version:1.2\nhost:x\nticket:"+ticket+"\n\n\x00DISCONNECT\nlogout:true\nreceipt:bye\n\n\x00"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !strings.Contains(string(answer), "user-name:ann\n") || !strings.Contains(string(answer), "receipt-id:bye\n") {
		t.Fatalf("the logout is answered with %q, %v", answer, err)
	}
}

// Whoever has a ticket of his own does not make guesses of another's passcode
// forgotten with it.
func TestTicketBesideBasicForgivesNoGuesses(t *testing.T) {
	t.Parallel()
	file := write(t, "users.yaml", user(t, "ann", "one")+user(t, "bob", "two"))
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_LIMITS_CONNECT_DEADLINE=5s", "HOOFBEAT_LIMITS_LOGIN_FAILURES=2"})
	for range 12 { // the wait doubles with every failure, and one that is too long is refused
		status, body := send(t, http.DefaultClient, "POST", s.web()+"/ws_ticket", basicHeader("ann", "wrong"), "")
		if status == http.StatusTooManyRequests {
			return
		}
		if status != 401 {
			t.Fatalf("a guess: HTTP %d %s", status, body)
		}
		ticket := mint(t, s, http.DefaultClient, basicHeader("bob", "two"))
		conn := connectAs(t, "bob", s.url+"?ticket="+ticket, client.Options{Header: basicHeader("ann", "x")})
		conn.Abort()
	}
	t.Error("12 guesses were compared, and no limit came")
}

// Where there is nothing to exchange, the answer names the keys.
func TestNoTicketsSaysWhatIsMissing(t *testing.T) {
	s := serve(t, nil)
	for _, method := range []string{"GET", "POST"} {
		status, body := send(t, http.DefaultClient, method, s.web()+"/ws_ticket", nil, "")
		if status != 404 || !strings.Contains(body, "auth.users.file") {
			t.Errorf("%s: HTTP %d %s", method, status, body)
		}
	}
}

// `hoofbeat token` prints what the broker's admin API takes, and a refusal says so.
func TestTokenCommand(t *testing.T) {
	home := t.TempDir()
	env := []string{"HOME=" + home}
	if p := run(t, 1, env, "token"); !strings.Contains(p.Stderr(), "when it starts") {
		t.Errorf("before the first start: %s", p.Stderr())
	}
	s := serve(t, env)
	token := strings.TrimSpace(run(t, 0, env, "token").Stdout())
	if status, body := send(t, http.DefaultClient, "GET", s.admin+"/api/v1/stats", bearerHeader(token), ""); status != 200 {
		t.Errorf("with the token: HTTP %d %s", status, body)
	}
	for name, header := range map[string]http.Header{"no token": nil, "a wrong one": bearerHeader("wrong")} {
		if status, body := send(t, http.DefaultClient, "GET", s.admin+"/api/v1/stats", header, ""); status != 401 || !strings.Contains(body, "`hoofbeat token`") {
			t.Errorf("%s: HTTP %d %s", name, status, body)
		}
	}
	if out := run(t, 0, []string{"HOOFBEAT_ADMIN_TOKEN=" + testToken}, "token").Stdout(); out != testToken+"\n" {
		t.Errorf("from the environment: %q", out)
	}
}

// The recipe of a Node backend mints tickets for its own users.
func TestNodeBackEndMintsTickets(t *testing.T) {
	node := needs(t, "node", "install Node.js")
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true"})
	code := ""
	for n := 1; !strings.Contains(code, "/api/v1/tickets"); n++ {
		code = block(t, "authentication.md", "javascript", n)
	}
	script := code + `
const [admin, token] = process.argv.slice(2);
const app = server(admin, token, (request) => request.headers.cookie === 'user=ann' ? 'ann' : null).listen(0, '127.0.0.1', async () => {
  const ask = (headers) => fetch('http://127.0.0.1:' + app.address().port, { method: 'POST', headers });
  const stranger = await ask({});
  const answer = await ask({ cookie: 'user=ann' });
  console.log(JSON.stringify({ stranger: stranger.status, ...await answer.json() }));
  process.exit();
});
`
	out, err := exec.CommandContext(t.Context(), node, write(t, "recipe.mjs", script), s.admin, s.token(t)).Output()
	var answer struct {
		Stranger int
		Ticket   string
	}
	if err != nil || json.Unmarshal(out, &answer) != nil || answer.Stranger != 401 {
		t.Fatalf("%v, %s", err, out)
	}
	connectAs(t, "ann", s.url+"?ticket="+answer.Ticket, client.Options{})
}
