package config

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// write puts a file into a new folder and returns its path.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, yaml string) (*Config, error) {
	t.Helper()
	return Load(Sources{File: write(t, "hoofbeat.yaml", yaml)})
}

func TestDefaultFileIsTheDefault(t *testing.T) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, b.String())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if want := Default(); !reflect.DeepEqual(unplaced(c), want) {
		t.Errorf("default file loads as\n%+v\nwant\n%+v", c, want)
	}
	for _, k := range Keys() {
		_, leaf := cut(k.Path)
		if has := strings.Contains(b.String(), "\n"+strings.Repeat("  ", strings.Count(k.Path, "."))+leaf+": "); has == k.envOnly {
			t.Errorf("%s in the default file: %v", k.Path, has)
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 92 && !strings.Contains(line, "#   - {") {
			t.Errorf("line of %d columns: %s", len(line), line)
		}
	}
}

// Every comment of the default file can be cut away key by key.
func TestEmptyFilesAndSections(t *testing.T) {
	for _, yaml := range []string{"", "# nothing\n", "---\n", "limits:\n  # frame: 1KiB\n", "rules:\n", "rules: []\n", "auth:\n  users:\n"} {
		c, err := load(t, yaml)
		if err != nil || !reflect.DeepEqual(unplaced(c), Default()) {
			t.Errorf("%q: %+v, %v", yaml, c, err)
		}
	}
}

func TestDefaultsAreTheDesign(t *testing.T) {
	c := Default()
	want := Limits{
		Frame: 65536, UnauthenticatedFrame: 8192, Headers: 100, HeaderBytes: 8192, Subscriptions: 1000, SubscriptionBytes: 2 << 20, ReplyDestinations: 100, SlowPatterns: 2500, SlowPatternsPerUser: 250, SelectorsPerUser: 100, Durable: 1000, DurablePerUser: 100,
		Transactions: 16, TransactionFrames: 1000, TransactionBytes: 1 << 20, InFlight: 1000, InFlightBytes: 1 << 20, Unacknowledged: 1000, DedupIDs: 500_000, DedupIDsPerUser: 125_000, PresenceLeaving: 100_000, Outbox: 524288, ReplayBytes: 64 << 20,
		ConnectDeadline: 5 * time.Second, WriteDeadline: 10 * time.Second, Unauthenticated: 1024, UnauthenticatedPerAddress: 64,
		SockJSSessions: 10_000, FetchedAnswer: 256 << 10, FetchedAnswers: 64 << 20, NUL: "replace", Connections: 65_536, ConnectionsPerAddress: 1024, Sessions: 100_000, SessionsPerUser: 1000, SessionsPerAddress: 10_000,
		LoginFailures: 5, AddressFailures: 50, FailureWait: time.Minute, FailureDecay: 2 * time.Minute,
	}
	if c.Limits != want {
		t.Errorf("limits %+v, want %+v", c.Limits, want)
	}
	queues := Queues{Mode: "work", Messages: 10_000, Bytes: 64 << 20, Attempts: 5, Expired: "drop", Delayed: 100_000, DelayedBytes: 256 << 20, DelayedPerUser: 25_000, DelayedBytesPerUser: 64 << 20, Queues: 1000, TotalBytes: 1 << 30, QueuesPerUser: 250, BytesPerUser: 256 << 20, Prefetch: 100}
	if !reflect.DeepEqual(c.Queues, queues) {
		t.Errorf("queues %+v, want %+v", c.Queues, queues)
	}
	if c.Listen != "127.0.0.1:8080" || c.Admin != "127.0.0.1:8081" || c.TCP != "" || c.WebSocket.Path != "/ws" || !c.SockJS || c.Selectors || c.Compatibility != "" || !c.Development() {
		t.Errorf("%+v", c)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	var docs, env bytes.Buffer
	if err := errors.Join(WriteDocs(&docs), WriteEnv(&env)); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, k := range Keys() {
		if r, ok := k.value.(*records); ok {
			var check func(list string, r *records)
			check = func(list string, r *records) {
				for _, item := range r.fresh() {
					name := itemEnv(list, item)
					inner, ok := item.value.(*records)
					if ok {
						check(name, inner)
					}
					if len(item.Doc) < 10 || !strings.HasSuffix(item.Doc, ".") || item.Want() == "" || !strings.Contains(docs.String(), name) || !ok && !strings.Contains(env.String(), "\n#"+name+"=") {
						t.Errorf("%s of %s is not documented", item.Path, k.Path)
					}
				}
			}
			check(k.Env(), r)
			if c, err := load(t, strings.ReplaceAll(k.Path, ".", ":\n  ")+": ["+r.example+"]\n"); err != nil || reflect.DeepEqual(unplaced(c), Default()) {
				t.Errorf("the example of %s does not load: %v", k.Path, err)
			}
			continue
		}
		if len(k.Doc) < 20 || !strings.HasSuffix(k.Doc, ".") || k.Want() == "" || k.Type() == "" {
			t.Errorf("%s: doc %q, values %q, type %q", k.Path, k.Doc, k.Want(), k.Type())
		}
		if !strings.Contains(docs.String(), "| `"+k.Path+"` |") || !strings.Contains(docs.String(), "`"+k.Env()+"`") {
			t.Errorf("%s is not in the documentation", k.Path)
		}
		if k.Flag() != "" && !strings.Contains(docs.String(), "`--"+k.Flag()+"`") {
			t.Errorf("flag of %s is not in the documentation", k.Path)
		}
		if !strings.Contains(env.String(), "\n#"+k.Env()+"="+k.Default+"\n") {
			t.Errorf("%s is not in the environment file", k.Env())
		}
		if seen[k.Env()] || seen[k.Flag()] && k.Flag() != "" || foreign(k.Env()) {
			t.Errorf("%s: name %s or %s is taken", k.Path, k.Env(), k.Flag())
		}
		seen[k.Env()], seen[k.Flag()] = true, true
		if section, _ := cut(k.Path); section != "" && sections()[section] == "" {
			t.Errorf("section %s has no documentation", section)
		}
		// The default must be a value that the key accepts.
		if err := k.value.Set(k.Default); err != nil && !k.envOnly {
			t.Errorf("default of %s: %v", k.Path, err)
		}
	}
	_, rules, _ := strings.Cut(docs.String(), "### rules")
	_, rules, _ = strings.Cut(rules, "```yaml\n")
	if c, err := load(t, strings.TrimSuffix(rules, "```\n")); err != nil || len(c.Rules) != 4 {
		t.Errorf("the documented rules do not load: %+v, %v", c, err)
	}
	for _, line := range strings.Split(docs.String(), "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|")-strings.Count(line, `\|`) != 7 {
			t.Errorf("broken row %s", line)
		}
	}
}

// Every field of the struct has a key: no value of the defaults stays zero
// unless its key says so, and each key changes exactly one field.
func TestEveryKeyHasItsField(t *testing.T) {
	samples := []string{
		"true", "false", "debug", "7", "5KiB", "3s", "3m", "spring", "10.0.0.0/8", "127.0.0.1:9", "https://a.example/b", "/p", "*.example.com", "*",
		"/queue/*-user*,/queue/reply", "PAIRED,CONTINUE", "send", "abc", "0123456789abcdef", "1MiB", "1GiB", "connected", "nats://a.example:4222", "3", "500",
	}
	fields := 0
	var count func(v reflect.Value)
	count = func(v reflect.Value) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				if v.Type().Field(i).IsExported() {
					count(v.Field(i))
				}
			}
			return
		}
		fields++
	}
	count(reflect.ValueOf(Config{}))
	if n := len(Keys()) + 2; n != fields { // rules are no key, and auth.trusted_proxies has two fields
		t.Errorf("%d fields for keys, %d fields", n, fields)
	}
	for i, k := range Keys() {
		if k.Type() == "items" {
			continue
		}
		text := "" // that the key takes, and that is not its default
		texts := samples
		if c, ok := k.value.(choice); ok {
			texts = c.words
		}
		for _, sample := range texts {
			if err := k.value.Set(sample); err == nil && sample != k.Default {
				text = sample
				break
			}
		}
		c := new(Config)
		keys := bind(c)
		if err := keys[i].value.Set(text); err != nil {
			t.Errorf("%s: %v", k.Path, err)
		}
		if got := keys[i].value.String(); got != text {
			t.Errorf("%s: set %q, is %q", k.Path, text, got)
		}
		if reflect.DeepEqual(c, Default()) {
			t.Errorf("%s changes nothing", k.Path)
		}
		for j, other := range keys {
			if j != i && other.value.String() != other.Default {
				t.Errorf("%s changes %s", k.Path, other.Path)
			}
		}
	}
}

func TestFullFile(t *testing.T) {
	path := write(t, "hoofbeat.yaml", `
listen: :8080
admin: off
tcp: 0.0.0.0:61613
tls: {cert: cert.pem, key: /etc/key.pem}
websocket:
  origins: ["https://a.example", "https://*.b.example"]
heartbeat: {send: 500ms, expect: off}
limits: {frame: 1MiB, outbox: 2MiB, subscriptions: -1, headers: unlimited, connect_deadline: 1m30s}
queues: {mode: broadcast, bytes: 1GiB}
auth:
  users: {file: users.yaml}
  trusted_proxies: [10.1.2.3/8, "::1"]
rules:
  - {allow: [subscribe], destination: "/topic/reminder/{user}"}
  - deny: [send, subscribe]
    destination: /topic/**
    roles: [guest, 007]
  - {allow: send, destination: /app/x, claims: {tenant: [acme, 5], plan: pro}}
  - {allow: send, destination: "/user/*/queue/x", scopes: notify, authenticated: true, any_user: true}
log: {level: warn, format: json}
`)
	c, err := Load(Sources{File: path})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":8080" || c.Admin != "" || c.TCP != "0.0.0.0:61613" || c.Development() || !c.Authenticated() {
		t.Errorf("listeners %q %q %q", c.Listen, c.Admin, c.TCP)
	}
	dir := filepath.Dir(path)
	if c.TLS.Cert != filepath.Join(dir, "cert.pem") || c.TLS.Key != "/etc/key.pem" || c.Auth.Users.File != filepath.Join(dir, "users.yaml") {
		t.Errorf("files are relative to the configuration: %+v %+v", c.TLS, c.Auth.Users)
	}
	if c.HeartBeat.Send != 500*time.Millisecond || c.HeartBeat.Expect != Off || c.Limits.Frame != 1<<20 ||
		c.Limits.Subscriptions != Off || c.Limits.Headers != Off || c.Limits.ConnectDeadline != 90*time.Second {
		t.Errorf("%+v %+v", c.HeartBeat, c.Limits)
	}
	if got := c.Auth.TrustedProxies.Networks; len(got) != 2 || got[0].String() != "10.0.0.0/8" || got[1].String() != "::1/128" {
		t.Errorf("proxies %v", got)
	}
	if len(c.WebSocket.Origins) != 2 || c.Log.Level != slog.LevelWarn || c.Log.Format != "json" || c.Queues.Mode != "broadcast" {
		t.Errorf("%+v", c)
	}
	want := []Rule{
		{Allow: true, Actions: []string{"subscribe"}, Destination: "/topic/reminder/{user}", File: "hoofbeat.yaml", Line: 15},
		{Actions: []string{"send", "subscribe"}, Destination: "/topic/**", Roles: []string{"guest", "007"}, File: "hoofbeat.yaml", Line: 16},
		{Allow: true, Actions: []string{"send"}, Destination: "/app/x", Claims: map[string][]string{"tenant": {"acme", "5"}, "plan": {"pro"}}, File: "hoofbeat.yaml", Line: 19},
		{Allow: true, Actions: []string{"send"}, Destination: "/user/*/queue/x", Scopes: []string{"notify"}, Authenticated: true, AnyUser: true, File: "hoofbeat.yaml", Line: 20},
	}
	if !reflect.DeepEqual(c.Rules, want) {
		t.Errorf("rules\n%+v\nwant\n%+v", c.Rules, want)
	}
}

func TestFileErrors(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"nearest key", "\nlimits:\n  fram: 1KiB\n", "hoofbeat.yaml:3: limits.fram: there is no such key, did you mean limits.frame?"},
		{"nearest section", "limit: {frame: 1KiB}", "hoofbeat.yaml:1: limit: there is no such key, did you mean limits?"},
		{"wrong section", "frame: 1KiB", "hoofbeat.yaml:1: frame: there is no such key, did you mean limits.frame?"},
		{"swapped letters", "lsiten: :1", "did you mean listen?"},
		{"nothing near", "zzzzzzzzzzz: 1", "hoofbeat.yaml:1: zzzzzzzzzzz: there is no such key"},
		{"merge key", "<<: {listen: 1}", "<<: there is no such key"},
		{"duration without unit", "heartbeat:\n  send: 10", `hoofbeat.yaml:2: heartbeat.send: "10" is not a duration: want for example 500ms, 5s, 2m or 1h30m`},
		{"decimal size", "limits: {frame: 64KB}", `limits.frame: "64KB" is not a size: want bytes such as 512, or 64KiB, 16MiB, 1GiB`},
		{"zero limit", "limits: {subscriptions: 0}", "limits.subscriptions: 0 is out of range: want 1 to 1000000, or off"},
		{"huge size", "queues: {bytes: 9999999999999TiB}", "is not a size"},
		{"out of range", "limits: {frame: 2GiB}", "limits.frame: 2GiB is out of range: want 1KiB to 1GiB, or off"},
		{"negative duration", "heartbeat: {send: -5s}", "-5s is out of range: want 10ms to 1h, or off"},
		{"drain cannot be off", "drain: {timeout: off}", `"off" is not a duration`},
		{"word", "queues: {mode: works}", `queues.mode: "works" is not accepted: want work or broadcast`},
		{"queue pattern", "queues: {transient: [/topic/*]}", `queues.transient: "/topic/*" is not accepted: want a pattern such as /queue/*-user*`},
		{"long queue pattern", "queues: {transient: [/queue/?" + strings.Repeat("x", 100) + "]}", "want a pattern such as /queue/*-user*"},
		{"pattern of dead letters", "queues: {transient: [/queue/*-user*, /queue/DLQ.*]}", `"/queue/DLQ.*" is not accepted`},
		{"bool", "auth: {anonymous: yes}", `auth.anonymous: "yes" is not accepted: want true or false`},
		{"address", "listen: 8080", `listen: "8080" is not accepted: want host:port such as`},
		{"port", "listen: 127.0.0.1:http", "is not accepted"},
		{"origin", "websocket: {origins: [app.example.com]}", "want an origin such as https://app.example.com"},
		{"origin with comma", "websocket: {origins: ['https://a,https://b']}", "is not accepted"},
		{"path", "websocket: {path: ws}", `"ws" is not accepted: want a path such as /ws`},
		{"proxy", "auth: {trusted_proxies: [proxy]}", "want networks such as 10.0.0.0/8"},
		{"level", "log: {level: verbose}", "want debug, info, warn or error"},
		{"list for one", "listen: [a]", "listen: want one value"},
		{"section for one", "listen: {a: 1}", "listen: want one value"},
		{"one for section", "limits: 5", "hoofbeat.yaml:1: limits: want keys and values"},
		{"entries for destinations", "presence: [{destination: /topic/a}]", "presence: want a list of texts without keys: patterns of topics such as /topic/room/**"},
		{"entry for destinations", "presence: {destination: /topic/a}", "presence: want a list of texts without keys: patterns of topics such as"},
		{"destination for an entry", "durable: [/topic/a]", "durable[0]: want keys and values such as {destination: …}"},
		{"list for file", "- a", "want keys and values"},
		{"no value", "listen:", "listen: has no value"},
		{"alias", "listen: &a :1\nadmin: *a", "anchors, aliases and tags are not read here"},
		{"two documents", "listen: :1\n---\nadmin: :2\n", "hoofbeat.yaml:3: a second document"},
		{"duplicate", "listen: :1\nlisten: :2\n", "hoofbeat.yaml:2: "},
		{"secret in file", "admin_token: hunter2hunter2hunter2", "admin_token: is a secret and only read from the environment, as HOOFBEAT_ADMIN_TOKEN"},
		{"rules no list", "rules: 5", "rules: want a list of rules"},
		{"rule no mapping", "rules: [5]", "rules: want a rule such as"},
		{"rule key", "rules: [{alow: [send], destination: /a}]", "rules.alow: there is no such key, did you mean allow?"},
		{"rule both", "rules: [{allow: [send], deny: [send], destination: /a}]", "either allow or deny"},
		{"rule neither", "rules: [{destination: /a}]", "either allow or deny"},
		{"rule action", "rules:\n- {allow: [publish], destination: /a}", `hoofbeat.yaml:2: rules.allow: "publish" is not accepted: want subscribe, send or both`},
		{"rule no action", "rules: [{allow: [], destination: /a}]", "want subscribe, send or both"},
		{"rule no destination", "rules: [{allow: [send]}]", "a rule wants a destination"},
		{"rule destination", "rules: [{allow: [send], destination: topic}]", `"topic" is not accepted: want a destination`},
		{"rule bool", "rules: [{allow: [send], destination: /a, any_user: yes}]", `rules.any_user: "yes" is not accepted: want true or false`},
		{"rule claims", "rules: [{allow: [send], destination: /a, claims: 5}]", "want names and values such as"},
		{"rule claim", "rules: [{allow: [send], destination: /a, claims: {a: []}}]", "rules.claims.a: want a value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.yaml)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error\n %v\nwant\n %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
}

func TestCombinations(t *testing.T) {
	for yaml, want := range map[string]string{
		"listen: off":                             "listen: is off, and tcp too",
		"tls: {cert: a}":                          "tls: want both cert and key",
		"tls: {client_ca: a}":                     "tls.client_ca: wants tls.cert",
		"listen: :8080":                           "listen: :8080 can be reached from other machines and nobody would be authenticated",
		"tcp: 10.0.0.1:61613":                     "tcp: 10.0.0.1:61613 can be reached",
		"admin: :8081":                            "admin: :8081 can be reached from other machines: give it a token",
		"websocket: {path: /livez}":               "websocket.path: /livez is taken",
		"limits: {outbox: 32KiB}":                 "limits.outbox: limits.outbox of 32KiB is less than twice limits.frame of 64KiB",
		"limits: {unauthenticated_frame: 128KiB}": "limits.frame: 64KiB is less than 128KiB of limits.unauthenticated_frame",
		"queues: {total_bytes: 1MiB}":             "queues.total_bytes: 1MiB is less than 64MiB of queues.bytes",
		"queues: {bytes: 1KiB}":                   "queues.bytes: 1KiB is less than 64KiB of limits.frame",
	} {
		if _, err := load(t, yaml); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", yaml, err, want)
		}
	}
	for _, yaml := range []string{
		"listen: :8080\nauth: {anonymous: true}", "listen: :8080\nauth: {users: {file: a}}", "listen: off\ntcp: localhost:1",
		"limits: {outbox: off, frame: 1GiB}\nqueues: {bytes: off}", "listen: '[::1]:0'",
		"admin: :8081\nadmin_token_file: /t",
	} {
		if _, err := load(t, yaml); err != nil {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "hoofbeat.yaml", "listen: 127.0.0.1:1\nadmin: 127.0.0.1:1\ntcp: 127.0.0.1:1\nwebsocket: {origins: ['https://file']}\n")
	env := []string{"HOOFBEAT_ADMIN=127.0.0.1:2", "HOOFBEAT_TCP=127.0.0.1:2", "HOOFBEAT_WEBSOCKET_ORIGINS=https://a, https://b", "HOOFBEAT_LOG_LEVEL=", "PATH=/bin"}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags := AddFlags(fs)
	if err := fs.Parse([]string{"--tcp=127.0.0.1:3", "--auth-anonymous", "--limits-frame", "1KiB", "--limits-unauthenticated-frame=1KiB"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Sources{File: file, Env: env, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:1" || c.Admin != "127.0.0.1:2" || c.TCP != "127.0.0.1:3" {
		t.Errorf("listen %s from the file, admin %s from the environment, tcp %s from the flag", c.Listen, c.Admin, c.TCP)
	}
	if !reflect.DeepEqual(c.WebSocket.Origins, []string{"https://a", "https://b"}) || !c.Auth.Anonymous || c.Limits.Frame != 1024 || c.Log.Level != slog.LevelInfo {
		t.Errorf("%+v", c)
	}
	if err := fs.Parse([]string{"--limits-frame=1"}); err == nil || !strings.Contains(err.Error(), "want 1KiB to 1GiB, or off") {
		t.Errorf("flag out of range: %v", err)
	}
	if fs.Lookup("admin-token") != nil {
		t.Error("the admin token must not be a flag: the process list shows flags")
	}
}

func TestEnvironment(t *testing.T) {
	_, err := Load(Sources{Env: []string{"HOOFBEAT_LISTENN=:1", "HOOFBEAT_LIMITS_FRAMES=1KiB", "HOOFBEAT_ADMIN_TOKEN=hunter2", "HOOFBEAT_LOG_FORMAT=xml"}})
	if err == nil {
		t.Fatal("no error")
	}
	want := `environment: HOOFBEAT_ADMIN_TOKEN: has 7 characters, want 16 or more
environment: HOOFBEAT_LIMITS_FRAMES: there is no such variable, did you mean HOOFBEAT_LIMITS_FRAME?
environment: HOOFBEAT_LISTENN: there is no such variable, did you mean HOOFBEAT_LISTEN?
environment: HOOFBEAT_LOG_FORMAT: "xml" is not accepted: want auto, text or json`
	if err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	var key *KeyError
	if !errors.As(err, &key) || key.Source != "environment" {
		t.Errorf("no KeyError in %v", err)
	}
	c, err := Load(Sources{Env: []string{
		"HOOFBEAT_URL=ws://x", "HOOFBEAT_LOGIN=ann", "HOOFBEAT_PASSCODE=p", // the client commands'
		"HOOFBEAT_PORT=tcp://10.0.0.1:80", "HOOFBEAT_PORT_80_TCP_ADDR=10.0.0.1", "HOOFBEAT_SERVICE_HOST=10.0.0.1", // Kubernetes'
		"HOOFBEAT_SERVICE_PORT=80", "HOOFBEAT_SERVICE_PORT_WS=80",
		"HOOFBEAT_ADMIN_TOKEN=0123456789abcdef",
	}})
	if err != nil || c.AdminToken != "0123456789abcdef" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestUnreadableFile(t *testing.T) {
	if _, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want os.ErrNotExist", err)
	}
	// The parser's own text would quote the line.
	if _, err := load(t, "auth: [hunter2\n"); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "hoofbeat.yaml:1: ") {
		t.Errorf("error %v, want a line and no quotation", err)
	}
}

func FuzzLoad(f *testing.F) {
	var b bytes.Buffer
	if err := WriteDefault(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add("rules: [{allow: send, claims: {a: b}}]\n? a\n: b\n")
	f.Add("a: !!str x\nb: |\n  c\n&x d: *x\n<<: [*x]")
	f.Fuzz(func(t *testing.T, yaml string) {
		node, err := parse("f", []byte(yaml))
		if err != nil || node == nil {
			return
		}
		c := new(Config)
		l := newLoader("f", c, bind(c))
		l.section("", node)
		if len(l.problems) == 0 {
			_ = c.check()
		}
	})
}

func TestChanged(t *testing.T) {
	a, b := Default(), Default()
	if got := Changed(a, b); len(got) != 0 {
		t.Errorf("changed %v", got)
	}
	b.Limits.Frame, b.AdminToken, b.Log.Level = 1, "0123456789abcdef", slog.LevelDebug
	b.Rules = []Rule{{Destination: "/a"}}
	if got, want := Changed(a, b, "log.level"), []string{"admin_token", "limits.frame", "rules"}; !reflect.DeepEqual(got, want) {
		t.Errorf("changed %v, want %v", got, want)
	}
}

// unplaced returns the values of c, without where they were given.
func unplaced(c *Config) *Config {
	if c == nil {
		return nil
	}
	values := *c
	values.places = nil
	return &values
}
