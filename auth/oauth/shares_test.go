package oauth

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowly delays the token endpoint's answer to a code that begins with "flood".
func slowly(s *standin, each time.Duration) {
	s.tokenReply = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.PostForm.Get("code"), "flood") {
			select {
			case <-time.After(each):
			case <-r.Context().Done():
			}
		}
		writeJSON(w, http.StatusOK, s.grant())
	}
}

// callbackFrom sends a callback with a code, from a browser at the given
// address.
func callbackFrom(ctx context.Context, b *browser, address, code string, q url.Values) *http.Response {
	r := b.request(http.MethodGet, "/oauth/callback?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(address), 4711).String()
	return b.do(r.WithContext(ctx))
}

// A flood of callbacks from one network to a slow provider delays only that
// network's callbacks.
func TestCallbacksAreSharedOutAmongNetworks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		slowly(s, 4*time.Second)
		c := newClient(t, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 200 {
			b := newBrowser(t, c)
			q := b.login("")
			flood.Go(func() { callbackFrom(ctx, b, "192.0.2.1", "flood", q) })
		}
		ann := newBrowser(t, c)
		q := ann.login("")
		synctest.Wait()
		if taken, waiting := c.providers["idp"].turns.Usage(); taken != 48 || waiting != 152 {
			t.Errorf("%d callbacks are served and %d wait, want 48 and 152", taken, waiting)
		}
		if n := len(s.tokenRequests()); n != 48 {
			t.Errorf("%d requests for tokens at one time, want 48", n)
		}
		s.set(func(s *standin) { s.nonce = q.Get("nonce") })
		start := time.Now()
		if resp := callbackFrom(t.Context(), ann, "198.51.100.1", "ann", q); resp.StatusCode != http.StatusSeeOther || ann.signedIn() != "alice" {
			t.Errorf("ann's callback: %d", resp.StatusCode)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("ann waited %v", d)
		}
		cancel()
		flood.Wait()
		if taken, waiting := c.providers["idp"].turns.Usage(); taken != 0 || waiting != 0 {
			t.Errorf("afterwards %d callbacks are served and %d wait", taken, waiting)
		}
	})
}

// A callback without a turn is told to reload the page, and the repeated
// callback works.
func TestCallbackWithoutATurnMayComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStandin()
		slowly(s, providerTimeout-time.Millisecond)
		c := newClient(t, s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for range 400 {
			b := newBrowser(t, c)
			q := b.login("")
			flood.Go(func() { callbackFrom(ctx, b, "192.0.2.1", "flood", q) })
		}
		synctest.Wait()
		b := newBrowser(t, c)
		q := b.login("")
		start := time.Now()
		resp := callbackFrom(t.Context(), b, "192.0.2.1", "late", q)
		if d := time.Since(start); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "10" || d != callbackPatience {
			t.Errorf("%d after %v, Retry-After %q", resp.StatusCode, d, resp.Header.Get("Retry-After"))
		}
		if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), textBusy) {
			t.Errorf("%s", body)
		}
		cancel()
		flood.Wait()
		s.set(func(s *standin) { s.nonce = q.Get("nonce") })
		if resp := callbackFrom(t.Context(), b, "192.0.2.1", "late", q); resp.StatusCode != http.StatusSeeOther || b.signedIn() != "alice" {
			t.Errorf("the same callback later: %d", resp.StatusCode)
		}
	})
}
