package broker_test

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// N+2: over the caps the handshake is refused, with a time to come again.
func TestCaps(t *testing.T) {
	for name, tc := range map[string]struct {
		limits    broker.Limits
		addresses []string
		more      string
		status    int
		text      string
	}{
		"per address":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.1", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"another one":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"192.0.2.1", "192.0.2.1"}, "192.0.2.2", 101, ""},
		"in all":       {broker.Limits{Unauthenticated: 2}, []string{"192.0.2.1", "192.0.2.2"}, "192.0.2.3", 429, "too many unauthenticated connections: limits.unauthenticated is 2"},
		"IPv6 /64":     {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[2001:db8::1]", "[2001:db8::2]"}, "[2001:db8::3:0:0:1]", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"another /64":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[2001:db8::1]", "[2001:db8::2]"}, "[2001:db8:0:1::1]", 101, ""},
		"mapped IPv4":  {broker.Limits{UnauthenticatedPerAddress: 2}, []string{"[::ffff:192.0.2.1]", "192.0.2.1"}, "[::ffff:192.0.2.1]", 429, "too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2"},
		"switched off": {broker.Limits{Unauthenticated: -1, UnauthenticatedPerAddress: -1}, strings.Fields(strings.Repeat("192.0.2.1 ", 2000)), "192.0.2.1", 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{Limits: tc.limits})
			held := make([]broker.Admission, len(tc.addresses))
			for i, address := range tc.addresses {
				var err error
				if held[i], err = b.Admit(request("GET", "/ws", address+":1")); err != nil {
					t.Fatal(err)
				}
			}
			if got := admitted(t, b, request("GET", "/ws", tc.more+":2")); got != tc.status {
				t.Errorf("one more gets %d, want %d", got, tc.status)
			}
			if tc.status == 429 {
				w := httptest.NewRecorder()
				b.ServeHTTP(w, request("GET", "/ws", tc.more+":2"))
				if w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"`+tc.text+`"`) {
					t.Errorf("it is told %s, Retry-After %q", w.Body, w.Header().Get("Retry-After"))
				}
			}
			held[0].Release()
			if got := admitted(t, b, request("GET", "/ws", tc.more+":2")); got != 101 && name != "another one" {
				t.Errorf("after one has left: %d", got)
			}
			for i := range held {
				held[i].Release()
			}
			if all, addresses := b.Places(); all != 0 || addresses != 0 {
				t.Errorf("%d places of %d addresses are left", all, addresses)
			}
		})
	}
}

// Only trusted proxies are believed, and only as far as they reach.
func TestForwardedFor(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":             {"192.0.2.1:5", nil, "192.0.2.1:5"},
		"a stranger says so":   {"192.0.2.1:5", []string{"198.51.100.7"}, "192.0.2.1:5"},
		"one proxy":            {"10.0.0.1:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"two proxies":          {"10.0.0.1:5", []string{"198.51.100.7, 10.9.9.9"}, "198.51.100.7:0"},
		"spoofed before":       {"10.0.0.1:5", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7:0"},
		"spoofed as a proxy":   {"10.0.0.1:5", []string{"203.0.113.9, 10.1.1.1, 198.51.100.7"}, "198.51.100.7:0"},
		"spoofed in a header":  {"10.0.0.1:5", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7:0"},
		"rubbish before":       {"10.0.0.1:5", []string{"<script>, 198.51.100.7"}, "198.51.100.7:0"},
		"rubbish":              {"10.0.0.1:5", []string{"unknown"}, "10.0.0.1:5"},
		"rubbish in the chain": {"10.0.0.1:5", []string{"198.51.100.7, unknown, 10.9.9.9"}, "10.9.9.9:0"},
		"empty":                {"10.0.0.1:5", []string{""}, "10.0.0.1:5"},
		"all proxies":          {"10.0.0.1:5", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		"IPv6 client":          {"10.0.0.1:5", []string{"2001:db8:2::7"}, "[2001:db8:2::7]:0"},
		"IPv6 proxy":           {"[2001:db8:1::1]:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"mapped proxy":         {"[::ffff:10.0.0.1]:5", []string{"198.51.100.7"}, "198.51.100.7:0"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen netip.AddrPort
			b := brokertest.New(t, broker.Options{TrustedProxies: proxies, Authenticator: auth.AuthenticatorFunc(
				func(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
					seen = a.Remote
					return nil, auth.ErrNotMine
				})})
			var headers []string
			for _, f := range tc.forwarded {
				headers = append(headers, "X-Forwarded-For", f)
			}
			if got := admitted(t, b, request("GET", "/ws", tc.remote, headers...)); got != 101 {
				t.Fatal(got)
			}
			if seen.String() != tc.want {
				t.Errorf("taken for %v, want %s", seen, tc.want)
			}
		})
	}
}
