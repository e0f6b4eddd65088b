//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A browser sends no Origin with the GET of an EventSource to the page's own host.
// The login cookie is accepted there, since Sec-Fetch-Site says where the page is
// from, and no page can set that header. Whatever another site makes the browser
// ask for is refused, though the cookie comes with it: a link, for example.
func TestEventSourceWithTheLoginCookie(t *testing.T) {
	p, d := newProvider(t), newDoor(t)
	s := d.leadTo(serve(t, []string{"HOOFBEAT_AUTH_OAUTH_0_CLIENT_SECRET=oauth-secret"}, "-c", oauthConfig(t, p, d.address)))
	_, ann := login(t, s)
	cookie := ann.Get("Cookie")
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"its own page":               {[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		"its own page, with Referer": {[]string{"Sec-Fetch-Site", "same-origin", "Referer", s.web() + "/"}, 200},
		"a link of another site":     {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another site, with Referer": {[]string{"Sec-Fetch-Site", "cross-site", "Referer", "https://evil.example/"}, 403},
		"another site, with Origin":  {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a sibling domain":           {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"typed by the user":          {[]string{"Sec-Fetch-Site", "none"}, 403},
		"an old browser":             {nil, 403},
		"only a Referer":             {[]string{"Referer", s.web() + "/"}, 403},
	} {
		header := http.Header{"Cookie": {cookie}}
		for i := 0; i < len(c.headers); i += 2 {
			header.Set(c.headers[i], c.headers[i+1])
		}
		es := openSockJS(t, http.DefaultClient, s.sockJSURL(t), "eventsource", header)
		if c.status != 200 {
			es.want(fmt.Sprintf("HTTP %d", c.status))
			continue
		}
		es.want("o")
		es.send(webFlow[0])
		if f := es.next(1)[0]; !strings.HasPrefix(f, "CONNECTED\n") || !strings.Contains(f, "\nuser-name:ann\n") {
			t.Errorf("%s: got %q", name, f)
		}
	}
}
