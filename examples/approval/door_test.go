package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// handshake requests a WebSocket and returns the status of the answer.
func handshake(t *testing.T, origin, page, ticket string) int {
	t.Helper()
	r, err := http.NewRequest("GET", origin+"/ws?ticket="+ticket, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": page,
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close() // the status is what counts
	return resp.StatusCode
}

// E-6: of many clients with the same ticket, one is accepted.
func TestE6Replay(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	ticket := alice.waitTicket(alice.signIn("alice"))
	var in, out atomic.Int64
	for range 4 {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				switch status := handshake(t, s.o.Provider, s.o.Provider, ticket); status {
				case http.StatusSwitchingProtocols:
					in.Add(1)
				case http.StatusUnauthorized, http.StatusTooManyRequests:
					out.Add(1)
				default:
					t.Errorf("%d", status)
				}
			})
		}
		testkit.Wait(t, &wg)
	}
	if in.Load() != 1 || out.Load() != 199 {
		t.Errorf("%d came in, %d were refused", in.Load(), out.Load())
	}
}

// E-13: a page of another origin is rejected, and the ticket remains valid.
func TestE13Origin(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	ticket := alice.waitTicket(alice.signIn("alice"))
	if status := handshake(t, s.o.Provider, "http://evil.test", ticket); status != http.StatusForbidden {
		t.Errorf("%d", status)
	}
	if status := handshake(t, s.o.Provider, s.o.Provider, ticket); status != http.StatusSwitchingProtocols {
		t.Errorf("%d", status)
	}
}

// E-14: a callback without state, with another browser's, or for the second
// time is refused, and no code is exchanged for it.
func TestE14Callback(t *testing.T) {
	s := start(t, nil)
	alice := s.visitor(t)
	w := alice.signIn("alice")
	s.visitor(t).answer(w, "approve")
	// The consent's redirect to the callback is not followed.
	alice.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, _ := alice.do("POST", s.o.Provider+"/consent", url.Values{"id": {w.id}, "decision": {"allow"}})
	callback := resp.Header.Get("Location")
	alice.http.CheckRedirect = nil

	u, err := url.Parse(callback)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatal("there is no code", err)
	}
	q := u.Query()
	q.Del("state")
	mallory := s.visitor(t)
	mallory.do("GET", s.o.App+"/oauth/login", nil) // so that there is a login cookie
	for name, try := range map[string]struct {
		who     *visitor
		address string
	}{
		"no state":      {alice, s.o.App + "/oauth/callback?" + q.Encode()},
		"foreign state": {mallory, callback},
		"no cookie":     {s.visitor(t), callback},
	} {
		if resp, _ := try.who.do("GET", try.address, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	if n := s.count("/token"); n != 0 {
		t.Errorf("%d token requests were made", n)
	}
	if resp, _ := alice.do("GET", callback, nil); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if resp, _ := alice.do("GET", callback, nil); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("the second time: %s", resp.Status)
	}
	if n := s.count("/token"); n != 1 {
		t.Errorf("%d token requests were made, want 1", n)
	}
}

// A site answers only requests for its own host name, and its pages may load
// nothing from other sites.
func TestSite(t *testing.T) {
	s := start(t, nil)
	for _, origin := range []string{s.o.App, s.o.Provider} {
		r, err := http.NewRequest("GET", origin+"/device", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "rebound.evil.test"
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMisdirectedRequest || !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %s %v", origin, resp.Status, resp.Header)
		}
	}
	r, err := http.NewRequest("POST", s.o.Provider+"/device/restart", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "http://evil.test")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site restarts the broker: %s", resp.Status)
	}
}

// The resource requires a valid token.
func TestResource(t *testing.T) {
	s := start(t, nil)
	for _, token := range []string{"", "Bearer ", "Bearer wrong", "Basic YTpi"} {
		r, err := http.NewRequest("GET", s.o.Provider+"/readings", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", token)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%q: %s", token, resp.Status)
		}
	}
}

// Anyone who opens the phone's page controls it, so the demo listens on
// loopback only.
func TestLoopbackOnly(t *testing.T) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	for _, address := range []string{":8094", "0.0.0.0:8094", "192.0.2.1:8094", "[::]:8094"} {
		if err := run(logger, address, "127.0.0.1:0", "../node_modules", time.Minute, nil); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
