//go:build unix

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

// A page that comes by DNS rebinding reaches nothing of an anonymous broker that
// knows its names.
func TestDNSRebindingIntoAnAnonymousBroker(t *testing.T) {
	p := newProvider(t)
	conf := write(t, "hoofbeat.yaml", `
websocket: {hosts: [broker.internal, "*.broker.internal", "other.internal:1"]}
auth:
  anonymous: true
  users: {file: `+write(t, "users.yaml", user(t, "ann", "one"))+`}
  oauth:
    - {name: example, issuer: "`+p.URL+`", client_id: broker, client_secret: oauth-secret, scopes: [openid], user_prefix: "oauth:", redirect_url: "http://127.0.0.1:8080/oauth/callback",
       fetch: [{name: mail, url: "`+p.URL+`/mail"}]}
`)
	s := serve(t, []string{"HOOFBEAT_AUTH_TICKETS_ENABLED=true"}, "-c", conf)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.web(), "http://"), ":")
	evil, home := "evil.example:"+port, "broker.internal:"+port
	id := announced(t, s, "payment")
	basic := []string{"Authorization", basicAuth("ann", "one")}
	asked := 0
	for _, x := range []struct {
		method, path string
		headers      []string
		ok           int
	}{
		{"GET", "/ws", upgradeHeaders, 101},
		{"GET", "/ws/000/a/websocket", upgradeHeaders, 101},
		{"GET", "/ws/websocket", upgradeHeaders, 101},
		{"POST", "/ws/000/b/xhr", nil, 200},
		{"GET", "/ws/info", nil, 200},
		{"GET", "/ws", nil, 200},
		{"POST", "/ws_ticket", basic, 200},
		{"GET", "/oauth/callback", nil, 400},
		{"POST", "/oauth/backchannel-logout", nil, 400},
		{"GET", "/data/mail", nil, 401},
		{"GET", "/operations/" + id + "/result", nil, 404},
		{"POST", "/operations/" + id + "/poll-token", nil, 404},
		{"GET", "/", nil, 404},
	} {
		for _, origin := range []string{"http://" + evil, ""} {
			asked++
			status, body := pretend(t, x.method, s.web()+x.path, evil, origin, x.headers...)
			if status != 403 || !strings.Contains(body, `"error":"host not allowed: `) || !strings.Contains(body, `"key":"websocket.hosts"`) {
				t.Errorf("%s of %q: HTTP %d %s", x.path, origin, status, body)
			}
		}
		if status, body := pretend(t, x.method, s.web()+x.path, home, "http://"+home, x.headers...); status != x.ok {
			t.Errorf("%s as %s: HTTP %d, want %d: %s", x.path, home, status, x.ok, body)
		}
	}
	for host, ok := range map[string]bool{
		"BROKER.internal.": true, "a.broker.internal:1": true, "other.internal:1": true, "127.0.0.1": true, "[::1]:8080": true, "10.0.0.1": true, "localhost": true,
		"other.internal": false, "internal": false, "broker.internal.evil.example": false, "xn--bcher-kva.example": false,
	} {
		for _, path := range []string{"/ws", "/ws/000/c/websocket"} {
			if !ok {
				asked++
			}
			if status, body := pretend(t, "GET", s.web()+path, host, "", upgradeHeaders...); (status == 101) != ok || !ok && status != 403 {
				t.Errorf("%s as %s: HTTP %d %s", path, host, status, body)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if status, body := pretend(t, "GET", s.web()+path, evil, ""); status != 200 {
			t.Errorf("%s: HTTP %d %s", path, status, body)
		}
	}
	if record := s.Logged(t, "host not allowed", 1); record["host"] != evil || record["key"] != "websocket.hosts" || record["level"] != "WARN" {
		t.Errorf("logged %v", record)
	}
	var st struct{ Refused int }
	if s.call(t, "GET", "/api/v1/stats", "", &st); st.Refused != asked {
		t.Errorf("%d requests are counted as refused, want %d", st.Refused, asked)
	}
	if hosts := s.Logged(t, "ready", 1)["hosts"]; hosts != "broker.internal, *.broker.internal, other.internal:1, localhost, IP addresses, and the hosts of websocket.origins" {
		t.Errorf("the hosts are %v", hosts)
	}
	// TCP has no Host.
	s.sub(t, nil, "-u", s.tcp, "--login", "ann", "--passcode", "one", "/topic/a")
}

// A reload of websocket.hosts is in force for new connections, and ends none.
func TestReloadChangesHosts(t *testing.T) {
	conf := write(t, "hoofbeat.yaml", "")
	say := func(websocket string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte("auth: {anonymous: true}\nwebflow: {enabled: false}\n"+websocket), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("")
	s := serve(t, nil, "-c", conf)
	stays := s.sub(t, nil, "-u", s.url, "/topic/a")
	check := func(when string, want map[string]int) {
		t.Helper()
		for host, status := range want {
			for _, path := range []string{"/ws", "/ws/000/a/websocket"} {
				if got, body := pretend(t, "GET", s.web()+path, host, "http://"+host, upgradeHeaders...); got != status {
					t.Errorf("%s: %s as %s: HTTP %d, want %d: %s", when, path, host, got, status, body)
				}
			}
		}
	}
	reload := func(n int, websocket string) {
		t.Helper()
		say(websocket)
		s.Signal(t, syscall.SIGHUP)
		if record := s.Logged(t, "reloaded", n); record["changed"] != "websocket.hosts" {
			t.Errorf("logged %v", record)
		}
	}
	check("without hosts", map[string]int{"old.internal": 101, "new.internal": 101, "evil.example": 101})
	reload(1, "websocket: {hosts: [old.internal]}\n")
	check("with one", map[string]int{"old.internal": 101, "new.internal": 403, "evil.example": 403})
	reload(2, "websocket: {hosts: [new.internal]}\n")
	check("with another", map[string]int{"old.internal": 403, "new.internal": 101, "evil.example": 403})
	say("websocket: {hosts: [\"https://evil.example\"]}\n")
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reload failed: the configuration is invalid, nothing was changed", 1)
	check("after a mistake", map[string]int{"old.internal": 403, "new.internal": 101, "evil.example": 403})
	if n := len(s.Log("reload: some changes need a restart")); n != 0 {
		t.Errorf("a restart is asked for:\n%s", s.Stderr())
	}
	select {
	case <-stays.Done():
		t.Errorf("a session was ended: %s", stays.Stderr())
	default:
	}
}

// The start and config check tell once who could come in, and nothing when the
// configuration says it.
func TestAnonymousBrokerIsWarnedOfDNSRebinding(t *testing.T) {
	const warning = "websocket.hosts: clients need no credential (auth.anonymous)"
	env := []string{"HOOFBEAT_AUTH_ANONYMOUS=true"}
	for args, want := range map[string]int{"": 1, "--websocket-hosts broker.internal": 0, "--websocket-hosts *": 0, "--websocket-origins https://app.example.com": 0} {
		check := run(t, 0, env, append([]string{"config", "check"}, strings.Fields(args)...)...)
		if n := strings.Count(check.Stderr(), "warning: "+warning); n != want {
			t.Errorf("config check %s: %d warnings, want %d: %s", args, n, want, check.Stderr())
		}
		s := serve(t, env, strings.Fields(args)...)
		if n := strings.Count(s.Stderr(), warning); n != want {
			t.Errorf("serve %s: %d warnings, want %d: %s", args, n, want, s.Stderr())
		}
	}
	if s := serve(t, nil); strings.Contains(s.Stderr(), "websocket.hosts") {
		t.Errorf("in development mode: %s", s.Stderr())
	}
}
