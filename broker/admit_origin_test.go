package broker_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

func TestOrigin(t *testing.T) { // T-11: scheme, host and port
	const refused, ok = http.StatusForbidden, http.StatusSwitchingProtocols
	listed := []string{"https://app.example.com", "http://dev.example.com:3000", "https://*.wild.example", "https://[2001:db8::1]:8443"}
	for _, tc := range []struct {
		origins []string
		origin  string
		status  int
	}{
		{listed, "https://app.example.com", ok},
		{listed, "HTTPS://APP.example.COM", ok},
		{listed, "https://app.example.com:443", ok},
		{listed, "http://app.example.com", refused},
		{listed, "https://app.example.com:8443", refused},
		{listed, "https://app.example.com:80", refused},
		{listed, "https://example.com", refused},
		{listed, "https://x.app.example.com", refused},
		{listed, "https://app.example.com.evil.example", refused},
		{listed, "https://evil-app.example.com", refused},
		{listed, "https://evil.example/https://app.example.com", refused},
		{listed, "https://app.example.com@evil.example", refused},
		{listed, "https://app.example.com\\@evil.example", refused},
		{listed, "null", refused},
		{listed, "", refused},
		{listed, "app.example.com", refused},
		{listed, "//app.example.com", refused},
		{listed, "https://", refused},
		{listed, "http://dev.example.com:3000", ok},
		{listed, "http://dev.example.com", refused},
		{listed, "https://dev.example.com:3000", refused},
		{listed, "https://a.wild.example", ok},
		{listed, "https://a.b.wild.example", ok},
		{listed, "https://wild.example", refused},
		{listed, "https://.wild.example", refused},
		{listed, "https://evilwild.example", refused},
		{listed, "https://a.wild.example:444", refused},
		{listed, "http://a.wild.example", refused},
		{listed, "https://[2001:db8::1]:8443", ok},
		{listed, "https://[2001:db8::1]", refused},
		{listed, "http://broker.example", ok}, // our own host, as in Spring
		{listed, "https://broker.example", ok},
		{listed, "http://broker.example:8080", refused},
		{[]string{"https://broker.example"}, "http://broker.example", refused}, // which has the scheme that the list says
		{[]string{"https://*.example", "http://broker.example:81"}, "http://broker.example", ok},
		{[]string{"http://localhost:*", "https://*.wild.example:*"}, "http://localhost:5173", ok},
		{[]string{"http://localhost:*"}, "http://localhost", ok},
		{[]string{"http://localhost:*"}, "https://localhost:5173", refused},
		{[]string{"http://localhost:*"}, "http://localhost.evil.example:5173", refused},
		{[]string{"http://localhost:*", "https://*.wild.example:*"}, "https://a.wild.example:8443", ok},
		{[]string{"null"}, "null", ok},
		{[]string{"null"}, "https://evil.example", refused},
		{[]string{"file://"}, "file://", ok},
		{[]string{"file://"}, "null", refused},
		{[]string{"capacitor://localhost", "app://-"}, "capacitor://localhost", ok},
		{[]string{"capacitor://localhost", "app://-"}, "app://-", ok},
		{[]string{"capacitor://localhost"}, "ionic://localhost", refused},
		{[]string{"https://bücher.example"}, "https://xn--bcher-kva.example", ok},
		{[]string{"https://xn--bcher-kva.example"}, "https://xn--bcher-kva.example", ok},
		{[]string{"https://bücher.example"}, "https://bucher.example", refused},
		{nil, "capacitor://broker.example", refused}, // no page of ours
		{nil, "http://localhost:5173", refused},
		{nil, "http://broker.example", ok},
		{nil, "https://broker.example", ok}, // behind a proxy that ends TLS
		{nil, "http://broker.example:80", ok},
		{nil, "http://broker.example:8080", refused},
		{nil, "https://broker.example:80", refused},
		{nil, "https://evil.example", refused},
		{nil, "https://broker.example.evil.example", refused},
		{nil, "null", refused},
		{[]string{"*"}, "https://evil.example", ok},
		{[]string{"*"}, "null", ok},
	} {
		b := brokertest.New(t, broker.Options{Origins: tc.origins})
		if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Origin", tc.origin)); got != tc.status {
			t.Errorf("Origin %q with %q: %d, want %d", tc.origin, tc.origins, got, tc.status)
		}
	}
	b := brokertest.New(t, broker.Options{Origins: listed})
	if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1")); got != ok {
		t.Errorf("without an Origin: %d", got)
	}
	if got := admitted(t, b, request("GET", "/ws", "192.0.2.1:1", "Origin", listed[0], "Origin", "https://evil.example")); got != refused {
		t.Errorf("two Origins: %d", got)
	}
}

func TestOriginsThatAreNone(t *testing.T) {
	for _, s := range []string{"", "app.example.com", "https://", "https://a.example/path", "https://a.example/", "https://a.example?q", "https://u@a.example", "https://a.*.example", "https://*", "https://*.", "https://**.example", "http://localhost:x", "http://localhost:", "https://bu\u0308cher.example"} {
		if b, err := broker.New(broker.Options{Origins: []string{s}}); err == nil {
			_ = b.Close()
			t.Errorf("%q is taken for an origin", s)
		} else if !strings.Contains(err.Error(), "Options.Origins") {
			t.Errorf("%q: the error does not name the field: %v", s, err)
		}
	}
}
