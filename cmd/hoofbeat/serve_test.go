//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/process"
)

// The first minute of a newcomer: serve, sub, pub.
func TestFirstMinute(t *testing.T) {
	s := serve(t, nil)
	sub := s.sub(t, []string{"HOOFBEAT_URL=" + s.url}, "/topic/greetings")
	run(t, 0, nil, "pub", "-u", s.url, "/topic/greetings", "hello")
	run(t, 0, nil, "pub", "-u", s.tcp, "/topic/greetings", "world")
	brokertest.Eventually(t, "both are printed", func() bool { return sub.Stdout() == "hello\nworld\n" })
	sub.Signal(t, os.Interrupt)
	sub.Exit(t, 0)

	if len(s.Log("development mode: no authentication is configured; any client on this machine can connect as anyone")) != 1 {
		t.Error("development mode is not logged")
	}
	if v, _ := s.Log("starting")[0]["version"].(string); !strings.HasPrefix(v, "hoofbeat ") {
		t.Errorf("version %q in the start line", v)
	}
	// A login is taken at its word: ann gets what is for ann.
	ann := s.sub(t, nil, "-u", s.url, "--login", "ann", "/user/queue/x")
	if code := s.call(t, "POST", "/api/v1/users/ann/messages", `{"destination":"/queue/x","body":"for ann"}`, nil); code/100 != 2 {
		t.Errorf("HTTP %d", code)
	}
	brokertest.Eventually(t, "ann gets it", func() bool { return ann.Stdout() == "for ann\n" })
}

func TestPublicListener(t *testing.T) {
	s := serve(t, nil)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/livez":        {200, "ok\n"},
		"/readyz":       {200, "ok\n"},
		"/":             {404, "STOMP broker. Its WebSocket endpoint is /ws."},
		"/other":        {404, "404 page not found. This is hoofbeat, a STOMP broker. Its WebSocket endpoint is /ws."},
		"/wss":          {404, "Its WebSocket endpoint is /ws."},
		"/api/v1/stats": {404, "404 page not found"},
		"/ws":           {200, "Welcome to SockJS!\n"},
		"/ws/":          {200, "Welcome to SockJS!\n"},
		"/ws/other":     {404, ""},
	} {
		if status, body := get(t, s.web()+path); status != want.status || !strings.Contains(body, want.body) {
			t.Errorf("GET %s: %d %q, want %d %q", path, status, body, want.status, want.body)
		}
	}
	if status, _ := get(t, s.admin+"/api/v1/stats"); status != http.StatusUnauthorized {
		t.Errorf("the admin API without its token: HTTP %d", status)
	}
	if strings.Contains(s.Stderr(), s.token(t)) {
		t.Error("the admin token is in the log")
	}
}

func TestTerminationDrains(t *testing.T) {
	s := serve(t, nil)
	sub := s.sub(t, nil, "-u", s.url, "/topic/a")
	s.Signal(t, syscall.SIGTERM)
	sub.Exit(t, 1)
	if text := sub.Stderr(); !strings.Contains(text, "code 1012: draining") {
		t.Errorf("the subscriber is told %q", text)
	}
	s.Exit(t, 0)
	if len(s.Log("stopping")) != 1 || len(s.Log("stopped")) != 1 {
		t.Errorf("log\n%s", s.Stderr())
	}
}

// Many clients are told to go over the whole of drain.timeout, until the second
// signal.
func TestSecondSignalEndsNow(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_DRAIN_TIMEOUT=1h", "HOOFBEAT_LIMITS_UNAUTHENTICATED_PER_ADDRESS=off", "HOOFBEAT_LIMITS_CONNECT_DEADLINE=off"})
	const clients = 200
	for range clients {
		nc, err := net.Dial("tcp", strings.TrimPrefix(s.tcp, "tcp://"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	brokertest.Eventually(t, "all are in", func() bool { return s.stats(t).Sockets == clients })
	s.Signal(t, syscall.SIGTERM)
	s.Logged(t, "draining", 1)
	if status, body := get(t, s.web()+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while draining: HTTP %d %s", status, body)
	}
	select {
	case <-s.Done():
		t.Error("the first signal has ended it")
	default:
	}
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
}

func TestKilledAndStartedAgain(t *testing.T) {
	s := serveWith(t, process.Options{Restartable: true})
	sub := s.sub(t, nil, "-u", s.url, "/topic/a")
	s.Kill(t)
	sub.Exit(t, 1)
	again := s.Restart(t)
	run(t, 0, nil, "pub", "-u", again.URL, "/topic/a", "b")
}

func TestStartErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	bad := write(t, "bad.yaml", "listen: 127.0.0.1:0\nrules:\n  - {allow: [send], destination: \"/user/**\"}\n")
	for _, c := range []struct {
		code int
		env  []string
		args []string
		want string
	}{
		{1, nil, []string{"--listen", taken}, "hoofbeat: listen: " + taken + ": address already in use, another program has the port\n"},
		{1, nil, []string{"--listen", "127.0.0.1:0", "--admin", taken}, "hoofbeat: admin: " + taken + ": address already in use"},
		{1, nil, []string{"--listen", "127.0.0.1:0", "--admin", "off", "--tcp", taken}, "hoofbeat: tcp: " + taken + ": address already in use"},
		{2, nil, []string{"--listen", "0.0.0.0:0"}, "hoofbeat: command line: listen: 0.0.0.0:0 can be reached from other machines and nobody would be authenticated"},
		{2, nil, []string{"--tcp", ":0"}, "hoofbeat: command line: tcp: :0 can be reached from other machines"},
		{2, nil, []string{"--admin", ":0"}, "hoofbeat: command line: admin: :0 can be reached from other machines: give it a token"},
		{2, nil, []string{"-c", "/nonexistent.yaml"}, "no such file"},
		{2, nil, []string{"-c", bad}, "hoofbeat: bad.yaml:3: rules: \"/user/**\" is not accepted: a wildcard would reach other users' destinations"},
		{2, []string{"HOOFBEAT_LISTENN=x"}, nil, "hoofbeat: environment: HOOFBEAT_LISTENN: there is no such variable, did you mean HOOFBEAT_LISTEN?\n"},
		{2, []string{"HOOFBEAT_AUTH_USERS_FILE=/nonexistent"}, nil, "hoofbeat: environment: auth.users.file: "},
		{2, nil, []string{"--bogus"}, "See hoofbeat serve --help"},
	} {
		p := run(t, c.code, c.env, append([]string{"serve"}, c.args...)...)
		if !strings.Contains(p.Stderr(), c.want) {
			t.Errorf("serve %v %v: %q, want %q", c.env, c.args, p.Stderr(), c.want)
		}
	}
	check := run(t, 2, nil, "config", "check", "-c", bad)
	if !strings.Contains(check.Stderr(), "bad.yaml:3: rules: ") {
		t.Errorf("config check: %s", check.Stderr())
	}
}

// Beyond loopback with anonymous access written out, names are not believed.
func TestAnonymousBeyondLoopback(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_LISTEN=0.0.0.0:0", "HOOFBEAT_AUTH_ANONYMOUS=true", "HOOFBEAT_ADMIN_TOKEN=" + testToken})
	url := strings.Replace(s.url, "[::]", "127.0.0.1", 1)
	url = strings.Replace(url, "0.0.0.0", "127.0.0.1", 1)
	s.sub(t, nil, "-u", url, "--login", "ann", "/topic/a")
	var users struct{ Total int }
	if s.call(t, "GET", "/api/v1/users", "", &users); users.Total != 0 {
		t.Errorf("%d users, want none: a login without a check is nobody's", users.Total)
	}
	// And the guarded rules are in force.
	if p := run(t, 3, nil, "pub", "-u", url, "/topic/a", "b"); !strings.Contains(p.Stderr(), "not allowed to send") {
		t.Errorf("pub: %s", p.Stderr())
	}
}

func TestUsersAndReload(t *testing.T) {
	file := write(t, "users.yaml", user(t, "ann", "one"))
	conf := write(t, "hoofbeat.yaml", "auth: {users: {file: "+file+"}}\nrules:\n  - {allow: [send], destination: /topic/a, roles: [writer]}\n")
	s := serve(t, nil, "-c", conf)
	login := func(name, passcode string) []string {
		return []string{"HOOFBEAT_URL=" + s.url, "HOOFBEAT_LOGIN=" + name, "HOOFBEAT_PASSCODE=" + passcode}
	}
	run(t, 0, login("ann", "one"), "pub", "/topic/a", "b")
	run(t, 3, login("ann", "two"), "pub", "/topic/a", "b")
	run(t, 3, login("", ""), "pub", "/topic/a", "b")
	run(t, 3, login("ann", "one"), "pub", "/topic/other", "b")

	reload := func(n int, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Signal(t, syscall.SIGHUP)
		s.Logged(t, "reloaded", n)
	}
	reload(1, user(t, "bob", "two"))
	run(t, 3, login("ann", "one"), "pub", "/topic/a", "b")
	run(t, 0, login("bob", "two"), "pub", "/topic/a", "b")
	reload(2, "- nonsense")
	s.Logged(t, "reload failed: keeping the old users", 1)
	run(t, 0, login("bob", "two"), "pub", "/topic/a", "b")

	// A key that needs a restart is named, one that does not is in force.
	if err := os.WriteFile(conf, []byte("auth: {users: {file: "+file+"}}\nlimits: {subscriptions: 7}\nnode: other\nlog: {level: debug}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	if keys := s.Logged(t, "reload: some changes need a restart", 1)["keys"]; keys != "node" {
		t.Errorf("keys %q", keys)
	}
	if e := s.Log("reloaded")[2]; e["log_level"] != "DEBUG" || e["changed"] != "limits.subscriptions log.level rules" {
		t.Errorf("reloaded: %v", e)
	}
	run(t, 3, login("bob", "two"), "pub", "/topic/a", "b") // the rule that allowed it is gone
	// A configuration that is wrong changes nothing.
	if err := os.WriteFile(conf, []byte("listenn: x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reload failed: the configuration is invalid, nothing was changed", 1)
	if strings.Contains(s.Stderr(), "$2a$") {
		t.Error("a hash is in the log")
	}
}

func TestGoroutineDump(t *testing.T) {
	s := serve(t, nil)
	s.Signal(t, syscall.SIGUSR1)
	if stacks, _ := s.Logged(t, "goroutines", 1)["stacks"].(string); !strings.Contains(stacks, "broker.(*Broker).runSweeper") {
		t.Errorf("stacks %.200q", stacks)
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := newCertificate(t, cert, key)
	s := serve(t, []string{"HOOFBEAT_TLS_CERT=" + cert, "HOOFBEAT_TLS_KEY=" + key})
	if !strings.HasPrefix(s.url, "wss://") || !strings.HasPrefix(s.tcp, "tcps://") {
		t.Fatalf("addresses %s %s", s.url, s.tcp)
	}
	trust := []string{"SSL_CERT_FILE=" + cert}
	sub := s.sub(t, trust, "-u", s.url, "/topic/a")
	run(t, 0, trust, "pub", "-u", s.tcp, "/topic/a", "b")
	run(t, 1, nil, "pub", "-u", s.url, "/topic/a", "untrusted")
	brokertest.Eventually(t, "the message is printed", func() bool { return sub.Stdout() == "b\n" })

	// A new certificate is in force after SIGHUP; who is connected stays.
	second := newCertificate(t, cert, key)
	if got := served(t, s); got != first {
		t.Error("another certificate before SIGHUP")
	}
	s.Signal(t, syscall.SIGHUP)
	s.Logged(t, "reloaded", 1)
	if got := served(t, s); got != second {
		t.Error("the old certificate after SIGHUP")
	}
	run(t, 0, trust, "pub", "-u", s.url, "/topic/a", "c")
	brokertest.Eventually(t, "the session lives on", func() bool { return sub.Stdout() == "b\nc\n" })
}

func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	newCertificate(t, cert, key)
	s := serve(t, []string{"HOOFBEAT_TLS_CERT=" + cert, "HOOFBEAT_TLS_KEY=" + key, "HOOFBEAT_TLS_CLIENT_CA=" + cert})
	run(t, 1, []string{"SSL_CERT_FILE=" + cert}, "pub", "-u", s.url, "/topic/a", "b")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}}}
	res, err := c.Get(s.web() + "/livez")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("with a certificate: HTTP %d", res.StatusCode)
	}
}

// newCertificate writes a certificate for this machine that signs itself, and
// returns its serial number.
func newCertificate(t *testing.T, cert, key string) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return template.SerialNumber.String()
}

// served returns the serial number of the certificate that the broker shows now.
func served(t *testing.T, s *server) string {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.tcp, "tcps://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// systemd is told when the broker is ready and when it stops.
func TestNotifySocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	s := serve(t, []string{"NOTIFY_SOCKET=" + path, "STATE_DIRECTORY=" + state})
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 100)
		n, err := l.Read(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("systemd is told %q, %v, want %s", buf[:n], err, want)
		}
	}
	expect("READY=1")
	s.Signal(t, syscall.SIGTERM)
	expect("STOPPING=1")
	s.Exit(t, 0)
	if info, err := os.Stat(filepath.Join(state, "admin-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v, %v", info, err)
	}
}

// The example for systemd is a configuration that the broker takes.
func TestExampleConfiguration(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "systemd", "hoofbeat.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	conf := write(t, "hoofbeat.yaml", string(data))
	if err := os.WriteFile(filepath.Join(filepath.Dir(conf), "users.yaml"), []byte(user(t, "ann", "one")), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, 0, nil, "config", "check", "-c", conf)
}

// Profiles are for those who ask for them in the configuration, and have the token.
func TestProfiles(t *testing.T) {
	s := serve(t, nil)
	if code := s.call(t, "GET", "/debug/pprof/heap", "", nil); code != http.StatusNotFound {
		t.Errorf("without the key: HTTP %d", code)
	}
	s = serve(t, nil, "--admin-pprof")
	if code := s.call(t, "GET", "/debug/pprof/heap?gc=1", "", nil); code != http.StatusOK {
		t.Errorf("HTTP %d", code)
	}
	res, err := http.Get(s.admin + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: HTTP %d", res.StatusCode)
	}
}

// A load balancer sees /readyz say no for drain.delay, while clients are served
// as before. Then they are told to reconnect.
func TestDrainDelayOfTheBinary(t *testing.T) {
	s := serve(t, []string{"HOOFBEAT_DRAIN_DELAY=1h"})
	sub := s.sub(t, nil, "-u", s.url, "/topic/a")
	s.Signal(t, syscall.SIGTERM)
	s.Logged(t, "no longer ready", 1)
	if status, body := get(t, s.web()+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz during the delay: HTTP %d %s", status, body)
	}
	if status, _ := get(t, s.web()+"/livez"); status != http.StatusOK {
		t.Errorf("/livez during the delay: HTTP %d", status)
	}
	run(t, 0, nil, "pub", "-u", s.url, "/topic/a", "still here") // a new session
	s.Signal(t, syscall.SIGTERM)
	sub.Exit(t, 1)
	if text := sub.Stdout(); !strings.Contains(text, "still here") {
		t.Errorf("the subscriber received %q", text)
	}
	s.Exit(t, 0)
}

func TestDiscardedQueuesAreLogged(t *testing.T) {
	s := serve(t, nil)
	run(t, 0, nil, "pub", "-u", s.url, "/queue/jobs", "lost")
	s.Signal(t, syscall.SIGTERM)
	s.Exit(t, 0)
	if found := s.Log("queue discarded: its messages were in memory only"); len(found) != 1 || !strings.Contains(s.Stderr(), "/queue/jobs") {
		t.Errorf("log\n%s", s.Stderr())
	}
}

// A reload puts rules, origins and limits in force for those who are connected,
// and disconnects nobody.
func TestReloadChangesRulesOriginsAndLimits(t *testing.T) {
	conf := write(t, "hoofbeat.yaml", "")
	say := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte("auth: {anonymous: true}\nwebflow: {enabled: false}\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	say("websocket: {origins: [\"https://old.example.com\"]}\nrules:\n  - {allow: [subscribe, send], destination: /topic/**}\n")
	s := serve(t, nil, "-c", conf)
	stays := s.sub(t, nil, "-u", s.url, "/topic/a", "/topic/b")
	page := func(origin string) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.web()+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			r.Header.Set(name, value)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if a, b := page("https://old.example.com"), page("https://new.example.com"); a != 101 || b != 403 {
		t.Errorf("before the reload: %d and %d", a, b)
	}
	say("websocket: {origins: [\"https://new.example.com\"]}\nlimits: {frame: 2KiB, unauthenticated_frame: 2KiB}\nrules:\n  - {deny: [subscribe], destination: /topic/b}\n  - {allow: [subscribe, send], destination: /topic/**}\n")
	s.Signal(t, syscall.SIGHUP)
	if changed := s.Logged(t, "reloaded", 1)["changed"]; changed != "websocket.origins limits.frame limits.unauthenticated_frame rules" {
		t.Errorf("changed %q", changed)
	}
	if n := len(s.Log("reload: some changes need a restart")); n != 0 {
		t.Errorf("a restart is asked for:\n%s", s.Stderr())
	}
	if a, b := page("https://old.example.com"), page("https://new.example.com"); a != 403 || b != 101 {
		t.Errorf("after the reload: %d and %d", a, b)
	}
	brokertest.Eventually(t, "the subscription that is denied ends", func() bool { return s.stats(t).Subscriptions == 1 })
	run(t, 3, nil, "sub", "-u", s.url, "/topic/b")
	run(t, 1, nil, "pub", "-u", s.url, "/topic/a", strings.Repeat("x", 3000))
	run(t, 0, nil, "pub", "-u", s.url, "/topic/b", "not for it")
	run(t, 0, nil, "pub", "-u", s.url, "/topic/a", "still here")
	brokertest.Eventually(t, "the session goes on", func() bool { return strings.Contains(stays.Stdout(), "still here") })
	if strings.Contains(stays.Stdout(), "not for it") {
		t.Errorf("received %q", stays.Stdout())
	}
}
