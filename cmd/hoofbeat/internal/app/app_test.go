package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a log that a test may read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const quiet = "listen: 127.0.0.1:0\nadmin: off\n"

func TestRunEndsWithItsContext(t *testing.T) {
	l := new(log)
	a, err := New(Options{Config: configtest.Load(t, quiet+"tcp: 127.0.0.1:0\n"), Logger: slog.New(slog.NewTextHandler(l, nil)), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	brokertest.Eventually(t, "it is ready", func() bool { return strings.Contains(l.String(), "msg=ready") })
	cancel()
	if err := testkit.Receive(t, done); err != nil {
		t.Error(err)
	}
	at := -1
	for _, want := range []string{"msg=starting version=v1", "msg=listening listener=listen", "msg=listening listener=tcp", "development mode", "msg=ready", "msg=stopping", "msg=stopped"} {
		next := strings.Index(l.String(), want)
		if next <= at {
			t.Errorf("%q is not in its place in\n%s", want, l)
		}
		at = next
	}
	if err := a.broker.Ready(t.Context()); err == nil {
		t.Error("still ready")
	}
}

// Many sessions are ended over the whole of drain.timeout, unless there is no
// time for that any more.
func TestAbandon(t *testing.T) {
	l := new(log)
	a, err := New(Options{Config: configtest.Load(t, quiet+"drain: {timeout: 1h}\n"), Logger: slog.New(slog.NewTextHandler(l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	brokertest.Eventually(t, "it is ready", func() bool { return strings.Contains(l.String(), "msg=ready") })
	for range 200 {
		brokertest.Connect(t, a.broker)
	}
	cancel()
	brokertest.Eventually(t, "it drains", func() bool { return strings.Contains(l.String(), "msg=draining") })
	select {
	case <-done:
		t.Fatal("Run has not waited for the sessions")
	default:
	}
	a.Abandon()
	a.Abandon()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run goes on")
	}
}

// When one listener cannot be opened, none stays open.
func TestNoListenerIsLeftBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", net.JoinHostPort(testkit.Loopback(), "0")) // nobody takes the port meanwhile
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Config: configtest.Load(t, "listen: "+address+"\nadmin: off\ntcp: "+taken.Addr().String()+"\n")})
	if err != nil {
		t.Fatal(err)
	}
	var key *config.KeyError
	if err := a.Run(t.Context()); !errors.As(err, &key) || key.Key != "tcp" {
		t.Errorf("error %v, want one about tcp", err)
	}
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the first listener is still open: %v", err)
	}
	_ = again.Close() // it was open
}

func TestNumbersAreCopied(t *testing.T) {
	o := brokerOptions(configtest.Load(t, `
heartbeat: {send: 1s, expect: 2s, ping: 3s, patience: 8m}
limits: {frame: 2KiB, unauthenticated_frame: 1KiB, outbox: 9KiB, headers: off, reply_destinations: 14, dedup_ids: 12, dedup_ids_per_user: 11, presence_leaving: 13, connect_deadline: 4s, write_deadline: 5s, nul: refuse}
queues: {mode: broadcast, messages: 6, expired: dead_letter, delayed: 7, delayed_bytes: 8KiB, delayed_per_user: off, delayed_bytes_per_user: 9KiB, prefetch: off, transient: ["/queue/*-user*", /queue/b]}
presence: ["/topic/room/**", /topic/b]
node: one
nodes: [{id: two, url: "wss://two.example/ws"}]
durable: [{destination: /topic/a, messages: 3, bytes: 4KiB, age: off, unused: 5h}]
auth: {soft_denial: true, expiry_notice: 7s}
`))
	if o.HeartBeat.Send != time.Second || o.HeartBeat.Receive != 2*time.Second || o.PingInterval != 3*time.Second || o.HeartBeatPatience != 8*time.Minute ||
		o.Limits.Frame != 2048 || o.Limits.Headers >= 0 || o.Limits.NUL != nulModes["refuse"] || o.Limits.NUL == nulModes["replace"] || o.ConnectDeadline != 4*time.Second || o.WriteDeadline != 5*time.Second ||
		o.Queues.Mode != 1 || o.Queues.Messages != 6 || o.Queues.Prefetch >= 0 || len(o.Queues.Transient) != 2 || o.Queues.Transient[0] != "/queue/*-user*" || o.Node != "one" || o.Nodes[0].URL != "wss://two.example/ws" ||
		o.Limits.ReplyDestinations != 14 || o.Limits.DedupIDs != 12 || o.Limits.DedupIDsPerUser != 11 || o.Limits.PresenceLeaving != 13 || len(o.Presence) != 2 || o.Presence[0] != "/topic/room/**" || o.Queues.Expired != 1 || o.Queues.Delayed != 7 ||
		o.Queues.DelayedBytes != 8192 || o.Queues.DelayedPerUser >= 0 || o.Queues.DelayedBytesPerUser != 9216 ||
		len(o.Durable) != 1 || o.Durable[0].Destination != "/topic/a" || o.Durable[0].Messages != 3 || o.Durable[0].Bytes != 4096 || o.Durable[0].Age >= 0 || o.Durable[0].Unused != 5*time.Hour ||
		!o.SoftDenial || o.ExpiryNotice != 7*time.Second {
		t.Errorf("%+v", o)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const oauth = `oauth: [{name: a, issuer: "https://login.example", client_id: b, client_secret: hunter2, scopes: [openid], redirect_url: "https://app.example/oauth/callback"}]`
	for yaml, want := range map[string]string{
		"": "",
		"auth: {shared_names: true, jwt: [{issuer: 'https://login.example', audience: a}], webhook: {url: 'http://127.0.0.1:1/', secret: hunter2}}": "",
		"auth: {" + oauth + "}": "",
		"auth: {" + oauth + ", sessions: {token_store: t, token_store_key: hunter2}}":                                                                 "auth.sessions.token_store_key: is not 32 bytes in base64 or hexadecimal",
		"auth: {jwt: [{issuer: 'http://login.example', audience: a}]}":                                                                                "hoofbeat.yaml:1: auth.jwt[0].issuer: ",
		"auth: {jwt: [{issuer: 'https://login.example', audience: a, algorithms: [HS256]}]}":                                                          "hoofbeat.yaml:1: auth.jwt[0].algorithms: ",
		"webflow: {hmac_key: hunter2}":                                                                                                                "webflow.hmac_key: is too short: want 32 characters or more",
		"webflow: {hmac_key_file: " + secret + "}":                                                                                                    "webflow.hmac_key: is too short",
		"webflow: {hmac_key_file: " + secret + "x}":                                                                                                   "webflow.hmac_key_file: ",
		"webflow: {hmac_key: " + strings.Repeat("hunter2", 5) + "}":                                                                                   "",
		"auth: {tickets: {signed: true, secret: hunter2}}":                                                                                            "auth.tickets.secret: ",
		"auth: {tickets: {signed: true, secret_file: " + secret + "}}":                                                                                "auth.tickets.secret: ",
		"auth: {tickets: {signed: true, secret_file: " + secret + "x}}":                                                                               "auth.tickets.secret_file: ",
		"auth: {tickets: {signed: true, secret: hunter2, secret_file: " + secret + "}}":                                                               "auth.tickets.secret_file: and the secret itself are both given",
		"auth: {introspection: [{url: 'https://a.example', client_secret_file: /none}]}":                                                              "auth.introspection[0].client_secret_file: ",
		"auth: {oauth: [{name: A, client_id: b, redirect_url: 'https://app.example/x'}]}":                                                             "hoofbeat.yaml:1: auth.oauth[0].name: ",
		"auth: {oauth: [{name: a, issuer: 'https://l.example', client_id: b, auth_params: [x], redirect_url: 'https://app.example/oauth/callback'}]}": `auth.oauth[0].auth_params: "x" is not accepted`,
	} {
		err := Check(configtest.Load(t, yaml))
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want %q", yaml, err, want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: a secret is in %v", yaml, err)
		}
	}
}

// `config check` and `serve` are one validation: what one refuses the other
// refuses, in the same words, with the key and its line and no name of Go.
func TestCheckAndNewAgree(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {frame: 300KiB}":                                           "hoofbeat.yaml:1: limits.frame: limits.outbox of 512KiB",
		"queues:\n  transient: [\"/queue/DLQ.x\"]":                          "hoofbeat.yaml:2: queues.transient",
		"auth:\n  users:\n    file: nowhere.yaml":                           "hoofbeat.yaml:3: auth.users.file",
		"tls:\n  cert: nowhere.pem\n  key: nowhere.key":                     "hoofbeat.yaml:2: tls.cert, tls.key",
		"websocket:\n  path: /ws\n  origins: [\"https://*.*.example.com\"]": "hoofbeat.yaml:3: websocket.origins",
		"auth:\n  tickets:\n    signed: true":                               "hoofbeat.yaml:3: auth.tickets.signed",
		"auth:\n  oauth:\n    - {name: a, client_id: b, issuer: \"https://a.example\", redirect_url: \"https://b.example/x\"}": "hoofbeat.yaml:3: auth.oauth[0].client_secret: is empty",
	} {
		file := filepath.Join(t.TempDir(), "hoofbeat.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Sources{File: file})
		var checked, served error
		if err != nil {
			checked, served = err, err // both read the file by Load
		} else {
			checked = Check(c)
			var a *App
			if a, served = New(Options{Config: c}); served == nil {
				a.close()
				a.access.Close()
			}
		}
		if checked == nil || served == nil || !strings.HasPrefix(checked.Error(), want) || strings.Contains(checked.Error(), "Options.") {
			t.Errorf("%q:\ncheck says %v\nserve says %v\nwant %s", text, checked, served, want)
			continue
		}
		if checked.Error() != served.Error() {
			t.Errorf("%q:\ncheck says %v\nserve says %v", text, checked, served)
		}
	}
}
