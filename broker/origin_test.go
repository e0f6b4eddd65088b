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

// Beyond development mode Options.Hosts says under which names the broker is
// reached, and pages of others are refused before all else.
func TestHosts(t *testing.T) {
	const refused, ok = http.StatusForbidden, http.StatusSwitchingProtocols
	list := []string{"broker.example", "*.below.example:8443", "bücher.example"}
	for _, tc := range []struct {
		hosts, origins []string
		host, origin   string
		status         int
	}{
		{nil, nil, "evil.example:8080", "http://evil.example:8080", ok},
		{list, nil, "evil.example:8080", "http://evil.example:8080", refused},
		{list, nil, "evil.example:8080", "", refused},
		{list, nil, "", "", refused},
		{list, nil, "broker.example.evil.example", "", refused},
		{list, nil, "broker.example:8080", "http://broker.example:8080", ok},
		{list, nil, "broker.example:8080", "http://evil.example:8080", refused},
		{list, nil, "BROKER.Example", "https://broker.example", ok},
		{list, nil, "broker.example.", "https://broker.example.", ok},
		{list, nil, "a.below.example:8443", "https://a.below.example:8443", ok},
		{list, nil, "a.below.example", "https://a.below.example", refused},
		{list, nil, "xn--bcher-kva.example", "https://xn--bcher-kva.example", ok},
		{list, nil, "192.0.2.1:8080", "http://192.0.2.1:8080", ok},
		{list, nil, "192.0.2.1:8080", "http://evil.example", refused},
		{list, nil, "[2001:db8::1]:8080", "http://[2001:db8::1]:8080", ok},
		{list, nil, "localhost:8080", "http://localhost:8080", ok},
		{list, nil, "a.localhost", "", ok},
		{list, []string{"https://app.example"}, "app.example:8443", "https://app.example", ok},
		{list, []string{"https://app.example"}, "broker.example", "https://app.example", ok},
		{list, []string{"https://app.example"}, "evil.example", "http://evil.example", refused},
		{list, []string{"*"}, "evil.example", "http://evil.example", refused},
		{[]string{"*"}, nil, "evil.example", "http://evil.example", ok},
		{[]string{"broker.example", "*"}, nil, "evil.example", "http://evil.example", ok},
	} {
		b := brokertest.New(t, broker.Options{Hosts: tc.hosts, Origins: tc.origins})
		r := request("GET", "/ws", "192.0.2.7:1")
		r.Host = tc.host
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		if got := admitted(t, b, r); got != tc.status {
			t.Errorf("Host %q, Origin %q with %q, %q: %d, want %d", tc.host, tc.origin, tc.hosts, tc.origins, got, tc.status)
		}
	}
	// In development mode a name that is written out is one of this machine; "*"
	// and addresses of others are not.
	b := brokertest.New(t, broker.Options{Hosts: []string{"dev.test", "*"}, LoopbackOnly: true})
	for host, want := range map[string]int{"dev.test:8080": ok, "localhost": ok, "evil.example": refused, "192.0.2.1": refused} {
		r := request("GET", "/ws", "127.0.0.1:1")
		r.Host = host
		if got := admitted(t, b, r); got != want {
			t.Errorf("in development mode, Host %q: %d, want %d", host, got, want)
		}
	}
	if _, err := broker.New(broker.Options{Hosts: []string{"https://a.example"}}); err == nil || !strings.Contains(err.Error(), `Options.Hosts: "https://a.example" is an origin`) {
		t.Errorf("an origin: %v", err)
	}
}

// Who is turned away for a Host finds the key in the answer, the operator finds it
// in the log and in the figures, and a new policy is in force at once.
func TestRefusedHostIsLoggedAndCounted(t *testing.T) {
	j := newJournal()
	b := brokertest.New(t, broker.Options{Logger: j.logger(), Hosts: []string{"broker.example"}})
	ask := func(host string) *httptest.ResponseRecorder {
		r := request("GET", "/ws", "192.0.2.1:1", "Origin", "http://"+host)
		r.Host = host
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	const want = `{"error":"host not allowed: the name must be one of websocket.hosts, the host of one of websocket.origins, localhost, or an IP address","key":"websocket.hosts"}`
	for range 20 {
		if w := ask("evil.example"); w.Code != http.StatusForbidden || strings.TrimSpace(w.Body.String()) != want {
			t.Fatalf("HTTP %d %s", w.Code, w.Body)
		}
	}
	found := j.all("host not allowed")
	if len(found) < 1 || len(found) > 10 {
		t.Fatalf("%d records for 20 requests", len(found))
	}
	wantAttrs(t, found[0], "host", "evil.example", "origin", "http://evil.example", "remote", "192.0.2.1:1", "key", "websocket.hosts",
		"reason", "it is none of the names of this broker, so that no page of another site can pretend to be from here")
	if found[0].level.String() != "WARN" {
		t.Errorf("it is logged as %v", found[0].level)
	}
	if n := b.Stats().Refused; n != 20 {
		t.Errorf("%d refused, want 20", n)
	}

	r := request("POST", "/operations", "192.0.2.1:1")
	r.Host = "evil.example"
	if err := b.CheckHost(r); err == nil || !strings.Contains(err.Error(), "websocket.hosts") {
		t.Errorf("CheckHost: %v", err)
	}
	if err := b.CheckPage(make(http.Header), r, httpsec.CORS{}); err == nil || !strings.Contains(err.Error(), "websocket.hosts") {
		t.Errorf("CheckPage: %v", err)
	}
	if got := admitted(t, b, r); got != http.StatusForbidden { // as SockJS asks
		t.Errorf("Admit: HTTP %d", got)
	}
	if n := b.Stats().Refused; n != 23 {
		t.Errorf("%d refused, want 23", n)
	}

	for _, step := range []struct {
		hosts         []string
		evil, another bool
	}{
		{[]string{"another.example"}, false, true}, {nil, true, true}, {[]string{"evil.example"}, true, false},
	} {
		if err := b.SetPolicy(broker.Policy{Hosts: step.hosts}); err != nil {
			t.Fatal(err)
		}
		for host, allowed := range map[string]bool{"evil.example": step.evil, "another.example": step.another} {
			if w := ask(host); (w.Code != http.StatusForbidden) != allowed {
				t.Errorf("%q: %s is answered with HTTP %d", step.hosts, host, w.Code)
			}
		}
	}
	if err := b.SetPolicy(broker.Policy{Hosts: []string{"a/b"}}); err == nil || !strings.Contains(err.Error(), "Options.Hosts") {
		t.Errorf("a wrong policy: %v", err)
	}
	if w := ask("another.example"); w.Code != http.StatusForbidden {
		t.Errorf("after a wrong policy: HTTP %d", w.Code)
	}
}
