package app

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

func TestWarningsOfRulesThatSeemToAllowForgery(t *testing.T) {
	const flow = "/user/{name}/topic/registration, /user/{name}/topic/authorization"
	for _, tc := range []struct{ rule, want string }{
		{`{allow: [send], destination: "/user/*/**", any_user: true}`, "/user/{name}/topic/session, /user/{name}/queue/errors, " + flow},
		{`{allow: [subscribe, send], destination: "/**", any_user: true}`, "/user/{name}/topic/session, /user/{name}/queue/errors, " + flow},
		{`{allow: [send], destination: "/user/*/topic/**", any_user: true}`, "/user/{name}/topic/session, " + flow},
		{`{allow: [send], destination: "/user/ann/topic/session", roles: [r]}`, "/user/{name}/topic/session:"},
		{`{allow: [send], destination: "/user/{user}/topic/auth*"}`, "/user/{name}/topic/authorization:"},
		{`{allow: [send], destination: "/user/{claim.id}/queue/errors"}`, "/user/{name}/queue/errors:"},
		{`{allow: [subscribe], destination: "/user/*/**", any_user: true}`, ""},
		{`{deny: [send], destination: "/user/*/**", any_user: true}`, ""},
		{`{allow: [send], destination: "/user/*/queue/news", any_user: true}`, ""},
		{`{allow: [send], destination: "/topic/**"}`, ""},
		{`{allow: [send], destination: "/user/topic/registration"}`, ""},
	} {
		c := configtest.Load(t, "auth: {anonymous: true}\nrules:\n  - "+tc.rule+"\nwebsocket: {hosts: [a.example]}\n")
		got := strings.Join(Warnings(c), "\n")
		if tc.want == "" && got != "" || tc.want != "" && (!strings.Contains(got, tc.want) || !strings.Contains(got, ":3: rules: ")) {
			t.Errorf("%s: %q", tc.rule, got)
		}
	}
	c := configtest.Load(t, "auth: {anonymous: true}\nwebsocket: {hosts: [a.example]}\nwebflow: {enabled: false}\nrules:\n  - {allow: [send], destination: \"/user/*/topic/authorization\", any_user: true}\n")
	if got := Warnings(c); len(got) != 0 {
		t.Errorf("without webflow: %q", got)
	}
}

func TestWarningOfSignedTicketsOnSeveralNodes(t *testing.T) {
	const nodes = "nodes: [{id: a, url: \"wss://a.example.com/ws\"}, {id: b, url: \"wss://b.example.com/ws\"}]\n"
	secret := strings.Repeat("s", 32)
	for _, signed := range []bool{false, true} {
		text := nodes
		if signed {
			text += fmt.Sprintf("auth: {tickets: {signed: true, secret: %s}}\n", secret)
		} else {
			text += "auth: {tickets: {enabled: true}}\n"
		}
		got := Warnings(configtest.Load(t, text))
		if signed != (len(got) == 1 && strings.HasPrefix(got[0], "auth.tickets.signed: ")) {
			t.Errorf("signed %v: %q", signed, got)
		}
	}
}

// Who lets anonymous clients in from a private network is told once that pages
// of other sites can come in by DNS rebinding; others are not bothered.
func TestWarningOfDNSRebinding(t *testing.T) {
	const anonymous = "auth: {anonymous: true}\n"
	for text, want := range map[string]bool{
		anonymous:                                  true,
		anonymous + "listen: localhost:0":          true,
		anonymous + "listen: :8080":                true,
		anonymous + "listen: 0.0.0.0:8080":         true,
		anonymous + "listen: '[::]:8080'":          true,
		anonymous + "listen: 10.1.2.3:8080":        true,
		anonymous + "listen: 172.16.0.1:8080":      true,
		anonymous + "listen: 192.168.0.1:8080":     true,
		anonymous + "listen: 169.254.0.1:8080":     true,
		anonymous + "listen: 100.64.0.1:8080":      true,
		anonymous + "listen: '[fd00::1]:8080'":     true,
		anonymous + "listen: '[fe80::1%lo]:8080'":  true,
		anonymous + "listen: 203.0.113.1:8080":     false,
		anonymous + "listen: 172.32.0.1:8080":      false,
		anonymous + "listen: '[2001:db8::1]:8080'": false,
		anonymous + "listen: broker.example:8080":  false,
		anonymous + "listen: unix:/run/ws.sock":    false,
		anonymous + "listen: off\ntcp: :61613":     false,

		"auth: {anonymous: true, users: {file: users.yaml}}": true,
		"auth: {users: {file: users.yaml}}\nlisten: :8080":   false,
		"": false, // development mode
		anonymous + "websocket: {hosts: [a.example]}":             false,
		anonymous + "websocket: {hosts: ['*']}":                   false,
		anonymous + "websocket: {origins: ['https://a.example']}": false,
		anonymous + "tls: {cert: a.pem, key: a.key}":              false, // for a name of another site it has no certificate
		anonymous + "websocket: {path: /stomp}":                   true,
	} {
		var found []string
		for _, w := range Warnings(configtest.Load(t, text)) {
			if strings.HasPrefix(w, "websocket.hosts: ") {
				found = append(found, w)
			}
		}
		if (len(found) == 1) != want || len(found) > 1 || want && strings.ContainsAny(found[0], "\n") {
			t.Errorf("%s: %q, want one: %v", text, found, want)
		}
	}
}

// Presence that nobody may see is worth a warning; a rule for all topics does
// not show it.
func TestWarningOfPresenceThatNobodySees(t *testing.T) {
	const on = "websocket: {hosts: [a.example]}\npresence: [/topic/**]\n"
	const rule = "rules:\n  - "
	for text, want := range map[string]string{
		on:                               "", // development mode
		on + "auth: {anonymous: true}\n": "/app/presence/ or /topic/presence/",
		on + "auth: {anonymous: true}\n" + rule + "{allow: [subscribe], destination: /topic/**}\n":                                        "/app/presence/ or /topic/presence/",
		on + "auth: {anonymous: true}\n" + rule + "{allow: [send], destination: /app/presence/**}\n":                                      "/app/presence/ or /topic/presence/",
		on + "auth: {anonymous: true}\n" + rule + "{deny: [subscribe], destination: /app/presence/**}\n":                                  "/app/presence/ or /topic/presence/",
		on + "auth: {anonymous: true}\n" + rule + "{allow: [subscribe], destination: /app/presence/topic/a}\n":                            "",
		on + "auth: {anonymous: true}\n" + rule + "{allow: [subscribe], destination: /topic/presence/**}\n":                               "",
		on + "auth: {anonymous: true}\ndestinations: {topic: [/, /t], app: [/do, /ws]}\n":                                                 "/do/presence/ or /t/presence/",
		on + "auth: {anonymous: true}\ndestinations: {topic: [/], app: [/do]}\n":                                                          "/do/presence/ or /presence/",
		on + "auth: {anonymous: true}\ndestinations: {app: [/do, /ws]}\n" + rule + "{allow: [subscribe], destination: /ws/presence/**}\n": "",
		on + "auth: {webhook: {url: 'https://a.example/hook', events: [connect, subscribe]}}\n":                                           "",
	} {
		got := strings.Join(Warnings(configtest.Load(t, text)), "\n")
		if want == "" && strings.Contains(got, "presence: ") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", text, got)
		}
	}
}
