package sockjs_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

func TestGreeting(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		for _, path := range []string{"", "/"} {
			r := w.want("GET", path, "", 200, "Welcome to SockJS!\n")
			if ct := r.Header.Get("Content-Type"); ct != "text/plain; charset=UTF-8" {
				t.Errorf("Content-Type %q", ct)
			}
			if r := w.want("POST", path, "", 405, ""); r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow %q", r.Header.Get("Allow"))
			}
		}
	})
}

func TestNotFound(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		long := strings.Repeat("x", 129)
		for _, path := range []string{
			"/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "x", "/../info", "/info/", "/iframe.html", "/iframe-1.0.html",
			"//a/xhr", "/a//xhr", "/a.b/c/xhr", "/a/b.c/xhr", "/a/b/xhr/", "/a/b/xhr/c", "/" + long + "/a/xhr", "/a/" + long + "/xhr",
			"/a/b/jsonp", "/a/b/jsonp_send", "/a/b/htmlfile", "/a/b/XHR", "/a/b/xhr_send",
		} {
			w.want("POST", path, "", 404, "")
		}
		if n := w.b.Stats().Opened; n != 0 {
			t.Errorf("%d sessions were opened", n)
		}
	})
}

func TestMethodNotAllowed(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		for path, allow := range map[string]string{
			"/info": "OPTIONS, GET", "/a/b/xhr": "OPTIONS, POST", "/a/b/xhr_send": "OPTIONS, POST",
			"/a/b/xhr_streaming": "OPTIONS, POST", "/a/b/eventsource": "OPTIONS, GET", "/a/b/websocket": "GET",
		} {
			if r := w.want("DELETE", path, "", 405, ""); r.Header.Get("Allow") != allow {
				t.Errorf("%s: Allow %q, want %q", path, r.Header.Get("Allow"), allow)
			}
		}
	})
}

func TestInfo(t *testing.T) {
	for name, tc := range map[string]struct {
		o                 sockjs.Options
		cookie, websocket bool
	}{
		"default":      {sockjs.Options{}, false, true},
		"cookie":       {sockjs.Options{Cookie: "JSESSIONID"}, true, true},
		"no WebSocket": {sockjs.Options{NoWebSocket: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker.Options{}, tc.o, func(t *testing.T, w *world) {
				seen := make(map[float64]bool)
				for range 3 {
					r := w.as(w.from, "Origin", "https://elsewhere.example").open("GET", "/info", "")
					var info map[string]any
					if err := json.Unmarshal([]byte(r.rest()), &info); err != nil {
						t.Fatal(err)
					}
					seen[info["entropy"].(float64)] = true
					if len(info) != 4 || info["cookie_needed"] != tc.cookie || info["websocket"] != tc.websocket || info["origins"].([]any)[0] != "*:*" {
						t.Errorf("info is %v", info)
					}
					h := r.Header
					if !strings.Contains(h.Get("Cache-Control"), "no-store") || h.Get("Content-Type") != "application/json; charset=UTF-8" {
						t.Errorf("header %v", h)
					}
					// Trap 47: it must be readable from anywhere.
					if h.Get("Access-Control-Allow-Origin") != "https://elsewhere.example" || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
						t.Errorf("header %v", h)
					}
				}
				if len(seen) != 3 {
					t.Errorf("entropy repeats: %v", seen)
				}
			})
		})
	}
}

func TestPreflight(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		page := w.as(w.from, "Origin", "https://a.example", "Access-Control-Request-Headers", "content-type")
		for path, methods := range map[string]string{
			"/info": "OPTIONS, GET", "/a/b/xhr": "OPTIONS, POST", "/a/b/xhr_send": "OPTIONS, POST",
			"/a/b/xhr_streaming": "OPTIONS, POST", "/a/b/eventsource": "OPTIONS, GET",
		} {
			h := page.want("OPTIONS", path, "", 204, "").Header
			if h.Get("Access-Control-Allow-Methods") != methods || h.Get("Access-Control-Allow-Headers") != "content-type" ||
				h.Get("Access-Control-Allow-Origin") != "https://a.example" || h.Get("Access-Control-Max-Age") != "31536000" ||
				h.Get("Cache-Control") != "public, max-age=31536000" {
				t.Errorf("%s: %v", path, h)
			}
			wantExpires(t, h)
		}
	})
}

// wantExpires wants what old caches go by: a year from now.
func wantExpires(t *testing.T, h http.Header) {
	t.Helper()
	at, err := http.ParseTime(h.Get("Expires"))
	if left := time.Until(at); err != nil || left < 364*24*time.Hour || left > 367*24*time.Hour {
		t.Errorf("Expires is %q, %v", h.Get("Expires"), err)
	}
}

func TestIframe(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{IframeScript: `/sockjs.js?"<`}, func(t *testing.T, w *world) {
		var tag string
		for _, path := range []string{"/iframe.html", "/iframe-1.6.1.html", "/iframe0-a.html?t=1"} {
			r := w.open("GET", path, "")
			body := r.rest()
			if r.StatusCode != 200 || !strings.Contains(body, `src="/sockjs.js?&#34;&lt;"`) || !strings.Contains(body, "SockJS.bootstrap_iframe()") {
				t.Errorf("%s answered %d %q", path, r.StatusCode, body)
			}
			if r.Header.Get("X-Frame-Options") != "SAMEORIGIN" || r.Header.Get("Content-Security-Policy") != "frame-ancestors 'self'" {
				t.Errorf("anybody may frame it: %v", r.Header)
			}
			if r.Header.Get("Cache-Control") != "public, max-age=31536000" {
				t.Errorf("it is not cached: %v", r.Header)
			}
			wantExpires(t, r.Header)
			tag = r.Header.Get("ETag")
		}
		w.as(w.from, "If-None-Match", tag).want("GET", "/iframe.html", "", 304, "")
		w.want("POST", "/iframe.html", "", 405, "")
		w.want("GET", "/iframe/x.html", "", 404, "")
	})
}

func TestPrefix(t *testing.T) {
	for prefix, path := range map[string]string{"": "/ws", "/": "", "/a/b/": "/a/b"} {
		b := brokertest.New(t, broker.Options{})
		h := sockjs.Handler(b, sockjs.Options{Prefix: prefix})
		for rest, want := range map[string]string{"/": "Welcome to SockJS!\n", "/000/a/xhr_send": "", "/info": "{"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", path+rest, nil))
			if got := w.Body.String(); !strings.HasPrefix(got, want) || want == "" && w.Code != 405 {
				t.Errorf("with prefix %q %s answers %d %q", prefix, rest, w.Code, got)
			}
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", "/x"+path+"/info", nil)); w.Code != 404 && path != "" {
			t.Errorf("with prefix %q /x%s/info answers %d", prefix, path, w.Code)
		}
	}
}
