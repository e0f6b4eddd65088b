//go:build unix

package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"

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
	file := write(t, "users.yaml", user(t, "ann", "one"))
	s := serve(t, []string{"HOOFBEAT_AUTH_USERS_FILE=" + file, "HOOFBEAT_WEBSOCKET_ORIGINS=https://app.example.com", "HOOFBEAT_LIMITS_CONNECT_DEADLINE=1s"})
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
	if p := run(t, 1, env, "token"); !strings.Contains(p.stderr(), "when it starts") {
		t.Errorf("before the first start: %s", p.stderr())
	}
	s := serve(t, env)
	token := strings.TrimSpace(run(t, 0, env, "token").out.String())
	if status, body := send(t, http.DefaultClient, "GET", s.admin+"/api/v1/stats", bearerHeader(token), ""); status != 200 {
		t.Errorf("with the token: HTTP %d %s", status, body)
	}
	for name, header := range map[string]http.Header{"no token": nil, "a wrong one": bearerHeader("wrong")} {
		if status, body := send(t, http.DefaultClient, "GET", s.admin+"/api/v1/stats", header, ""); status != 401 || !strings.Contains(body, "`hoofbeat token`") {
			t.Errorf("%s: HTTP %d %s", name, status, body)
		}
	}
	if out := run(t, 0, []string{"HOOFBEAT_ADMIN_TOKEN=" + testToken}, "token").out.String(); out != testToken+"\n" {
		t.Errorf("from the environment: %q", out)
	}
}

// The recipe of a Node back end mints tickets for its own users.
func TestNodeBackEndMintsTickets(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip(err)
	}
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
