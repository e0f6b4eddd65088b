package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/app"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config"
)

// mistake is a file with one wrong value, which is reported for that key on that line.
type mistake struct {
	key  string
	line int
	yaml string
}

// at writes a key as a block, each part of it on a line of its own, and value in
// the last. Items of lists are the first of their list.
func at(key, value string) mistake {
	var b strings.Builder
	parts := strings.Split(key, ".")
	indent := ""
	for i, part := range parts {
		name, list := strings.CutSuffix(part, "[0]")
		fmt.Fprintf(&b, "%s%s:", indent, name)
		switch {
		case i == len(parts)-1:
			fmt.Fprintf(&b, " %s\n", value)
		case list:
			fmt.Fprintf(&b, "\n")
			indent = strings.ReplaceAll(indent, "-", " ") + "  - "
		default:
			fmt.Fprintf(&b, "\n")
			indent = strings.ReplaceAll(indent, "-", " ") + "  "
		}
		if i < len(parts)-1 && !list && strings.Contains(indent, "-") {
			indent = strings.ReplaceAll(indent, "-", " ")
		}
	}
	return mistake{key: key, line: len(parts), yaml: b.String()}
}

// leaves are all keys of the table, those of items with the number 0.
func leaves(prefix string, keys []config.Key) (all []config.Key) {
	for _, k := range keys {
		k.Path = prefix + k.Path
		all = append(all, k)
		all = append(all, leaves(k.Path+"[0].", k.Items())...)
	}
	return all
}

// wrongValues are values that a key of this type never takes.
func wrongValues(k config.Key) []string {
	all := []string{"{a: b}", ""} // a section, and nothing
	if k.Must() {
		all = append(all, `""`)
	}
	switch k.Type() {
	case "items":
		return []string{"5", "[5]", "[{nonsense: 1}]"}
	case "bool":
		return append(all, "maybe", "[true]")
	case "address":
		return append(all, "nowhere", "a:b")
	case "url":
		return append(all, "ftp://a.example", "nowhere")
	case "path":
		return append(all, "nowhere", "'/a?b'")
	case "number", "size", "duration":
		return append(append(all, "nonsense"), k.Range()...)
	case "word":
		return append(all, "nonsense")
	case "list":
		return append(all, "[{}]", `["a,b"]`)
	}
	return append(all, "[a]")
}

var (
	place    = regexp.MustCompile(`^hoofbeat\.yaml:\d+: [a-z0-9_.\[\]]+(, [a-z0-9_.]+)*: `)
	goName   = regexp.MustCompile(`\b[A-Z][A-Za-z]*(\[\d+\])?\.[A-Z]`)
	goPrefix = regexp.MustCompile(`(^|[ ("])(admin|auth|bearer|broker|frames|httpsec|oauth|topics|users|webflow|webhook): `)
)

// report returns what is said of a file in dir.
func report(t *testing.T, dir, yaml string) string {
	t.Helper()
	path := filepath.Join(dir, "hoofbeat.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Sources{File: path})
	if err == nil {
		err = app.Check(c)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// check asserts that the mistake is reported with its place and its key, and that
// nothing that is said has names of Go in it.
func (m mistake) check(t *testing.T, dir string) {
	t.Helper()
	said := strings.Split(report(t, dir, m.yaml), "\n")
	want := fmt.Sprintf("hoofbeat.yaml:%d: %s", m.line, m.key)
	if !slices.ContainsFunc(said, func(s string) bool {
		return strings.HasPrefix(s, want+": ") || strings.HasPrefix(s, want+"[0]") || strings.HasPrefix(s, want+".")
	}) {
		t.Errorf("%s: %q, want %s: …", m.yaml, said, want)
	}
	for _, s := range said {
		if !place.MatchString(s) {
			t.Errorf("%s: %q does not begin with the place and the key", m.yaml, s)
		}
		if text := place.ReplaceAllString(s, ""); goName.MatchString(text) || goPrefix.MatchString(text) || strings.HasSuffix(text, ": ") {
			t.Errorf("%s: %q has names of Go in it", m.yaml, s)
		}
	}
}

// TestEveryKeyRefuses: a wrong value of each key of the table is refused with the
// file, the line and the key.
func TestEveryKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	n := 0
	for _, k := range leaves("", config.Keys()) {
		if !k.InFile() {
			continue
		}
		for _, value := range wrongValues(k) {
			at(k.Path, value).check(t, dir)
			n++
		}
	}
	if n < 500 {
		t.Errorf("only %d wrong values", n)
	}
}

// good are items that have nothing wrong but what a test puts into them.
const (
	goodJWT    = "auth:\n  jwt:\n    - issuer: https://a.example\n      audience: me\n"
	goodAsk    = "auth:\n  introspection:\n    - url: https://a.example/ask\n"
	goodUser   = "auth:\n  userinfo:\n    - url: https://a.example/me\n"
	goodOAuth  = "auth:\n  oauth:\n    - name: one\n      client_id: me\n      redirect_url: https://b.example/oauth/callback\n"
	issuerLine = "      issuer: https://a.example\n"
	secretLine = "      client_secret: hush\n"
	goodHook   = "auth:\n  webhook:\n    url: https://a.example/hook\n"
	peerLine   = "peers: ['127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4']"
	broadcast  = "queues: {mode: broadcast}\n"
	longKey    = "0123456789abcdef0123456789abcdef"
)

// inCluster is a section cluster with these keys, the first on line 2, and what a
// cluster needs besides.
func inCluster(keys ...string) string {
	return "cluster:\n  " + strings.Join(keys, "\n  ") + "\n" + broadcast
}

// TestMeaningsAreRefusedWithTheirKeys: what only the parts of the broker find out
// about a value has the file, the line and the key, too.
func TestMeaningsAreRefusedWithTheirKeys(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("open", "secret", 0o666)
	write("closed", "not encrypted", 0o600)
	write("empty", "", 0o600)
	write("users.yaml", "- {name: ann, hash: nonsense}\n", 0o600)
	write("twice.yaml", "- {name: ann}\n- {name: ann}\n", 0o600)
	for _, m := range []mistake{
		{"auth.jwt[0].algorithms", 5, goodJWT + "      algorithms: [HS256]\n"},
		{"auth.jwt[0].scopes", 5, goodJWT + "      scopes: ['a b']\n"},
		{"auth.jwt[0].jwks", 5, goodJWT + "      jwks: http://a.example/keys\n"},
		{"auth.jwt[0].issuer", 3, "auth:\n  jwt:\n    - issuer: http://a.example\n      audience: me\n"},
		{"auth.jwt[1].issuer", 5, goodJWT + "    - issuer: https://a.example\n      audience: you\n"},
		{"auth.jwt[1]", 5, goodJWT + "    - issuer: https://b.example\n      audience: you\n"},
		{"auth.jwt[0].audience", 3, "auth:\n  jwt:\n    - issuer: https://a.example\n"},
		{"auth.introspection[0].url", 3, "auth:\n  introspection:\n    - url: http://a.example/ask\n"},
		{"auth.introspection[0].client_secret", 4, goodAsk + secretLine},
		{"auth.introspection[0].client_secret_file", 4, goodAsk + "      client_secret_file: open\n      client_id: me\n"},
		{"auth.introspection[0].client_secret_file", 5, goodAsk + secretLine + "      client_secret_file: closed\n"},
		{"auth.introspection[0].scopes", 4, goodAsk + "      scopes: ['\"']\n"},
		{"auth.userinfo[0].url", 3, "auth:\n  userinfo:\n    - url: http://a.example/me\n"},
		{"auth.userinfo[0].scopes", 4, goodUser + "      scopes: [é]\n"},
		{"auth.oauth[0].client_secret", 3, goodOAuth + issuerLine},
		{"auth.oauth[0].client_secret", 6, goodOAuth + secretLine + "      auth_style: none\n" + issuerLine},
		{"auth.oauth[0].client_secret_file", 6, goodOAuth + "      client_secret_file: missing\n" + issuerLine},
		{"auth.oauth[0].client_secret_file", 6, goodOAuth + "      client_secret_file: empty\n" + issuerLine},
		{"auth.oauth[0].name", 3, strings.Replace(goodOAuth, "one", "One", 1) + issuerLine + secretLine},
		{"auth.oauth[1].name", 8, goodOAuth + issuerLine + secretLine + strings.TrimPrefix(goodOAuth, "auth:\n  oauth:\n") + issuerLine + secretLine},
		{"auth.oauth[0].redirect_url", 5, strings.Replace(goodOAuth, "https://b", "http://b", 1) + issuerLine + secretLine},
		{"auth.oauth[0].issuer", 3, goodOAuth + secretLine},
		{"auth.oauth[0].issuer", 7, goodOAuth + secretLine + "      issuer: http://a.example\n"},
		{"auth.oauth[0].issuer", 3, goodOAuth + secretLine + "      auth_url: https://a.example/a\n      token_url: https://a.example/t\n      scopes: [openid]\n"},
		{"auth.oauth[0].jwks_url", 3, goodOAuth + secretLine + issuerLine + "      auth_url: https://a.example/a\n      token_url: https://a.example/t\n      scopes: [openid]\n"},
		{"auth.oauth[0].userinfo_url", 3, goodOAuth + secretLine + issuerLine + "      auth_url: https://a.example/a\n      token_url: https://a.example/t\n"},
		{"auth.oauth[0].auth_url", 8, goodOAuth + secretLine + issuerLine + "      auth_url: http://a.example/a\n"},
		{"auth.oauth[0].token_url", 8, goodOAuth + secretLine + issuerLine + "      token_url: http://a.example/a\n"},
		{"auth.oauth[0].revocation_url", 8, goodOAuth + secretLine + issuerLine + "      revocation_url: http://a.example/a\n"},
		{"auth.oauth[0].userinfo_url", 8, goodOAuth + secretLine + issuerLine + "      userinfo_url: http://a.example/a\n"},
		{"auth.oauth[0].jwks_url", 8, goodOAuth + secretLine + issuerLine + "      jwks_url: http://a.example/a\n"},
		{"auth.oauth[0].auth_params", 8, goodOAuth + secretLine + issuerLine + "      auth_params: [prompt]\n"},
		{"auth.oauth[0].auth_params", 8, goodOAuth + secretLine + issuerLine + "      auth_params: [state=x]\n"},
		{"auth.oauth[0].fetch[0].destination", 11, goodOAuth + secretLine + issuerLine + "      fetch:\n        - name: a\n          url: https://a.example/a\n          destination: /topic/a\n"},
		{"auth.sessions.token_store", 2, "auth:\n  sessions: {token_store: a}\n"},
		{"auth.sessions.token_store_key", 10, goodOAuth + secretLine + issuerLine + "  sessions:\n    token_store: closed\n    token_store_key: short\n"},
		{"auth.sessions.token_store_key", 10, goodOAuth + secretLine + issuerLine + "  sessions:\n    token_store: closed\n    token_store_key: " + longKey + longKey + "\n"},
		{"auth.sessions.token_store", 9, goodOAuth + secretLine + issuerLine + "  sessions:\n    token_store: open\n    token_store_key: " + longKey + longKey + "\n"},
		{"auth.sessions.after_login", 9, goodOAuth + secretLine + issuerLine + "  sessions:\n    after_login: //evil.example\n"},
		{"auth.sessions.after_logout", 9, goodOAuth + secretLine + issuerLine + "  sessions:\n    after_logout: //evil.example\n"},
		{"auth.sessions.cookie", 9, goodOAuth + secretLine + issuerLine + "  sessions:\n    cookie: " + strings.Repeat("a", 65) + "\n"},
		{"auth.tickets.secret", 4, "auth:\n  tickets:\n    signed: true\n    secret: short\n"},
		{"auth.tickets.secret", 4, "auth:\n  tickets:\n    signed: true\n    secret: a.b:" + longKey + "\n"},
		{"auth.tickets.secret", 4, "auth:\n  tickets:\n    signed: true\n    secret: a:" + longKey + ",a:" + longKey + "\n"},
		{"auth.tickets.secret", 4, "auth:\n  tickets:\n    signed: true\n    secret_file: closed\n"},
		{"auth.tickets.secret_file", 4, "auth:\n  tickets:\n    signed: true\n    secret_file: missing\n"},
		{"auth.tickets.signed", 3, "auth:\n  tickets:\n    signed: true\n"},
		{"auth.tickets.path", 3, "auth:\n  tickets:\n    path: /livez\n"},
		{"auth.webhook.url", 3, "auth:\n  webhook:\n    url: http://a.example/hook\n"},
		{"auth.webhook.url", 3, "auth:\n  webhook:\n    url: https://a.example/hook#f\n"},
		{"auth.webhook.events", 4, goodHook + "    events: [disconnect]\n"},
		{"auth.webhook.headers", 4, goodHook + "    headers: [a, '']\n"},
		{"auth.webhook.frame_headers", 4, goodHook + "    frame_headers: [a, '']\n"},
		{"auth.webhook.secret_file", 4, goodHook + "    secret_file: open\n"},
		{"auth.users.file", 3, "auth:\n  users:\n    file: missing\n"},
		{"auth.users.file", 3, "auth:\n  users:\n    file: users.yaml\n"},
		{"auth.users.file", 3, "auth:\n  users:\n    file: twice.yaml\n"},
		{"tls.cert, tls.key", 2, "tls:\n  cert: missing\n  key: missing\n"},
		{"tls.cert, tls.key", 2, "tls:\n  cert: closed\n  key: closed\n"},
		{"tls", 2, "tls:\n  cert: closed\n"},
		{"tls.client_ca", 2, "tls:\n  client_ca: closed\n"},
		{"destinations", 2, "destinations:\n  topic: [topic]\n"},
		{"destinations", 2, "destinations:\n  user: /queue\n"},
		{"queues.transient", 2, "queues:\n  transient: [/topic/a]\n"},
		{"queues.transient", 2, "queues:\n  transient: [/queue/DLQ.a]\n"},
		{"history[0].destination", 2, "history:\n  - {destination: /queue/a}\n"},
		{"history[0].destination", 2, "history:\n  - {destination: /user/queue/a}\n"},
		{"history[1].destination", 3, "history:\n  - {destination: /topic/a}\n  - {destination: /topic/a}\n"},
		{"history[1].bytes", 3, "history:\n  - {destination: /topic/a}\n  - {destination: /topic/b, bytes: 1GiB}\n"},
		{"history[0].bytes", 2, "history:\n  - {destination: /topic/a, bytes: off}\n"},
		{"presence", 1, "presence: [/queue/a]\n"},
		{"presence", 1, "presence: [/topic/a, /topic/presence/**]\n"},
		{"handlers[0].destination", 3, "handlers:\n  - url: https://a.example\n    destination: /topic/a\n"},
		{"handlers[0].destination", 2, "handlers:\n  - destination: /app/a{b}\n    url: https://a.example\n"},
		{"handlers[0].destination", 2, "handlers:\n  - destination: /app/bootstrap\n    url: https://a.example\n"},
		{"handlers[1].destination", 3, "handlers:\n  - {destination: '/app/a/{b}', url: https://a.example}\n  - {destination: /app/**, url: https://a.example}\n"},
		{"handlers[0].url", 3, "handlers:\n  - destination: /app/a\n    url: http://a.example\n"},
		{"handlers[0].url", 3, "handlers:\n  - destination: /app/a\n    url: https://a.example/#f\n"},
		{"handlers[0].secret_file", 4, "handlers:\n  - destination: /app/a\n    url: https://a.example\n    secret_file: missing\n"},
		{"handlers[0].via", 4, "handlers:\n  - destination: /app/a\n    url: https://a.example\n    via: /topic/a\n"},
		{"handlers[0].via", 4, "handlers:\n  - destination: /app/a\n    url: https://a.example\n    via: /queue/DLQ.a\n"},
		{"handlers[0].via", 6, "queues:\n  mode: broadcast\nhandlers:\n  - destination: /app/a\n    url: https://a.example\n    via: /queue/a\n"},
		{"handlers[1].via", 3, "handlers:\n  - {destination: /app/a, url: https://a.example, via: /queue/a}\n  - {destination: /app/b, url: https://a.example, via: /queue/a}\n"},
		{"durable[0].destination", 2, "durable:\n  - {destination: /queue/a}\n"},
		{"durable[1].destination", 3, "durable:\n  - {destination: /topic/a}\n  - {destination: /topic/a}\n"},
		{"websocket.origins", 2, "websocket:\n  origins: [nowhere]\n"},
		{"websocket.hosts", 2, "websocket:\n  hosts: [https://a.example.com]\n"},
		{"websocket.hosts", 2, "websocket:\n  hosts: [a.example.com/ws]\n"},
		{"websocket.path", 2, "websocket:\n  path: /livez\n"},
		{"listen", 1, "listen: 0.0.0.0:0\n"},
		{"admin", 1, "admin: 0.0.0.0:0\n"},
		{"sockjs_cookie", 1, "sockjs_cookie: hoofbeat\n"},
		{"limits.outbox", 2, "limits:\n  outbox: 4KiB\n"},
		{"queues.bytes", 2, "queues:\n  bytes: 1KiB\n"},
		{"store.sync", 2, "store:\n  sync: 1h\n"},
		{"store.sync", 2, "store:\n  sync: never\n"},
		{"store.reserve", 2, "store:\n  reserve: 1MiB\n"},
		{"store.reserve", 2, "store:\n  reserve: off\n"},
		{"store.disk", 3, "store:\n  dir: a\n  disk: 1GiB\n"},
		{"queues.total_bytes", 4, "store:\n  dir: a\nqueues:\n  total_bytes: off\n"},
		{"history[0].bytes", 5, "store:\n  dir: a\nhistory_bytes: off\nhistory:\n  - {destination: /topic/a, bytes: off}\n"},
		{"store.key", 3, "store:\n  dir: a\n  key: short\n"},
		{"store.key_file", 3, "store:\n  dir: a\n  key_file: missing\n"},
		{"store.old_key", 4, "store:\n  dir: a\n  key: " + longKey + "\n  old_key: short\n"},
		{"store.old_key", 3, "store:\n  dir: a\n  old_key: " + longKey + "\n"},
		{"cluster.name", 2, "cluster:\n  name: a b\n"},
		{"cluster.listen", 2, inCluster("listen: 127.0.0.1:1", peerLine)},
		{"node", 1, "node: a\n" + inCluster("name: b", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.peers", 2, "cluster:\n  peers: ['127.0.0.1:2']\n"},
		{"cluster.peers", 2, "cluster:\n  peers: [':6222']\n"},
		{"cluster.peers", 2, "cluster:\n  peers: ['10.0.0.1:0']\n"},
		{"cluster.peers", 2, "cluster:\n  peers: [10.0.0.1]\n"},
		{"cluster.peers", 4, inCluster("name: a", "listen: 127.0.0.1:1", "peers: ['127.0.0.1:2', '127.0.0.1:2']")},
		{"cluster.listen", 3, inCluster("name: a", "listen: 127.0.0.1:1")},
		{"cluster.listen", 3, inCluster("name: a", "listen: :1", peerLine, "secret: "+longKey)},
		{"cluster.advertise", 2, inCluster("advertise: 0.0.0.0:1", "name: a", "listen: :1", peerLine, "secret: "+longKey)},
		{"cluster.listen", 2, inCluster("listen: 10.0.0.1:1", "name: a", peerLine)},
		{"cluster.secret", 3, inCluster("name: a", "secret: short", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.secret_file", 3, inCluster("name: a", "secret_file: missing", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.secret", 2, "cluster:\n  secret: " + longKey + "\n"},
		{"cluster.url", 2, inCluster("url: ['nats://a:4222']", "name: a", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.url", 2, "cluster:\n  url: ['nats://user:hush@a:4222']\n"},
		{"cluster.url", 2, "cluster:\n  url: ['https://a:4222']\n"},
		{"cluster.credentials_file", 2, "cluster:\n  credentials_file: closed\n"},
		{"cluster.peers", 4, inCluster("name: a", "listen: 127.0.0.1:1", "peers: ['127.0.0.1:2', '127.0.0.1:3']")},
		{"cluster.peers", 4, inCluster("name: a", "listen: 127.0.0.1:2", peerLine)},
		{"cluster.peers", 4, inCluster("name: a", "listen: 127.0.0.1:1", "peers: ['127.0.0.1:2']") + "store: {dir: a}\n"},
		{"cluster.peers", 4, inCluster("name: a", "listen: 127.0.0.1:1", "peers: ['127.0.0.1:2', '127.0.0.1:3', '127.0.0.1:4', '127.0.0.1:5', '127.0.0.1:6']") + "store: {dir: a}\n"},
		{"cluster.prefix", 2, "cluster:\n  prefix: a.b\n"},
		{"cluster.tls", 3, inCluster("name: a", "tls: {cert: closed}", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.tls", 3, inCluster("name: a", "tls: {cert: closed, key: closed}", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.tls", 3, inCluster("name: a", "tls: {cert: missing, key: missing, ca: missing}", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.replicas", 3, inCluster("name: a", "replicas: 5", "listen: 127.0.0.1:1", peerLine)},
		{"cluster.replicas", 2, "cluster:\n  replicas: 2\n"},
		{"cluster.witness", 3, inCluster("name: a", "witness: true", "listen: 127.0.0.1:1", peerLine)},
		{"store.dir", 6, inCluster("name: a", "url: ['nats://a:4222']") + "store:\n  dir: a\n"},
		{"queues.mode", 2, "queues:\n  mode: work\n" + strings.TrimSuffix(inCluster("name: a", "url: ['nats://a:4222']"), broadcast)},
		{"cluster.url", 3, strings.TrimSuffix(inCluster("name: a", "url: ['nats://a:4222']"), broadcast)},
		{"history", 6, inCluster("name: a", "url: ['nats://a:4222']") + "history:\n  - {destination: /topic/a}\n"},
		{"durable", 6, inCluster("name: a", "url: ['nats://a:4222']") + "durable:\n  - {destination: /topic/a}\n"},
		{"presence", 5, inCluster("name: a", "url: ['nats://a:4222']") + "presence: [/topic/a]\n"},
		{"webflow.hmac_key", 2, "webflow:\n  hmac_key: short\n"},
		{"webflow.hmac_key_file", 2, "webflow:\n  hmac_key_file: missing\n"},
		{"webflow.results", 2, "webflow:\n  results: []\n"},
		{"webflow.interim", 2, "webflow:\n  interim: [NEVER]\n"},
		{"webflow.expired_result", 2, "webflow:\n  expired_result: NEVER\n"},
		{"events.url", 2, "events:\n  url: http://a.example/\n"},
		{"events.url", 2, "events:\n  url: https://a.example/#f\n"},
		{"events.secret", 2, "events:\n  secret: s\n"},
		{"events.secret_file", 3, "events:\n  url: https://a.example/\n  secret_file: missing\n"},
		{"events.types", 2, "events:\n  types: [connect]\n"},
		{"events.types", 3, "events:\n  url: https://a.example/\n  types: []\n"},
		{"events.destinations", 3, "events:\n  url: https://a.example/\n  destinations: [/room/**]\n"},
		{"events.destinations", 3, "events:\n  url: https://a.example/\n  destinations: [\"/topic/\"]\n"},
		{"events.bytes", 3, "events:\n  url: https://a.example/\n  bytes: 1KiB\n"},
		{"webflow.events.url", 3, "webflow:\n  events:\n    url: http://a.example/\n"},
		{"webflow.events.url", 3, "webflow:\n  events:\n    url: https://a.example/#f\n"},
		{"webflow.events.secret", 3, "webflow:\n  events:\n    secret: s\n"},
		{"nodes[1].id", 3, "nodes:\n  - {id: a, url: 'ws://b'}\n  - {id: '', url: 'ws://b'}\n"},
		{"rules", 2, "rules:\n  - {allow: [send], destination: '/user/*/queue/a'}\n"},
		{"rules", 2, "rules:\n  - {allow: [send], destination: '/topic/a{b}'}\n"},
		{"rules.allow", 2, "rules:\n  - {allow: [read], destination: '/topic/a'}\n"},
		{"rules.destination", 2, "rules:\n  - {allow: [send], destination: 'topic'}\n"},
		{"rules.claims.a", 2, "rules:\n  - {allow: [send], destination: '/topic/a', claims: {a: []}}\n"},
	} {
		m.check(t, dir)
	}
}
