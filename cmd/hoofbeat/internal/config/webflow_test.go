package config

import (
	"strings"
	"testing"
	"time"
)

func TestWebFlowDefaults(t *testing.T) {
	want := WebFlow{
		Enabled: true, Registration: "auto", Reply: "full", Policy: "first_wins",
		TTL: 5 * time.Minute, Grace: 30 * time.Second, MaxOperations: 1_000_000, MaxOperationsPerUser: 10_000,
	}
	if got := Default().WebFlow; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWebFlowErrors(t *testing.T) {
	for yaml, want := range map[string]string{
		"webflow: {registration: closed}":                              "webflow.registration: \"closed\" is not accepted: want auto, announced or open",
		"webflow: {reply: none}":                                       "want full or minimal",
		"webflow: {policy: none}":                                      "want first_wins or last_wins",
		"webflow: {ttl: 25h}":                                          "webflow.ttl: 25h is out of range",
		"webflow: {ttl: off}":                                          "webflow.ttl: ",
		"webflow: {expired_result: CONTINUE}":                          "webflow.expired_result: \"CONTINUE\" is not accepted: want one of CONFIRMED, ",
		"websocket: {path: /operations/a/}":                            "websocket.path: /operations/a/ is taken",
		"auth: {tickets: {path: /operations/a/result}}":                "auth.tickets.path: /operations/a/result is taken",
		"websocket: {path: /operations/a/}\nwebflow: {enabled: false}": "",
		"webflow: {events: {secret: x}}":                               "webflow.events.secret: has no effect without webflow.events.url",
		"websocket: {path: /operations}":                               "",
	} {
		_, err := load(t, yaml)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", yaml, err, want)
		}
	}
}
