package oauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// browser is one browser with its cookies, at the site that the client serves.
type browser struct {
	t       testing.TB
	client  *Client
	handler http.Handler
	cookies map[string]string
	seen    strings.Builder // everything that has ever come to the browser
}

func newBrowser(t testing.TB, c *Client) *browser {
	return &browser{t: t, client: c, handler: c.Handler(), cookies: make(map[string]string)}
}

func (b *browser) request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, "https://app.example"+target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://app.example")
	}
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (b *browser) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	resp := w.Result()
	for _, c := range resp.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	resp.Header.Write(&b.seen)
	b.seen.WriteString(w.Body.String())
	return resp
}

func (b *browser) get(target string) *http.Response {
	return b.do(b.request(http.MethodGet, target, nil))
}

func (b *browser) post(target string, form url.Values) *http.Response {
	return b.do(b.request(http.MethodPost, target, form))
}

// login starts a login and returns the authorization request's parameters.
func (b *browser) login(query string) url.Values {
	b.t.Helper()
	resp := b.get("/oauth/login" + query)
	if resp.StatusCode != http.StatusFound {
		b.t.Fatalf("GET /oauth/login%s: %d, want 302", query, resp.StatusCode)
	}
	u, err := resp.Location()
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Query()
}

// signIn does a whole login at the stand-in.
func (b *browser) signIn(s *standin) *http.Response {
	b.t.Helper()
	resp := b.callback(s, b.login(""))
	if resp.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("callback: %d, want 303", resp.StatusCode)
	}
	return resp
}

// callback is the provider's redirect back with a code.
func (b *browser) callback(s *standin, q url.Values) *http.Response {
	s.set(func(s *standin) { s.nonce = q.Get("nonce") })
	return b.get("/oauth/callback?" + url.Values{"code": {"code-1"}, "state": {q.Get("state")}}.Encode())
}

func (b *browser) sessionCookie() string { return b.cookies[b.client.cookies.session.Name] }

// signedIn returns the user's name, or "" if nobody is signed in.
func (b *browser) signedIn() string {
	p, ok := b.client.Session(b.request(http.MethodGet, "/", nil))
	if !ok {
		return ""
	}
	return p.Name
}
