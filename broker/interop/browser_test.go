package interop_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
)

// site serves the page of the browser tests at an origin of its own.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("clients/page")))
	mux.HandleFunc("/stomp.umd.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "node_modules/@stomp/stompjs/bundles/stomp.umd.js")
	})
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestChromium is pages in a browser: Origin, close codes, and life without timers.
func TestChromium(t *testing.T) {
	t.Parallel()
	run := node(t)
	path := chromium(t)
	home, foreign := site(t), site(t)
	plain := start(t, broker.Options{Origins: []string{home.URL}})
	o := quickly()
	o.Origins = []string{home.URL}
	fast := start(t, o)
	run("browser.mjs", map[string]any{
		"chromium": path, "home": home.URL, "foreign": foreign.URL,
		"url": plain.URL, "quick": fast.URL, "beat": quick.Milliseconds(),
	})
	if n := plain.Broker.Stats().Refused; n != 1 {
		t.Errorf("%d handshakes were refused, want that of the foreign page", n)
	}
	plain.quiet(t)
	fast.quiet(t)
}
