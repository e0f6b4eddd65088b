package config

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestCompatibility(t *testing.T) {
	changed := func(c *Config) string { return strings.Join(Changed(Default(), c, "compatibility"), " ") }
	c, err := load(t, "compatibility: spring")
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(c); got != "sockjs_cookie selectors queues.mode" || !c.Selectors || c.Queues.Mode != "broadcast" || c.SockJSCookie != "JSESSIONID" {
		t.Errorf("spring sets %s", got)
	}
	// The documentation of the key says exactly that.
	for _, k := range Keys() {
		if k.Path == "compatibility" && !strings.Contains(k.Doc, "spring: queues.mode is broadcast, selectors is true, sockjs_cookie is JSESSIONID. ") {
			t.Errorf("documented as %s", k.Doc)
		}
	}
	// What is written out wins, wherever, if it is the default, too.
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	flags := AddFlags(fs)
	if err := fs.Parse([]string{"--sockjs-cookie=", "--compatibility", "spring"}); err != nil {
		t.Fatal(err)
	}
	file := write(t, "hoofbeat.yaml", "queues: {mode: work, messages: 7}\nnodes: [{id: a, url: \"wss://a.example/ws\"}]\n")
	c, err = Load(Sources{File: file, Env: []string{"HOOFBEAT_SELECTORS=false"}, Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed(c); got != "nodes sockjs_cookie queues.messages" || c.SockJSCookie != "" || len(c.Nodes) != 1 {
		t.Errorf("beside what is written out it changes %s: %+v", got, c)
	}
	if c, err = load(t, "compatibility: \"\""); err != nil || !reflect.DeepEqual(unplaced(c), Default()) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := load(t, "compatibility: Spring"); err == nil || !strings.Contains(err.Error(), `compatibility: "Spring" is not accepted: want spring, or empty`) {
		t.Errorf("error %v", err)
	}
	if _, err := load(t, "compatibility: spring\nselectors: yes"); err == nil || strings.Count(err.Error(), "\n") != 0 {
		t.Errorf("error %v, want one", err)
	}
}

func TestSockJSCombinations(t *testing.T) {
	for yaml, want := range map[string]string{
		"sockjs: 1":                                                      `sockjs: "1" is not accepted: want true or false`,
		"sockjs_cookie: a b":                                             `sockjs_cookie: "a b" is not accepted: want letters, digits`,
		"sockjs_cookie: \"\"":                                            "",
		"sockjs_cookie: hoofbeat":                                        "sockjs_cookie: hoofbeat is the name of auth.sessions.cookie",
		"auth: {tickets: {path: /ws/}}":                                  "auth.tickets.path: /ws/ is taken by sockjs",
		"auth: {tickets: {path: /ws/info}}":                              "auth.tickets.path: /ws/info is taken by sockjs",
		"auth: {tickets: {path: /ws/ticket}}":                            "",
		"auth: {tickets: {path: /info}}\nwebsocket: {path: /}":           "auth.tickets.path: /info is taken by sockjs",
		"auth: {tickets: {path: /ws/info}}\nsockjs: false":               "",
		"limits: {sockjs_sessions: 0}":                                   "limits.sockjs_sessions: 0 is out of range: want 1 to 10000000, or off",
		"limits: {sockjs_sessions: off}\nsockjs_cookie: my_own-cookie\n": "",
		"websocket: {path: /oauth}\nauth: {oauth: [{name: a, client_id: b, redirect_url: \"https://a.example/oauth/callback\"}]}": "websocket.path: /oauth is taken: sockjs would answer below it",
	} {
		_, err := load(t, yaml)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", yaml, err, want)
		}
	}
}

func TestWriteEffective(t *testing.T) {
	c, err := load(t, "compatibility: spring\nsockjs_cookie: \"\"\nauth: {tickets: {signed: true, secret: hunter2hunter2}, jwt: [{issuer: \"https://a.example\", audience: b}]}\nrules: [{allow: send, destination: /app/a}]\n")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteEffective(&b, c); err != nil {
		t.Fatal(err)
	}
	const want = `sockjs_cookie: ""
selectors: true
compatibility: spring
queues.mode: broadcast
auth.jwt: 1 entry
auth.tickets.signed: true
auth.tickets.secret: a secret
rules: 1 entry
`
	if b.String() != want {
		t.Errorf("it writes\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	if err := WriteEffective(&b, Default()); err != nil || b.Len() > 0 {
		t.Errorf("of the defaults it writes %q, %v", b.String(), err)
	}
}
