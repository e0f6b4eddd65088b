package ticket

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/httpsec"
)

// FuzzConsume checks that only minted tickets are accepted, and each only once.
func FuzzConsume(f *testing.F) {
	f.Add("", "")
	f.Add(strings.Repeat("A", 43), app)
	f.Add("v1.ka.e30."+strings.Repeat("A", 43), "null")
	f.Add("v1...", "x")
	f.Add("v1.ka", "\xff")
	opaque := mustTickets(f, newState(), Options{Rate: -1})
	signed := mustTickets(f, newState(), Options{Rate: -1, Signed: true, Secrets: []Secret{key('a')}})
	refused := func(got string) bool { return got == "malformed" || got == "unknown" || got == wrongSignature }
	f.Fuzz(func(t *testing.T, value, origin string) {
		for _, tickets := range []*Issuer{opaque, signed} {
			if got := consumed(t, tickets, value, origin); !refused(got) {
				t.Fatalf("%q: %s", value, got)
			}
			good := mint(t, tickets, user("alice")).Value
			for _, spoilt := range []string{good + value, value + good, good[:20] + value + good[20:]} {
				if got := consumed(t, tickets, spoilt, origin); value != "" && !refused(got) {
					t.Fatalf("%q: %s", spoilt, got)
				}
			}
			want := "alice"
			if value == "" {
				want = "used before"
			}
			if got := consumed(t, tickets, good, origin); got != want {
				t.Fatalf("the good one: %s", got)
			}
		}
		// A payload that is signed, whatever it is, does no harm.
		text := signedPrefix + "ka." + value
		if p, err := signed.Consume(t.Context(), text+"."+signed.secrets[0].mac(text), origin); err == nil && p.Name == "" && !p.HasRole(auth.RoleBackend) {
			t.Fatalf("%q lets in nobody", value)
		}
	})
}

// FuzzTicketRequest checks that every answer is JSON that fits its status, and
// that only an authenticated user from an allowed origin gets a ticket.
func FuzzTicketRequest(f *testing.F) {
	f.Add("POST", "/ws_ticket", "Bearer alice", "", "", "", `{"operation":"x"}`, "application/json")
	f.Add("GET", "/ws_ticket?access_token=x", "bearer  alice", "", app, "cross-site", "", "")
	f.Add("POST", "/", "Basic x", "session=alice", ours, "same-origin", "{", "text/plain")
	f.Add("OPTIONS", "/", "", "session=alice", app, "same-site", "", "")
	f.Add("POST", "/?%zz", "Bearer\t", "session=", "https://[::1", "none", "\x00", "a/b;c")
	tickets := mustTickets(f, newState(), Options{Rate: -1, PerSubject: -1, MaxOutstanding: -1})
	h := mustHandler(f, tickets, HandlerOptions{Bearer: bearers, Session: sessions, Origins: []string{app}})
	f.Fuzz(func(t *testing.T, method, target, authorization, cookie, origin, site, body, kind string) {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Method, r.Host = method, host
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
		for name, value := range map[string]string{
			"Authorization": authorization, "Cookie": cookie, "Origin": origin, "Sec-Fetch-Site": site, "Content-Type": kind,
		} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 204 {
			o, err := httpsec.Parse(origin)
			_, name, _ := strings.Cut(o.String(), "://")
			if method != "OPTIONS" || err != nil || name != host && o.String() != app {
				t.Fatalf("%s of %q: 204", method, origin)
			}
			return
		}
		if !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
		ticket, _ := reply(t, w)
		if w.Code != 200 {
			if w.Code < 400 || w.Code > 503 || w.Code == 500 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return
		}
		p, err := tickets.Consume(t.Context(), ticket, "")
		byToken := strings.Contains(authorization, p.Name) && len(authorization) > 7
		byCookie := strings.Contains(cookie, p.Name) && method == "POST" && origin != ""
		if err != nil || p.Name == "" || !byToken && !byCookie || strings.Contains(origin, "evil") {
			t.Fatalf("%+v, %v", p, err)
		}
	})
}
