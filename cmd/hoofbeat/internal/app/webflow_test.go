package app

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/webflow"
	"github.com/hoofbeat/hoofbeat/cmd/hoofbeat/internal/config/configtest"
)

func TestWebFlowOptions(t *testing.T) {
	o, err := flowOptions(configtest.Load(t, `
webflow: {registration: open, reply: minimal, policy: last_wins, ttl: 2m, grace: off, hmac_key: 0123456789abcdef0123456789abcdef, expired_result: FAILED, max_operations: 7}
auth: {anonymous: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	if o.Registration != webflow.Open || o.Reply != webflow.Minimal || o.Policy != webflow.LastWins || o.TTL != 2*time.Minute || o.Grace >= 0 ||
		string(o.HMACKey) != "0123456789abcdef0123456789abcdef" || o.ExpiredResult != "FAILED" || o.MaxOperations != 7 {
		t.Errorf("%+v", o)
	}
	o, err = flowOptions(configtest.Load(t, "webflow: {results: [PAIRED, CONTINUE]}"))
	if err != nil || !slices.Equal(o.AuthResults, []string{"PAIRED", "CONTINUE"}) || !slices.Equal(o.Interim, []string{"CONTINUE"}) {
		t.Errorf("results %q, interim %q, %v", o.AuthResults, o.Interim, err)
	}
	o, err = flowOptions(configtest.Load(t, "webflow: {results: [CONTINUE], interim: []}"))
	if err != nil || o.Interim == nil || len(o.Interim) != 0 {
		t.Errorf("interim %q, %v", o.Interim, err)
	}
	o, err = flowOptions(configtest.Load(t, ""))
	if err != nil || !slices.Equal(o.AuthResults, webflow.DefaultResults()) || !slices.Equal(o.Interim, webflow.DefaultInterim()) {
		t.Errorf("by default: results %q, interim %q, %v", o.AuthResults, o.Interim, err)
	}
	if o.Registration != webflow.Open || o.Reply != webflow.Full || o.Policy != webflow.FirstWins || o.HMACKey != nil {
		t.Errorf("in development mode: %+v, %v", o, err)
	}
}

// Pages may wait for an unannounced operation only in development mode, unless
// the configuration allows it.
func TestWebFlowRegistration(t *testing.T) {
	for yaml, want := range map[string]webflow.Registration{
		"":                                   webflow.Open,
		"webflow: {registration: announced}": webflow.Announced,
		"auth: {anonymous: true}":            webflow.Announced,
		"auth: {users: {file: u.yaml}}":      webflow.Announced,
		"auth: {users: {file: u.yaml}}\nwebflow: {registration: open}": webflow.Open,
	} {
		if o, err := flowOptions(configtest.Load(t, yaml)); err != nil || o.Registration != want {
			t.Errorf("%q: registration %v, %v, want %v", yaml, o.Registration, err, want)
		}
	}
}

// Package webflow accepts every list of results that the configuration accepts.
func TestWebFlowResultLists(t *testing.T) {
	for _, keys := range []string{
		"results: [PAIRED]", "results: [" + strings.Repeat("x", 64) + ", é, \"a b\"]", "results: [A, B], interim: [A], expired_result: B",
		"results: [A, A], interim: []", "interim: []", "interim: [], expired_result: CONTINUE",
	} {
		a, err := New(Options{Config: configtest.Load(t, quiet+"webflow: {"+keys+"}\n")})
		if err != nil {
			t.Errorf("%s: %v", keys, err)
			continue
		}
		a.close()
	}
}

// Package webflow accepts every expired result that the configuration accepts.
func TestWebFlowExpiredResults(t *testing.T) {
	for _, result := range []string{"''", "CONFIRMED", "CANCELED", "AUTH_METHOD_FAILED", "FAILED", "DONE"} {
		a, err := New(Options{Config: configtest.Load(t, quiet+"webflow: {expired_result: "+result+"}\n")})
		if err != nil {
			t.Errorf("%s: %v", result, err)
			continue
		}
		a.close()
	}
}

func TestWebFlowIsClosedWithTheApp(t *testing.T) {
	a, err := New(Options{Config: configtest.Load(t, quiet)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
	if _, err := a.flow.Open(t.Context(), webflow.Operation{ID: "o"}); err != webflow.ErrClosed {
		t.Errorf("error %v, want %v", err, webflow.ErrClosed)
	}
}

func TestWebFlowPollRoute(t *testing.T) {
	for yaml, want := range map[string]struct{ get, post int }{
		"": {404, 405}, "webflow: {enabled: false}\n": {404, 404},
	} {
		a, err := New(Options{Config: configtest.Load(t, quiet+yaml)})
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		if (a.flow == nil) != (yaml != "") {
			t.Errorf("%q: flow %v", yaml, a.flow)
		}
		for method, status := range map[string]int{"GET": want.get, "POST": want.post} {
			w := httptest.NewRecorder()
			a.publicHandler().ServeHTTP(w, httptest.NewRequest(method, "http://localhost/operations/none/result", nil))
			served := w.Header().Get("Content-Type") == "application/json"
			if w.Code != status || method == "GET" && served != (a.flow != nil) {
				t.Errorf("%q: %s: HTTP %d, %v", yaml, method, w.Code, w.Header())
			}
		}
	}
}
