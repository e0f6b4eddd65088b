package oauth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzCallback sends arbitrary queries and cookies while a login of another
// browser is pending: nothing of that may reach the provider, sign anybody in
// or come back in the page.
func FuzzCallback(f *testing.F) {
	for _, query := range []string{
		"", "code=XYZ789", "code=a&state=b", "error=access_denied&state=x", "state=" + strings.Repeat("A", 43) + "&code=a",
		"state=a;code=b", "state=%zz", "state=a&state=b", "iss=https%3A%2F%2Fidp.example&code=c&state=d", "=&&=", "\x00", "error=<script>",
	} {
		f.Add(query, "__Host-hoofbeat-login="+strings.Repeat("A", 43))
	}
	s := newStandin()
	c := newClient(f, s, nil)
	newBrowser(f, c).login("")
	f.Fuzz(func(t *testing.T, query, cookie string) {
		b := newBrowser(t, c)
		r := b.request(http.MethodGet, "/oauth/callback", nil)
		r.URL.RawQuery = query
		r.Header.Set("Cookie", cookie)
		resp := b.do(r)
		if resp.StatusCode != http.StatusBadRequest || len(resp.Cookies()) != 0 || resp.Header.Get("Location") != "" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		if _, body, _ := strings.Cut(b.seen.String(), "<body>"); body != "<p>"+textStale+"</p></body></html>\n" && body != "<p>"+textMalformed+"</p></body></html>\n" {
			t.Errorf("page: %q", body)
		}
		if len(s.tokenRequests()) != 0 || c.pending.logins.len() != 1 || len(c.sessions.byID) != 0 {
			t.Error("the callback had an effect")
		}
	})
}

// FuzzLogoutToken posts arbitrary logout tokens, none of which the provider has
// signed.
func FuzzLogoutToken(f *testing.F) {
	s := newStandin()
	c, b := signedIn(f, s, nil)
	good := s.logoutToken(nil)
	parts := strings.Split(good, ".")
	for _, token := range []string{
		"", "a.b.c", "..", parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[1] + "." + parts[1] + "." + parts[2],
		`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"AA"}`, good[:len(good)-8], parts[0] + "." + parts[1] + "." + parts[1],
	} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		resp := tell(newBrowser(t, c), token)
		if resp.StatusCode != http.StatusBadRequest || len(resp.Cookies()) != 0 {
			t.Error(resp.StatusCode)
		}
		if b.signedIn() != "alice" {
			t.Error("signed out")
		}
	})
}

// FuzzLocalPath checks that a browser that resolves an accepted path stays at
// this site.
func FuzzLocalPath(f *testing.F) {
	for _, path := range []string{"/", "//x", `/\x`, "/\t/x", "/a?b#c", "/..//x", "/%2f/x", "x", "", "https://x", "/;/x", "/@x"} {
		f.Add(path)
	}
	base := &url.URL{Scheme: "https", Host: "app.example", Path: "/oauth/callback"}
	f.Fuzz(func(t *testing.T, path string) {
		if !localPath(path) {
			return
		}
		// What a browser does first: drop control characters, and read a
		// backslash as a slash.
		seen := strings.Map(func(r rune) rune {
			switch {
			case r < ' ':
				return -1
			case r == '\\':
				return '/'
			}
			return r
		}, path)
		u, err := base.Parse(seen)
		if err != nil || u.Scheme != "https" || u.Host != "app.example" || u.User != nil || strings.ContainsAny(path, "\r\n") {
			t.Errorf("%q leads to %v", path, u)
		}
	})
}
