package app

import (
	"fmt"
	"strings"
	"testing"
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
		c := load(t, "auth: {anonymous: true}\nrules:\n  - "+tc.rule+"\n")
		got := strings.Join(Warnings(c), "\n")
		if tc.want == "" && got != "" || tc.want != "" && (!strings.Contains(got, tc.want) || !strings.Contains(got, ":3: rules: ")) {
			t.Errorf("%s: %q", tc.rule, got)
		}
	}
	c := load(t, "auth: {anonymous: true}\nwebflow: {enabled: false}\nrules:\n  - {allow: [send], destination: \"/user/*/topic/authorization\", any_user: true}\n")
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
		got := Warnings(load(t, text))
		if signed != (len(got) == 1 && strings.HasPrefix(got[0], "auth.tickets.signed: ")) {
			t.Errorf("signed %v: %q", signed, got)
		}
	}
}
