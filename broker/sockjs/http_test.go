package sockjs_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/frames"
)

func TestPolling(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		r := w.as(w.from, "Origin", "http://example.com").want("POST", "/000/a/xhr", "", 200, "o\n")
		if h := r.Header; h.Get("Content-Type") != "application/javascript; charset=UTF-8" || !strings.Contains(h.Get("Cache-Control"), "no-store") ||
			h.Get("Access-Control-Allow-Origin") != "http://example.com" || h.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("header %v", h)
		}
		w.send("a", connect)
		if f := w.frame("a"); !strings.HasPrefix(f, `a["CONNECTED\n`) {
			t.Fatalf("got %q", f)
		}
		// Another server id refers to the same session; several frames arrive
		// together.
		w.want("POST", "/999/a/xhr_send", `["SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:1\n\n\u0000","UNSUBSCRIBE\nid:s\nreceipt:2\n\n","\u0000"]`, 204, "")
		w.poll("a", `a["RECEIPT\nreceipt-id:1\n\n\u0000","RECEIPT\nreceipt-id:2\n\n\u0000"]`)
		// A poll that comes first waits for data.
		got := make(chan string)
		go func() { got <- w.frame("a") }()
		synctest.Wait()
		w.send("a", `["DISCONNECT\nreceipt:bye\n\n\u0000"]`)
		if f := testkit.Receive(t, got); f != `a["RECEIPT\nreceipt-id:bye\n\n\u0000"]` {
			t.Errorf("got %q", f)
		}
		w.poll("a", `c[3000,"Go away!"]`)
		w.poll("a", `c[3000,"Go away!"]`) // for every further request
		w.want("POST", "/000/a/xhr_send", connect, 404, "")
		if e := w.ended(); e["disconnect"] != 1 {
			t.Errorf("ended %v", e)
		}
		pass(6 * time.Second)
		w.want("POST", "/000/a/xhr_send", connect, 404, "")
		w.poll("a", "o") // a new session
	})
}

func TestStreaming(t *testing.T) {
	for name, tc := range map[string]struct{ method, path, prelude, before, kind string }{
		"xhr":         {"POST", "/000/a/xhr_streaming", strings.Repeat("h", 2048), "", "application/javascript; charset=UTF-8"},
		"eventsource": {"GET", "/000/a/eventsource", "", "data: ", "text/event-stream"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, broker.Options{}, sockjs.Options{ResponseLimit: 4096}, func(t *testing.T, w *world) {
				next := func(r *response) string {
					t.Helper()
					line := r.line()
					if tc.before != "" && r.line() != "" {
						t.Fatal("an event is not ended by an empty line")
					}
					data, ok := strings.CutPrefix(line, tc.before)
					if !ok {
						t.Fatalf("got %q", line)
					}
					return strings.ReplaceAll(data, "%25", "%")
				}
				r := w.open(tc.method, tc.path, "")
				if got := r.line(); got != tc.prelude || r.Header.Get("Content-Type") != tc.kind {
					t.Fatalf("begins with %q, %v", got, r.Header)
				}
				if f := next(r); f != "o" {
					t.Fatalf("got %q", f)
				}
				w.send("a", connect)
				if f := next(r); !strings.HasPrefix(f, `a["CONNECTED`) {
					t.Fatalf("got %q", f)
				}
				w.send("a", `["SUBSCRIBE\nid:s\ndestination:/topic/a\n\n\u0000"]`)
				synctest.Wait()
				body := "100% " + strings.Repeat("é", 1000)
				for range 2 {
					w.publish([]byte(body))
					if f := next(r); !strings.Contains(f, body) {
						t.Fatalf("got %q", f)
					}
				}
				if rest := r.rest(); rest != "" { // 4 KiB were sent
					t.Errorf("the response goes on: %q", rest)
				}
				w.publish([]byte("later"))
				r = w.open(tc.method, tc.path, "")
				if got := r.line(); got != tc.prelude {
					t.Fatalf("begins with %q", got)
				}
				if f := next(r); !strings.Contains(f, "later") {
					t.Fatalf("got %q", f)
				}
				w.send("a", `["nonsense\n\n\u0000"]`)
				if f := next(r); !strings.HasPrefix(f, `a["ERROR`) {
					t.Errorf("got %q", f)
				}
				if f := next(r); f != `c[1002,"protocol-error"]` {
					t.Errorf("got %q", f)
				}
				if rest := r.rest(); rest != "" {
					t.Errorf("the response goes on: %q", rest)
				}
			})
		})
	}
}

func TestOneReceiverAtATime(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		first := w.open("POST", "/000/a/xhr_streaming", "")
		first.line()
		first.line()
		w.poll("a", `c[2010,"Another connection still open"]`)
		r := w.open("GET", "/000/a/eventsource", "")
		if got := r.rest(); got != "\r\ndata: c[2010,\"Another connection still open\"]\r\n\r\n" {
			t.Errorf("got %q", got)
		}
		w.send("a", connect) // the first is as it was
		if f := first.line(); !strings.HasPrefix(f, `a["CONNECTED`) {
			t.Errorf("got %q", f)
		}
	})
}

// Without STOMP's heart-beats, SockJS's own keep the connections open.
func TestHeartBeat(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		w.connected("a")
		start := time.Now()
		w.poll("a", "h")
		if d := time.Since(start); d != 25*time.Second {
			t.Errorf("h after %v", d)
		}
		// A stream stays open while the client sends something…
		r := w.open("POST", "/000/a/xhr_streaming", "")
		r.line()
		start = time.Now()
		pass(20 * time.Second)
		w.send("a", `["\n"]`)
		if f := r.line(); f != "h" || time.Since(start) != 25*time.Second {
			t.Errorf("%q after %v", f, time.Since(start))
		}
		// … and otherwise ends, so that the client reconnects.
		if rest := r.rest(); rest != "h\n" || time.Since(start) != 45*time.Second {
			t.Errorf("%q after %v", rest, time.Since(start))
		}
	})
}

// Trap 47: while STOMP's heart-beats run no h is sent, and a page with
// throttled timers stays alive through its requests.
func TestHeartBeatOfStomp(t *testing.T) {
	o := broker.Options{HeartBeat: frames.HeartBeat{Send: 10 * time.Second, Receive: 10 * time.Second}}
	bubble(t, o, sockjs.Options{}, func(t *testing.T, w *world) {
		w.poll("a", "o")
		w.send("a", strings.ReplaceAll(connect, "0,0", "10000,10000"))
		w.frame("a")
		r := w.open("POST", "/000/a/xhr_streaming", "")
		r.line()
		for range 2 {
			if f := r.line(); f != `a["\n"]` {
				t.Fatalf("got %q", f)
			}
		}
		start := time.Now()
		for time.Since(start) < 5*time.Minute {
			rest := r.rest() // silent for 25 s: it ends
			if strings.ReplaceAll(rest, "a[\"\\n\"]\n", "") != "h\n" {
				t.Fatalf("got %q", rest)
			}
			r = w.open("POST", "/000/a/xhr_streaming", "")
			r.line()
		}
		if e := w.ended(); len(e) != 0 {
			t.Errorf("ended %v", e)
		}
	})
}

func TestMaxSessions(t *testing.T) {
	tk := &tickets{left: map[string]bool{"one": true}}
	bubble(t, broker.Options{Authenticator: tk}, sockjs.Options{Sessions: 4}, func(t *testing.T, w *world) {
		tk.left["1"], tk.left["2"] = true, true
		w.want("POST", "/0/a/xhr?ticket=1", "", 200, "o\n")
		w.want("POST", "/0/b/xhr?ticket=2", "", 200, "o\n")
		w.want("POST", "/0/c/xhr?ticket=one", "", 503, "{\"error\":\"too many sessions, try again: limits.sockjs_sessions is 4, and one address has at most half of them\"}\n")
		pass(15 * time.Second) // they expire, and are forgotten
		w.want("POST", "/0/c/xhr?ticket=one", "", 200, "o\n")
	})
}

// The kind of a session is that of the request that opened it.
func TestKind(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{}, func(t *testing.T, w *world) {
		want := map[string]string{"xhr": "sockjs-xhr-polling", "xhr_streaming": "sockjs-xhr-streaming", "eventsource": "sockjs-eventsource"}
		seen := make(map[string]int)
		for path := range want {
			if path == "xhr" {
				w.poll(path, "o")
			} else {
				method := map[string]string{"xhr_streaming": "POST", "eventsource": "GET"}[path]
				w.open(method, "/000/"+path+"/"+path, "").line()
			}
			w.send(path, connect)
		}
		synctest.Wait()
		for s := range w.b.Sessions() {
			seen[s.Transport]++
		}
		for path, kind := range want {
			if seen[kind] != 1 {
				t.Errorf("%s: sessions %v, want one %s", path, seen, kind)
			}
		}
	})
}

// Data for a client goes out in as few responses as the limit allows, without
// loss or reordering.
func TestOrderOverManyPolls(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{ResponseLimit: 2000}, func(t *testing.T, w *world) {
		w.subscribed("a")
		const n = 200
		for i := range n {
			w.publish(fmt.Appendf(nil, "<%03d>", i))
		}
		var seen strings.Builder
		polls := 0
		for ; !strings.Contains(seen.String(), "<199>"); polls++ {
			seen.WriteString(w.frame("a"))
		}
		at := 0
		for i := range n {
			next := strings.Index(seen.String()[at:], fmt.Sprintf("<%03d>", i))
			if next < 0 {
				t.Fatalf("<%03d> is missing or late", i)
			}
			at += next
		}
		if polls > 40 {
			t.Errorf("%d polls", polls)
		}
	})
}

// A request of a session sets the cookie if it is missing, as sockjs-node does:
// the load balancer may not see /info. The session itself continues without it.
func TestOwnCookieWithEveryRequest(t *testing.T) {
	bubble(t, broker.Options{}, sockjs.Options{OwnCookie: "sticky"}, func(t *testing.T, w *world) {
		set := func(r *response) bool {
			c := r.Cookies()
			return len(c) == 1 && c[0].Name == "sticky" && len(c[0].Value) > 20 && c[0].Path == "/ws/" && c[0].HttpOnly
		}
		for path, kind := range map[string]string{"a": "xhr", "b": "xhr_streaming", "c": "eventsource"} {
			method := "POST"
			if kind == "eventsource" {
				method = "GET"
			}
			if r := w.open(method, "/000/"+path+"/"+kind, ""); r.StatusCode != 200 || !set(r) {
				t.Errorf("%s: %d, cookies %v", kind, r.StatusCode, r.Cookies())
			}
		}
		if r := w.want("POST", "/000/a/xhr_send", connect, 204, ""); !set(r) {
			t.Errorf("xhr_send: cookies %v", r.Cookies())
		}
		if f := w.frame("a"); !strings.HasPrefix(f, `a["CONNECTED`) {
			t.Errorf("the session is lost: %q", f)
		}
		back := w.as(w.from, "Cookie", "sticky=mine")
		if r := back.open("POST", "/000/d/xhr", ""); r.StatusCode != 200 || len(r.Cookies()) != 0 {
			t.Errorf("a client that has it: %d, cookies %v", r.StatusCode, r.Cookies())
		}
		if r := w.open("POST", "/000/none/xhr_send", "[]"); r.StatusCode != 404 || len(r.Cookies()) != 0 {
			t.Errorf("no such session: %d, cookies %v", r.StatusCode, r.Cookies())
		}
	})
}
