package sockjs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/internal/script"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
	"github.com/hoofbeat/hoofbeat/frames"
)

// slow is a ConnectDeadline for clients on a busy machine.
const slow = 2 * time.Minute

// program is a broker with the handlers that the scripts use.
type program struct {
	*broker.Broker

	mu         sync.Mutex
	registered map[string]string // session by webSocketId
}

func newProgram(t *testing.T, o broker.Options) *program {
	t.Helper()
	rules, err := auth.Open().Prepend(auth.Rule{Effect: auth.Deny, Actions: []auth.Action{auth.Subscribe}, Destination: "/topic/forbidden"})
	if err != nil {
		t.Fatal(err)
	}
	o.Authorizer = rules
	p := &program{Broker: brokertest.New(t, o), registered: make(map[string]string)}
	for path, f := range map[string]broker.HandlerFunc{
		"/app/echo": p.echo, "/app/registration": p.register, "/app/approve": p.approve, "/app/gone": p.gone,
	} {
		if err := p.Handle(path, f); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *program) echo(ctx context.Context, r *broker.Request) error {
	_, err := r.Reply(ctx, &broker.Message{Body: r.Body})
	return err
}

var isJSON = []frames.Header{{Name: frames.HeaderContentType, Value: "application/json"}}

// register answers as Web Flow does (W-1).
func (p *program) register(ctx context.Context, r *broker.Request) error {
	var asked struct {
		WebSocketID string `json:"webSocketId"`
	}
	if err := json.Unmarshal(r.Body, &asked); err != nil {
		return err
	}
	p.mu.Lock()
	p.registered[asked.WebSocketID] = r.Session
	p.mu.Unlock()
	body := []byte(`{"webSocketId":"` + asked.WebSocketID + `","registrationSucceeded":true}`)
	_, err := r.Reply(ctx, &broker.Message{Destination: "/topic/registration", Headers: isJSON, Body: body})
	return err
}

// approve tells the page that registered (W-5).
func (p *program) approve(ctx context.Context, r *broker.Request) error {
	p.mu.Lock()
	session := p.registered[string(r.Body)]
	p.mu.Unlock()
	body := []byte(`{"webSocketId":"` + string(r.Body) + `","authResult":"CONFIRMED"}`)
	_, err := p.PublishToSession(ctx, session, &broker.Message{Destination: "/topic/authorization", Headers: isJSON, Body: body})
	return err
}

// gone reports whether the session in the body has ended.
func (p *program) gone(ctx context.Context, r *broker.Request) error {
	answer := "true"
	for s := range p.Sessions() {
		if s.ID == string(r.Body) {
			answer = "false"
		}
	}
	_, err := r.Reply(ctx, &broker.Message{Body: []byte(answer)})
	return err
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

// brokenProxies are proxies that break WebSockets: each forwards everything to
// target except the upgrade.
func brokenProxies(t *testing.T, target string) map[string]string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	proxies := make(map[string]string)
	for name, upgrade := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"stripped": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
			pass.ServeHTTP(w, r)
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		proxies[name] = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "" {
				upgrade(w, r)
				return
			}
			pass.ServeHTTP(w, r)
		}))
	}
	return proxies
}

// recorder records what the clients send over HTTP, by the transport in the
// query.
type recorder struct {
	next http.Handler
	mu   sync.Mutex
	text map[string]string
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/xhr_send") {
		body, err := io.ReadAll(r.Body)
		var messages []string
		if err == nil && json.Unmarshal(body, &messages) == nil {
			c.mu.Lock()
			c.text[r.URL.Query().Get("transport")] += strings.Join(messages, "")
			c.mu.Unlock()
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	c.next.ServeHTTP(w, r)
}

// TestNode runs sockjs-client 1.6.1 in Node with @stomp/stompjs 7 and stompjs
// 2.3.3.
func TestNode(t *testing.T) {
	t.Parallel()
	p := newProgram(t, broker.Options{ConnectDeadline: slow})
	// On a busy machine a client may be slow to poll again. Only the hasty
	// handler, for clients that vanish, does not wait for it.
	patient := sockjs.Options{DisconnectDelay: time.Minute}
	h := sockjs.Handler(p.Broker, patient)
	home := serve(t, h)
	record := &recorder{next: h, text: make(map[string]string)}
	tk := &tickets{left: map[string]bool{"websocket": true, "xhr-streaming": true, "eventsource": true, "xhr-polling": true}}
	guarded := newProgram(t, broker.Options{Authenticator: tk, ConnectDeadline: slow})
	proxies := brokenProxies(t, home)
	run(t, "node.mjs", map[string]string{
		"url": home + "/ws", "recorded": serve(t, record) + "/ws",
		"tickets": serve(t, sockjs.Handler(guarded.Broker, patient)) + "/ws",
		"hasty":   serve(t, sockjs.Handler(p.Broker, sockjs.Options{DisconnectDelay: 2 * time.Second})) + "/ws",
		"refused": proxies["refused"] + "/ws", "stripped": proxies["stripped"] + "/ws", "cut": proxies["cut"] + "/ws",
	})
	for _, transport := range []string{"xhr-streaming", "eventsource", "xhr-polling"} {
		t.Run("what Web Flow's page sends over "+transport+" is what the reference recorded", func(t *testing.T) {
			record.mu.Lock()
			defer record.mu.Unlock()
			// sockjs-client may leave before it has sent the DISCONNECT.
			got := strings.TrimSuffix(record.text[transport], webFlow[5])
			if want := strings.Join(webFlow[:5], ""); got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
}

// TestChromium runs sockjs-client in pages.
func TestChromium(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	script.Requires(t, err == nil, "chromium", "apt-get install chromium")
	page := http.NewServeMux()
	page.Handle("/", http.FileServer(http.Dir("clients/page")))
	page.HandleFunc("/sockjs.js", file("node_modules/sockjs-client/dist/sockjs.min.js"))
	page.HandleFunc("/stomp.js", file("node_modules/@stomp/stompjs/bundles/stomp.umd.js"))
	var endpoint atomic.Pointer[sockjs.Endpoint] // set before any page uses it
	site := http.NewServeMux()
	site.Handle("/", page)
	site.HandleFunc("/ws/", func(w http.ResponseWriter, r *http.Request) { endpoint.Load().ServeHTTP(w, r) })
	home, friend, foreign := serve(t, site), serve(t, page), serve(t, page)
	proxies := brokenProxies(t, home)
	p := newProgram(t, broker.Options{Origins: []string{home, friend, proxies["refused"], proxies["stripped"], proxies["cut"]}, ConnectDeadline: slow})
	// An EventSource does not send this cookie elsewhere.
	endpoint.Store(sockjs.Handler(p.Broker, sockjs.Options{OwnCookie: "JSESSIONID", DisconnectDelay: time.Minute}))
	run(t, "browser.mjs", map[string]string{
		"chromium": chromium, "home": home, "friend": friend, "foreign": foreign,
		"refused": proxies["refused"], "stripped": proxies["stripped"], "cut": proxies["cut"],
	})
}

func file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }
}
