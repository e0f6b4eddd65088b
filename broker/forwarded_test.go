package broker_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
)

// Proxies write addresses with ports, brackets and quotes, too.
func TestForwardedAddresses(t *testing.T) {
	b := brokertest.New(t, broker.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for forwarded, want := range map[string]string{
		"203.0.113.5":                             "203.0.113.5",
		"203.0.113.5:17085":                       "203.0.113.5",
		" 203.0.113.5:17085 ":                     "203.0.113.5",
		"2001:db8::1":                             "2001:db8::1",
		"[2001:db8::1]":                           "2001:db8::1",
		"[2001:db8::1]:443":                       "2001:db8::1",
		"[2001:db8::1%eth0]:443":                  "2001:db8::1",
		"192.0.2.9, 203.0.113.5:17085, 10.2.3.4":  "203.0.113.5",
		"192.0.2.9:1, [2001:db8::1]:2, [fd00::1]": "2001:db8::1",
		"192.0.2.9:1, 10.9.9.9:4711":              "192.0.2.9",
		`"203.0.113.5"`:                           "203.0.113.5",
		` "203.0.113.5:17085" `:                   "203.0.113.5",
		`"2001:db8::1"`:                           "2001:db8::1",
		`"[2001:db8::1]"`:                         "2001:db8::1",
		`"[2001:db8::1]:443"`:                     "2001:db8::1",
		`"192.0.2.9", "203.0.113.5", "10.2.3.4"`:  "203.0.113.5",
		`192.0.2.9, "10.9.9.9"`:                   "192.0.2.9",
		"192.0.2.9, unknown":                      "10.1.1.1", // the proxy itself
		`192.0.2.9, "203.0.113.5`:                 "10.1.1.1",
		`192.0.2.9, 203.0.113.5"`:                 "10.1.1.1",
		`192.0.2.9, ""203.0.113.5""`:              "10.1.1.1",
		`192.0.2.9, "`:                            "10.1.1.1",
		`192.0.2.9, ""`:                           "10.1.1.1",
		`192.0.2.9, " 203.0.113.5"`:               "10.1.1.1",
		`"192.0.2.9, 203.0.113.5"`:                "10.1.1.1", // a comma separates, in quotes too
		"192.0.2.9, [203.0.113.5]":                "10.1.1.1",
		"192.0.2.9, [2001:db8::1":                 "10.1.1.1",
		"192.0.2.9, 203.0.113.5:99999":            "10.1.1.1",
		"":                                        "10.1.1.1",
	} {
		if got := b.ClientAddress(request("GET", "/ws", "10.1.1.1:99", "X-Forwarded-For", forwarded)); got.Addr() != netip.MustParseAddr(want) {
			t.Errorf("%q is %v, want %s", forwarded, got, want)
		}
	}
	if got := b.ClientAddress(request("GET", "/ws", "192.0.2.1:99", "X-Forwarded-For", "203.0.113.5:1")); got != netip.MustParseAddrPort("192.0.2.1:99") {
		t.Errorf("a stranger is believed: %v", got)
	}
	if got := b.ClientAddress(request("GET", "/ws", "10.1.1.1:99", "Forwarded", "for=203.0.113.5")); got.Addr() != netip.MustParseAddr("10.1.1.1") {
		t.Errorf("Forwarded is read: %v", got)
	}
}

// Clients of a proxy behind a Unix socket have their own addresses where that is
// trusted, and share no limit per address where it is not.
func TestUnixSocketPeers(t *testing.T) {
	for name, tc := range map[string]struct {
		trust bool
		want  string // the address of a client that the proxy names
	}{"trusted": {true, "203.0.113.5"}, "not trusted": {false, "invalid IP"}} {
		t.Run(name, func(t *testing.T) {
			b := brokertest.New(t, broker.Options{TrustUnixSockets: tc.trust, Limits: broker.Limits{UnauthenticatedPerAddress: 1, SessionsPerAddress: 1}})
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, b.ClientAddress(r).Addr().String()) // read below
			}))
			_ = srv.Listener.Close() // another takes its place
			srv.Listener = l
			srv.Start()
			t.Cleanup(srv.Close)
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}}}
			t.Cleanup(client.CloseIdleConnections)
			r, err := http.NewRequest("GET", "http://broker.example/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Forwarded-For", "203.0.113.5:1234")
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != tc.want {
				t.Errorf("the client's address is %q (%v), want %q", got, err, tc.want)
			}
		})
	}
	// Nobody knows which of those without an address belong together.
	b := brokertest.New(t, broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: 1, SessionsPerAddress: 1}})
	for range 3 {
		a, err := b.Admit(request("GET", "/ws", "@"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Release()
	}
	for range 3 {
		brokertest.Connect(t, b)
	}
}
