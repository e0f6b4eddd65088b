package broker_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth/httpsec"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// A page of any site can make a name of its own mean 127.0.0.1, and is then of the
// host that it asks.
func TestLoopbackOnly(t *testing.T) {
	const refused, ok = http.StatusForbidden, http.StatusSwitchingProtocols
	for _, tc := range []struct {
		origins      []string
		host, origin string
		status       int
	}{
		{nil, "evil.example:8080", "http://evil.example:8080", refused},
		{nil, "evil.example:8080", "", refused},
		{nil, "localhost.evil.example:8080", "", refused},
		{nil, "127.0.0.1.evil.example", "", refused},
		{nil, "0.0.0.0:8080", "", refused},
		{nil, "192.0.2.1:8080", "", refused},
		{nil, "[::ffff:192.0.2.1]:8080", "", refused},
		{nil, "", "", refused},
		{nil, "127.0.0.1:8080", "http://evil.example:8080", refused},
		{nil, "127.0.0.1:8080", "null", refused},
		{nil, "127.0.0.1:8080", "file://", refused},
		{nil, "127.0.0.1:8080", "http://localhost.evil.example", refused},
		{nil, "127.0.0.1:8080", "", ok},
		{nil, "127.9.9.9", "", ok},
		{nil, "LOCALHOST:8080", "", ok},
		{nil, "localhost.:8080", "", ok},
		{nil, "app.localhost:8080", "", ok},
		{nil, "[::1]:8080", "", ok},
		{nil, "[::1]", "", ok},
		{nil, "[::ffff:127.0.0.1]:8080", "", ok},
		{nil, "127.0.0.1:8080", "http://localhost:5173", ok},
		{nil, "127.0.0.1:8080", "https://app.localhost", ok},
		{nil, "localhost:8080", "http://[::1]:3000", ok},
		{nil, "localhost:8080", "capacitor://localhost", ok},
		{[]string{"https://app.example.com"}, "localhost:8080", "https://app.example.com", ok},
		{[]string{"https://app.example.com"}, "localhost:8080", "http://localhost:8080", ok},
		{[]string{"https://app.example.com"}, "localhost:8080", "http://localhost:3000", refused}, // the list says whose pages
		{[]string{"http://dev.test:3000"}, "dev.test:8080", "http://dev.test:3000", ok},
		{[]string{"*"}, "localhost:8080", "http://evil.example", ok},
		{[]string{"*"}, "evil.example:8080", "http://evil.example:8080", refused},
	} {
		b := brokertest.New(t, broker.Options{Origins: tc.origins, LoopbackOnly: true})
		r := request("GET", "/ws", "127.0.0.1:1")
		r.Host = tc.host
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		if got := admitted(t, b, r); got != tc.status {
			t.Errorf("Host %q, Origin %q with %q: %d, want %d", tc.host, tc.origin, tc.origins, got, tc.status)
		}
	}
	b := brokertest.New(t, broker.Options{})
	if err := b.CheckHost(request("GET", "/ws", "192.0.2.1:1")); err != nil {
		t.Errorf("without LoopbackOnly: %v", err)
	}
}

// Who is turned away for an Origin or a Host is in the log and in the answer, and
// not more often than a log can bear.
func TestRejectedOriginIsLogged(t *testing.T) {
	j := newJournal()
	b := brokertest.New(t, broker.Options{Logger: j.logger(), LoopbackOnly: true})
	ask := func(host, origin string) string {
		r := request("GET", "/ws", "192.0.2.1:1", "Origin", origin)
		r.Host = host
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("Host %s, Origin %s: HTTP %d", host, origin, w.Code)
		}
		return strings.TrimSpace(w.Body.String())
	}
	const want = `{"error":"origin not allowed","origin":"https://one.example","key":"websocket.origins"}`
	for range 20 {
		if got := ask("localhost", "https://one.example"); got != want {
			t.Fatalf("answered %s", got)
		}
	}
	ask("localhost", "https://two.example\u202e")
	found := j.all("origin not allowed")
	if len(found) < 2 || len(found) > 10 {
		t.Fatalf("%d records for 20 requests of one origin and one of another", len(found))
	}
	last := found[len(found)-1].attrs
	if last["origin"] != "https://two.example\ufffd" || last["host"] != "localhost" || last["remote"] != "192.0.2.1:1" || last["key"] != "websocket.origins" {
		t.Errorf("logged %v", last)
	}
	r := request("POST", "/operations", "192.0.2.1:1", "Origin", "https://three.example")
	r.Host = "localhost"
	if err := b.CheckPage(make(http.Header), r, httpsec.CORS{}); err == nil || err.Error() != "origin not allowed" {
		t.Errorf("beside the broker: %v", err)
	}
	if found := j.all("origin not allowed"); found[len(found)-1].attrs["origin"] != "https://three.example" {
		t.Errorf("logged %v", found)
	}
	if got := ask("evil.example", "http://evil.example"); !strings.Contains(got, "localhost") || !strings.Contains(got, "websocket.origins") {
		t.Errorf("answered %s", got)
	}
	if found := j.all("host not allowed"); len(found) != 1 || found[0].attrs["host"] != "evil.example" {
		t.Errorf("logged %v", found)
	}
}
