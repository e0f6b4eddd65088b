package sockjs_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

// notAllowed is the answer to a page of this origin.
func notAllowed(origin string) string {
	return "{\"error\":\"origin not allowed\",\"origin\":\"" + origin + "\",\"key\":\"websocket.origins\"}\n"
}

// T-15: /info does not consume the ticket, the request that opens the session
// does, and later requests must repeat its value.
func TestT15Tickets(t *testing.T) {
	tk := &tickets{left: map[string]bool{"one": true, "two": true}}
	bubble(t, broker.Options{Authenticator: tk}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.open("GET", "/info?ticket=one", "").rest()
		w.want("POST", "/0/a/xhr_send?ticket=one", connect, 404, "") // opens nothing
		w.want("GET", "/0/a/websocket?ticket=one", "", 400, "Can \"Upgrade\" only to \"WebSocket\".\n")
		w.want("POST", "/0/a/xhr?ticket=wrong", "", 401, "{\"error\":\"invalid_ticket\"}\n")
		w.want("POST", "/0/a/xhr?ticket=one", "", 200, "o\n")
		for _, path := range []string{"/0/a/xhr_send", "/0/a/xhr_send?ticket=", "/0/a/xhr_send?ticket=two", "/0/a/xhr", "/0/a/xhr?ticket=two"} {
			w.want("POST", path, connect, 404, "")
		}
		w.want("POST", "/0/a/xhr_send?ticket=one", connect, 204, "")
		// From any address: a phone changes its network.
		w.as("198.51.100.9").want("POST", "/0/a/xhr_send?ticket=one", `["\n"]`, 204, "")
		// The ticket is used up for other sessions, and the other one is not.
		w.want("POST", "/0/b/xhr?ticket=one", "", 401, "{\"error\":\"invalid_ticket\"}\n")
		w.want("POST", "/0/b/xhr?ticket=two", "", 200, "o\n")
	})
}

func TestTwoRequestsOpenOneSession(t *testing.T) {
	tk := &tickets{left: map[string]bool{"one": true}}
	bubble(t, broker.Options{Authenticator: tk}, sockjs.Options{}, func(t *testing.T, w *world) {
		var mu sync.Mutex
		opened := 0
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if r := w.open("POST", "/0/a/xhr?ticket=one", ""); r.rest() == "o\n" {
					mu.Lock()
					opened++
					mu.Unlock()
				}
			})
		}
		pass(1e9)
		w.want("POST", "/0/a/xhr_send?ticket=one", `["\u0000"]`, 204, "") // ends the poll with an ERROR
		testkit.Wait(t, &wg)
		if opened != 1 || w.b.Stats().Opened != 1 {
			t.Errorf("opened %d times, the broker says %d", opened, w.b.Stats().Opened)
		}
	})
}

// C-10: the client chooses the session id in the URL, and it grants no access.
func TestC10SessionIDIsNoSecret(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{Cookie: "login"}, func(t *testing.T, w *world) {
		w.connected("a")
		other := w.as("192.0.2.2")
		other.want("POST", "/000/a/xhr_send", `["DISCONNECT\n\n\u0000"]`, 404, "")
		other.want("POST", "/000/a/xhr", "", 404, "")
		other.want("GET", "/000/a/eventsource", "", 404, "")
		alice := w.as(w.from, "Cookie", "login=alice; other=1")
		alice.connected("b")
		w.as(w.from, "Cookie", "login=mallory").want("POST", "/000/b/xhr", "", 404, "")
		w.want("POST", "/000/b/xhr", "", 404, "")
		w.as("198.51.100.7", "Cookie", "other=2; login=alice").send("b", `["\n"]`)
		// A proof that did not open the session is neither required nor
		// sufficient: an EventSource sends no cookies to another origin, but
		// its xhr_send does.
		alice.send("a", `["\n"]`)
		other.as("192.0.2.2", "Cookie", "login=alice").want("POST", "/000/a/xhr", "", 404, "")
		bearer := w.as(w.from, "Authorization", "Bearer x")
		bearer.connected("c")
		alice.want("POST", "/000/c/xhr", "", 404, "")
		bearer.as("198.51.100.7", "Cookie", "login=mallory").send("c", `["\n"]`)
		synctest.Wait()
		for s := range w.b.Sessions() {
			if s.ID == "a" || s.ID == "b" || len(s.ID) < 32 {
				t.Errorf("the session has the id %q", s.ID)
			}
		}
	})
}

// Like Spring's JSESSIONID: each browser has its own cookie, so clients behind
// one proxy differ.
func TestC10OwnCookie(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{OwnCookie: "JSESSIONID"}, func(t *testing.T, w *world) {
		browser := func() *world {
			t.Helper()
			cookies := w.want("OPTIONS", "/info", "", 204, "").Cookies()
			cookies = append(cookies, w.openInfo().Cookies()...)
			if len(cookies) != 1 || cookies[0].Name != "JSESSIONID" || len(cookies[0].Value) < 26 || cookies[0].Path != "/ws/" ||
				!cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].MaxAge != 0 {
				t.Fatalf("cookies %v", cookies)
			}
			return w.as(w.from, "Cookie", cookies[0].Name+"="+cookies[0].Value)
		}
		one, other := browser(), browser()
		if one.header.Get("Cookie") == other.header.Get("Cookie") {
			t.Fatal("two browsers have one cookie")
		}
		if again := one.openInfo().Cookies(); len(again) > 0 {
			t.Errorf("a second cookie: %v", again)
		}
		one.connected("a")
		for _, stranger := range []*world{other, w} {
			stranger.want("POST", "/000/a/xhr_send", `["\n"]`, 404, "")
			stranger.want("POST", "/000/a/xhr", "", 404, "")
		}
		one.as("198.51.100.7").send("a", `["\n"]`)
		w.connected("b") // a client without cookies has its address
		w.as("198.51.100.7").want("POST", "/000/b/xhr", "", 404, "")
	})
}

// The cookie of a page reached over TLS is sent only over TLS, even if a proxy
// terminates TLS.
func TestOwnCookieIsSecureBehindTLS(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		secure  bool
	}{
		"plain":                        {nil, false},
		"a proxy with TLS":             {[]string{"X-Forwarded-Proto", "https"}, true},
		"two proxies":                  {[]string{"X-Forwarded-Proto", "HTTPS, http"}, true},
		"a proxy without":              {[]string{"X-Forwarded-Proto", "http"}, false},
		"a proxy that says nothing":    {[]string{"Origin", "https://example.com"}, true},
		"the same, without an Origin":  {[]string{"Referer", "https://example.com/page"}, true},
		"a page over http":             {[]string{"Origin", "http://example.com"}, false},
		"a link from another site":     {[]string{"Referer", "https://other.example/"}, false},
		"a proxy that is without both": {[]string{"X-Forwarded-Proto", ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "http://example.com/ws/info", nil)
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			b, err := broker.New(broker.Options{Authenticator: auth.Anonymous})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			w := httptest.NewRecorder()
			sockjs.Handler(b, sockjs.Options{Prefix: "/ws", OwnCookie: "hoofbeat-sockjs"}).ServeHTTP(w, r)
			cookies := w.Result().Cookies()
			if len(cookies) != 1 || cookies[0].Secure != c.secure {
				t.Errorf("HTTP %d, cookies %v, want Secure to be %v", w.Code, cookies, c.secure)
			}
		})
	}
}

// C-10: behind trusted proxies, clients without cookies differ by the addresses
// that the proxies saw. Addresses claimed by others are ignored.
func TestC10AddressBehindProxy(t *testing.T) {
	o := broker.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}
	bubble(t, o, sockjs.Options{OwnCookie: "JSESSIONID"}, func(t *testing.T, w *world) {
		behind := func(proxy, forwarded string) *world { return w.as(proxy, "X-Forwarded-For", forwarded) }
		client := behind("192.0.2.1", "198.51.100.7")
		client.connected("a")
		for _, stranger := range []*world{
			behind("192.0.2.1", "198.51.100.8"),
			behind("192.0.2.1", "198.51.100.7, 198.51.100.8"), // its own claim
			behind("203.0.113.1", "198.51.100.7"),             // it is no proxy
			w,                                                 // the proxy itself
		} {
			stranger.want("POST", "/000/a/xhr_send", `["\n"]`, 404, "")
			stranger.want("POST", "/000/a/xhr", "", 404, "")
		}
		client.send("a", `["\n"]`)
		behind("192.0.2.2", "198.51.100.7").send("a", `["\n"]`) // by way of another proxy
		behind("192.0.2.1", "203.0.113.9, ::ffff:198.51.100.7, 192.0.2.3").send("a", `["\n"]`)
		synctest.Wait()
		for s := range w.b.Sessions() {
			if s.Remote.Addr().String() != "198.51.100.7" {
				t.Errorf("the session has the address %v", s.Remote)
			}
		}
	})
}

func (w *world) openInfo() *response {
	w.t.Helper()
	r := w.open("GET", "/info", "")
	if body := r.rest(); !strings.Contains(body, `"cookie_needed":true`) {
		w.t.Errorf("info is %s", body)
	}
	return r
}

func TestOrigin(t *testing.T) {
	o := broker.Options{Origins: []string{"https://app.example"}}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		evil := w.as(w.from, "Origin", "https://evil.example")
		for _, method := range []string{"/0/a/xhr", "/0/a/xhr_streaming"} {
			r := evil.want("POST", method, "", 403, notAllowed("https://evil.example"))
			if r.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("and the page can read it")
			}
		}
		evil.want("GET", "/0/a/eventsource", "", 403, notAllowed("https://evil.example"))
		w.as(w.from, "Origin", "null").want("POST", "/0/a/xhr", "", 403, notAllowed("null"))
		app := w.as(w.from, "Origin", "https://app.example")
		app.connected("a")
		// Not even with the id, from the same address.
		evil.want("POST", "/000/a/xhr_send", `["\n"]`, 403, notAllowed("https://evil.example"))
		evil.want("POST", "/000/a/xhr", "", 403, notAllowed("https://evil.example"))
		// The first request of an EventSource to its own host has no Origin.
		w.connected("b")
		w.as(w.from, "Origin", "http://example.com").send("b", `["\n"]`)
		w.as(w.from, "Origin", "https://proxied.example", "Sec-Fetch-Site", "same-origin").send("b", `["\n"]`)
		evil.want("POST", "/000/b/xhr_send", `["\n"]`, 403, notAllowed("https://evil.example"))
	})
}

// The broker's caps limit the cost of unauthenticated clients.
func TestUnauthenticatedCaps(t *testing.T) {
	o := broker.Options{Limits: broker.Limits{UnauthenticatedPerAddress: 2}}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		w.poll("a", "o")
		w.poll("b", "o")
		w.want("POST", "/000/c/xhr", "", 429, "{\"error\":\"too many unauthenticated connections from your address: limits.unauthenticated_per_address is 2\"}\n")
		w.as("192.0.2.2").poll("c", "o")
		w.send("a", connect)
		synctest.Wait()
		w.poll("d", "o") // a is authenticated now
	})
}
