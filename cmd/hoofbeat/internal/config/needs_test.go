package config

import (
	"strings"
	"testing"
)

// Every need that a key names exists, and every need is that of a key.
func TestNeedsOfKeys(t *testing.T) {
	used := make(map[string]bool)
	for _, k := range Keys() {
		for _, name := range k.needs {
			if used[name] = true; needs[name].met == nil {
				t.Errorf("%s: there is no need %q", k.Path, name)
			}
		}
	}
	for name := range needs {
		if !used[name] {
			t.Errorf("no key needs %q", name)
		}
	}
}

func TestIneffectiveKeys(t *testing.T) {
	for text, want := range map[string]string{
		"auth:\n  tickets:\n    ttl: 1m\n":                                                      "hoofbeat.yaml:3: auth.tickets.ttl has no effect, because nothing mints tickets",
		"auth:\n  tickets:\n    bind_origin: true\n    enabled: true\n":                         "hoofbeat.yaml:3: auth.tickets.bind_origin has no effect, because nothing can be exchanged",
		"auth:\n  tickets:\n    enabled: true\n    ttl: 1m\n":                                   "",
		"auth:\n  tickets:\n    ttl: 5m\n":                                                      "",
		"webflow:\n  enabled: false\n  ttl: 1m\n":                                               "hoofbeat.yaml:3: webflow.ttl has no effect, because webflow.enabled is false",
		"webflow:\n  enabled: true\n  ttl: 1m\n":                                                "",
		"webflow:\n  registration: announced\n  max_operations_per_user: 3":                     "hoofbeat.yaml:3: webflow.max_operations_per_user has no effect",
		"webflow:\n  events:\n    allow_http: true\n":                                           "hoofbeat.yaml:3: webflow.events.allow_http has no effect, because webflow.events.url is not set",
		"events:\n  types: [connected]\n":                                                       "hoofbeat.yaml:2: events.types has no effect, because events.url is not set",
		"events:\n  url: https://a.example\n  types: [connected]\n  destinations: [/topic/a]\n": "hoofbeat.yaml:4: events.destinations has no effect, because events.types has neither subscribed nor unsubscribed",
		"queues:\n  mode: broadcast\n  prefetch: 7\n":                                           "hoofbeat.yaml:3: queues.prefetch has no effect, because queues.mode is broadcast",
		"compatibility: spring\nqueues:\n  prefetch: 7\n":                                       "hoofbeat.yaml:3: queues.prefetch has no effect, because queues.mode is broadcast",
		"queues:\n  prefetch: 7\n":                                                              "",
		"sockjs: false\nsockjs_cookie: other\n":                                                 "hoofbeat.yaml:2: sockjs_cookie has no effect, because sockjs is false",
		"admin: off\nadmin_pprof: true\n":                                                       "hoofbeat.yaml:2: admin_pprof has no effect, because admin is off",
		"auth:\n  sessions:\n    ttl: 1h\n":                                                     "hoofbeat.yaml:3: auth.sessions.ttl has no effect, because auth.oauth is not set",
		"auth:\n  webhook:\n    cache: 1s\n":                                                    "hoofbeat.yaml:3: auth.webhook.cache has no effect, because auth.webhook.url is not set",
		"auth:\n  webhook:\n    url: https://a.example\n    events: [connect]\n    cache: 1s\n": "hoofbeat.yaml:5: auth.webhook.cache has no effect, because auth.webhook.events has neither",
		"limits:\n  login_failures: 3\n":                                                        "hoofbeat.yaml:2: limits.login_failures has no effect, because nobody is authenticated",
		"limits:\n  fetched_answer: 1KiB\n":                                                     "hoofbeat.yaml:2: limits.fetched_answer has no effect",
		"heartbeat:\n  expect: off\n  patience: 1m\n":                                           "hoofbeat.yaml:3: heartbeat.patience has no effect",
		"listen: off\ntcp: 127.0.0.1:0\nwebsocket: {path: /a}\n":                                "hoofbeat.yaml:3: websocket.path has no effect, because listen is off",
	} {
		c, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := strings.Join(c.Ineffective(), "\n")
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestUnreachableRules(t *testing.T) {
	for text, want := range map[string]bool{
		"rules: [{deny: [send], destination: '/chat/**'}]":                                                       true,
		"rules: [{deny: [send], destination: '/topics/a'}]":                                                      true,
		"rules: [{deny: [send], destination: '/topic/**'}]":                                                      false,
		"rules: [{deny: [send], destination: '/**'}]":                                                            false,
		"rules: [{deny: [send], destination: '/*/a'}]":                                                           false,
		"rules: [{deny: [send], destination: '/user/{user}/queue/a'}]":                                           false,
		"compatibility: spring\nrules: [{deny: [send], destination: '/chat/**'}]":                                false,
		"destinations: {topic: [/chat/rooms]}\nrules: [{deny: [send], destination: '/chat/**'}]":                 false,
		"destinations: {topic: [/chat/rooms]}\nrules: [{deny: [send], destination: '/chat/halls/a'}]":            true,
		"destinations: {app: [/ws], topic: [/topic]}\nrules: [{deny: [send], destination: '/app/registration'}]": true,
	} {
		c, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := c.Unreachable()
		if want != (len(got) == 1) || want && !strings.Contains(got[0], ": rules: \"/") {
			t.Errorf("%s: %q", text, got)
		}
	}
}
