package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

func TestWebFlowDefaults(t *testing.T) {
	want := WebFlow{
		Enabled: true, Registration: "auto", Reply: "full", Policy: "first_wins",
		Results: webflow.DefaultResults(), Interim: webflow.DefaultInterim(),
		TTL: 5 * time.Minute, Grace: 30 * time.Second, MaxOperations: 1_000_000, MaxOperationsPerUser: 10_000,
	}
	if got := Default().WebFlow; !reflect.DeepEqual(got, want) {
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
		"webflow:\n  results: []":                                      "hoofbeat.yaml:2: webflow.results: is empty",
		"webflow: {results: [\"a\\tb\"]}":                              "webflow.results: \"a\\tb\" is not accepted: want 1 to 64 bytes of printable text",
		"webflow: {results: [\"\"]}":                                   "webflow.results: \"\" is not accepted",
		"webflow: {results: [" + strings.Repeat("x", 65) + "]}":        "is not accepted: want 1 to 64 bytes",
		"webflow: {results: [" + strings.Repeat("x", 64) + "]}":        "",
		"webflow:\n  results: [PAIRED]\n  interim: [PAIRED, CONTINUE]": "hoofbeat.yaml:3: webflow.interim: \"CONTINUE\" is not one of webflow.results, which are PAIRED",
		"webflow: {interim: [LATER]}":                                  "webflow.interim: \"LATER\" is not one of webflow.results",
		"webflow: {results: [PAIRED], interim: [PAIRED]}":              "webflow.interim: has all of webflow.results",
		"webflow: {results: [CONTINUE]}":                               "hoofbeat.yaml:1: webflow.results: has none but those of webflow.interim, which are AUTH_FAILED, ",
		"webflow: {results: [PAIRED], interim: []}":                    "",
		"webflow:\n  results: [PAIRED]\n  expired_result: FAILED":      "hoofbeat.yaml:3: webflow.expired_result: \"FAILED\" is not accepted: want one of PAIRED, or empty",
		"webflow: {interim: [CONFIRMED], expired_result: CONFIRMED}":   "webflow.expired_result: \"CONFIRMED\" is not accepted: want one of CANCELED, ",
		"webflow: {interim: [CONFIRMED], expired_result: CONTINUE}":    "",
		"webflow: {results: [PAIRED], expired_result: PAIRED}":         "",
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

// Without webflow.interim, the default ones that webflow.results has are meant.
func TestWebFlowInterimResults(t *testing.T) {
	for yaml, want := range map[string][]string{
		"":                                       webflow.DefaultInterim(),
		"webflow: {results: [PAIRED]}":           {},
		"webflow: {results: [CONTINUE, PAIRED]}": {"CONTINUE"},
		"webflow: {results: [CONTINUE, PAIRED], interim: []}":       {},
		"webflow: {results: [CONTINUE, PAIRED], interim: [PAIRED]}": {"PAIRED"},
	} {
		c, err := load(t, yaml)
		if err != nil {
			t.Errorf("%s: %v", yaml, err)
			continue
		}
		if got := c.WebFlow.InterimResults(); got == nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", yaml, got, want)
		}
	}
}
