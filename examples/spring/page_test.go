package spring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/examples/internal/e2e"
)

const (
	static  = "src/main/resources/static/"
	modules = "../../broker/sockjs/node_modules/"
)

// pages is what Spring Boot serves of this folder, with the two scripts where
// README.md has them copied.
func pages(mux *http.ServeMux) {
	for path, file := range map[string]string{
		"GET /index.html": static + "index.html", "GET /lib/sockjs.min.js": modules + "sockjs-client/dist/sockjs.min.js",
		"GET /lib/stomp.umd.min.js": modules + "@stomp/stompjs/bundles/stomp.umd.min.js",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { serveText(w, file, "", "") })
	}
}

// serveText serves a file with one text replaced. (http.ServeFile redirects
// index.html.)
func serveText(w http.ResponseWriter, file, old, replacement string) {
	text, err := os.ReadFile(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if old != "" {
		text = bytes.ReplaceAll(text, []byte(old), []byte(replacement))
	}
	kind := "text/html; charset=utf-8"
	if file[len(file)-3:] == ".js" {
		kind = "text/javascript"
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text) // the browser may be gone
}

// look opens a page in Chromium, says that one is Ann, and waits for these
// texts.
func look(t *testing.T, url string, texts ...string) {
	t.Helper()
	e2e.Need(t, modules+"sockjs-client", "npm ci --prefix broker/sockjs")
	e2e.Need(t, "../node_modules/playwright-core", "npm install --prefix examples")
	e2e.Need(t, "/usr/bin/chromium", "apt-get install chromium")
	if out := e2e.Run(t, "install Node.js", "node", append([]string{"browser.mjs", url}, texts...)...); out != "ok\n" {
		t.Errorf("it printed %q", out)
	}
}

// index.html, which only knows Spring, here of a broker that answers as
// GreetingController does.
func TestIndexPage(t *testing.T) {
	b := brokertest.New(t, broker.Options{})
	greet := func(text func(name string) string, answer func(context.Context, *broker.Request, *broker.Message) error) broker.Handler {
		return broker.HandlerFunc(func(ctx context.Context, r *broker.Request) error {
			var hello struct{ Name string }
			if err := json.Unmarshal(r.Body, &hello); err != nil && !r.Subscribe {
				return err
			}
			body, err := json.Marshal(map[string]string{"text": text(hello.Name)})
			if err != nil {
				return err
			}
			return answer(ctx, r, &broker.Message{Body: body})
		})
	}
	reply := func(ctx context.Context, r *broker.Request, m *broker.Message) error {
		_, err := r.Reply(ctx, m)
		return err
	}
	for path, h := range map[string]broker.Handler{
		"/app/welcome": greet(func(string) string { return "Welcome." }, reply),
		"/app/hello": greet(func(name string) string { return "Hello, " + name + "!" }, func(ctx context.Context, _ *broker.Request, m *broker.Message) error {
			m.Destination = "/topic/greetings"
			return b.Publish(ctx, m)
		}),
		"/app/whisper": greet(func(name string) string { return "Hello, " + name + ", nobody else hears this." }, func(ctx context.Context, r *broker.Request, m *broker.Message) error {
			m.Destination = "/queue/replies"
			_, err := b.PublishToSession(ctx, r.Session, m)
			return err
		}),
	} {
		if err := b.Handle(path, h); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	pages(mux)
	mux.Handle("/ws/", sockjs.Handler(b, sockjs.Options{}))
	srv := httptest.NewServer(mux)
	defer srv.Close()
	look(t, srv.URL+"/index.html", "Welcome.", "Hello, Ann!", "Hello, Ann, nobody else hears this.")
}

// direct.html, whose socket is that of the binary, with its origins, tickets and
// rules. Of the application it needs what DirectController does, which
// TestDirectController runs; here the same is asked of the admin API.
func TestDirectPage(t *testing.T) {
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	h := serve(t, "HOOFBEAT_WEBSOCKET_ORIGINS="+srv.URL)
	pages(mux)
	mux.HandleFunc("GET /direct.html", func(w http.ResponseWriter, _ *http.Request) {
		serveText(w, static+"direct.html", "http://localhost:8090/ws", h.web)
	})
	mux.HandleFunc("POST /ws_ticket", func(w http.ResponseWriter, r *http.Request) {
		var ticket json.RawMessage
		if err := h.ask(r.Context(), "POST", "/api/v1/tickets", map[string]any{"user": "guest", "ttl": 30}, &ticket); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(ticket) // the browser may be gone
	})
	mux.HandleFunc("POST /hello", func(w http.ResponseWriter, r *http.Request) {
		var hello struct{ Name string }
		err := json.NewDecoder(r.Body).Decode(&hello)
		for path, message := range map[string]map[string]string{
			"/api/v1/messages":             {"destination": "/topic/greetings", "body": `{"text":"Hello, ` + hello.Name + `!"}`},
			"/api/v1/users/guest/messages": {"destination": "/queue/replies", "body": `{"text":"All have heard it."}`},
		} {
			if err == nil {
				err = h.ask(r.Context(), "POST", path, message, new(json.RawMessage))
			}
		}
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, "{}") // the browser may be gone
	})
	look(t, srv.URL+"/direct.html", "Hello, Ann!", "All have heard it.")
}
