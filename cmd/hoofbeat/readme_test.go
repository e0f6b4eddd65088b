//go:build unix

package main

import (
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// readmeBlock returns the first block of a language below a heading of the README.
func readmeBlock(t *testing.T, heading, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	m := regexp.MustCompile("(?sm)^```" + language + "\n(.*?)^```").FindStringSubmatch(section)
	if m == nil {
		t.Fatalf("README.md has no block of %s in %q", language, heading)
	}
	return m[1]
}

// The pages of the README connect to a broker that nobody has configured, from
// another port, as a development server has one.
func TestChromiumREADMEPages(t *testing.T) {
	chromium := needs(t, "chromium", "apt-get install chromium")
	s := serve(t, []string{slowPages})
	pointed := func(snippet, address string) string {
		if !strings.Contains(snippet, "127.0.0.1:8080") {
			t.Fatalf("the address of the broker is not in\n%s", snippet)
		}
		return strings.ReplaceAll(snippet, "127.0.0.1:8080", address)
	}
	address := strings.TrimPrefix(s.web(), "http://")
	proxied := strings.TrimPrefix(withoutWebSocket(t, s.web()), "http://")
	// Without a timeout sockjs-client gives a transport up that takes 0.6 s.
	sockJS := strings.Replace(readmeBlock(t, "Spring and SockJS", "html"), "/ws')", "/ws', null, {timeout: 60000})", 1)
	if !strings.Contains(sockJS, "timeout: 60000") {
		t.Fatalf("the address does not end as expected in\n%s", sockJS)
	}
	const around = `<!DOCTYPE html><script src="/scripts/sockjs-client/dist/sockjs.min.js"></script><script src="/scripts/stompjs/lib/stomp.min.js"></script>`
	const then = `<script>client.connect({login: 'ann'}, () => {
		client.subscribe('/topic/greetings', (message) => console.log('for all:', message.body));
		client.send('/topic/greetings', {}, 'hello');
	});</script>`
	pages := http.NewServeMux()
	for path, page := range map[string]string{
		"/stompjs": `<!DOCTYPE html><script type="importmap">{"imports": {"@stomp/stompjs": "/scripts/@stomp/stompjs/esm6/index.js"}}</script>` +
			`<script type="module">` + pointed(readmeBlock(t, "From a page", "js"), address) + `</script>`,
		"/sockjs":  around + pointed(sockJS, address) + then,
		"/polling": around + pointed(sockJS, proxied) + then,
	} {
		pages.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, page) // the browser may be gone
		})
	}
	pages.HandleFunc("/scripts/", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, clientScripts+"/node_modules"+path.Clean(strings.TrimPrefix(r.URL.Path, "/scripts")))
	})
	clients(t, "readme.mjs", map[string]any{
		"chromium": chromium, "home": strings.Replace(site(t, pages), "127.0.0.1", "localhost", 1), "admin": s.admin, "token": s.token(t),
	})
}
