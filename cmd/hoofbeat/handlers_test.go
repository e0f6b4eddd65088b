//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// orderServer is an application that handles what clients send.
type orderServer struct {
	*httptest.Server
	mu       sync.Mutex
	asked    []order
	problems []string
	kill     bool          // the next request meets the end of the server
	hang     chan struct{} // requests with the body "hang" wait for it
}

type order struct {
	ID, Event, Destination, User, Session, Body string
	Variables, Headers                          map[string]string
}

// newOrderServer listens at an address where it can listen again.
func newOrderServer(t *testing.T, address string) *orderServer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	o := &orderServer{hang: make(chan struct{})}
	o.Server = httptest.NewUnstartedServer(o)
	_ = o.Listener.Close()
	o.Listener = l
	o.Start()
	t.Cleanup(o.end)
	return o
}

func (o *orderServer) end() {
	o.CloseClientConnections()
	o.Close()
}

func (o *orderServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q order
	o.mu.Lock()
	if err != nil || json.Unmarshal(body, &q) != nil || r.Header.Get("Hoofbeat-Delivery") != q.ID {
		o.problems = append(o.problems, fmt.Sprintf("%v in %q", err, body))
	}
	if !signedByUs(r, body) {
		o.problems = append(o.problems, "a wrong signature")
	}
	o.asked = append(o.asked, q)
	kill := o.kill
	o.kill = false
	o.mu.Unlock()
	switch {
	case kill:
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	case q.Body == "hang":
		select {
		case <-o.hang:
		case <-r.Context().Done():
		}
	case q.Body == "crash":
		http.Error(w, "stack trace", http.StatusInternalServerError)
	case q.Body == "refuse":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"refuse":"sold out"}`)
	case q.Event == "subscribe":
		_, _ = io.WriteString(w, "state of "+q.Variables["id"])
	case q.Body == "announce":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"reply":{"body":"done"},"send":[{"destination":"/topic/orders","body":{"order":"`+q.Variables["id"]+`"}}]}`)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// bodies returns the bodies that came to a destination.
func (o *orderServer) bodies(destination string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, q := range o.asked {
		if q.Destination == destination {
			list = append(list, q.Body)
		}
	}
	return list
}

func (o *orderServer) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.problems) > 0 {
		t.Errorf("problems: %q", o.problems)
	}
}

const handlersFile = `
auth: {anonymous: true}
rules:
  - {allow: [send, subscribe], destination: /app/**}
  - {allow: [subscribe], destination: /topic/**}
  - {allow: [send], destination: /queue/**} # and all the same not to that of a handler
  - {allow: [subscribe], destination: /user/queue/**}
handlers:
  - {destination: "/app/orders/{id}", url: "URL/orders", timeout: 10s, secret: SECRET}
  - {destination: "/app/hang/*", url: "URL/hang", timeout: 300ms, secret: SECRET}
  - {destination: /app/invoices/**, url: "URL/invoices", timeout: 5s, secret: SECRET, via: /queue/invoices}
`

func serveHandlers(t *testing.T, url string) (s *server, file string) {
	t.Helper()
	file = write(t, "hoofbeat.yaml", strings.NewReplacer("URL", url, "SECRET", webhookSecret).Replace(handlersFile))
	run(t, 0, nil, "config", "check", "-c", file)
	return serve(t, nil, "-c", file), file
}

// failed sends what ends the session with an ERROR, and returns its text.
func failed(t *testing.T, s *server, destination, body string, code int) string {
	t.Helper()
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(destination, "", []byte(body), stomp.SendOpt.Receipt); err == nil {
		t.Errorf("%q is accepted", body)
	}
	closed(t, conn, code)
	var no *client.ErrorFrame
	if !errors.As(conn.Err(), &no) {
		t.Fatalf("the session ends with %v", conn.Err())
	}
	return no.Message
}

// An application answers, sends by its own authority, refuses, crashes, hangs and
// is gone.
func TestHandlersOfTheBinary(t *testing.T) {
	o := newOrderServer(t, "127.0.0.1:0")
	s, file := serveHandlers(t, o.URL)
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sub := func(destination string) *stomp.Subscription {
		t.Helper()
		sub, err := conn.Subscribe(destination, stomp.AckAuto)
		if err != nil {
			t.Fatal(err)
		}
		return sub
	}
	if m := receive(t, sub("/app/orders/7")); string(m.Body) != "state of 7" {
		t.Errorf("the answer is %q", m.Body)
	}
	replies, orders := sub("/user/queue/orders/7"), sub("/topic/orders")
	if err := conn.Send("/app/orders/7", "", []byte("announce"), stomp.SendOpt.Receipt); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, replies); string(m.Body) != "done" {
		t.Errorf("the reply is %q", m.Body)
	}
	if m := receive(t, orders); string(m.Body) != `{"order":"7"}` || m.ContentType != "application/json" {
		t.Errorf("the message is %q", m.Body)
	}
	// The requests of a session come in its order, though it does not wait.
	var sent []string
	for i := range 100 {
		sent = append(sent, fmt.Sprint(i))
		if err := conn.Send("/app/orders/8", "", []byte(sent[i])); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Send("/app/orders/8", "", []byte("last"), stomp.SendOpt.Receipt); err != nil {
		t.Fatal(err)
	}
	if got := o.bodies("/app/orders/8"); !slices.Equal(got, append(sent, "last")) {
		t.Errorf("it came %q", got)
	}
	const gone, unable = "the application does not answer now, try again later", "the application could not handle this"
	for _, tc := range []struct {
		destination, body, want string
		code                    int
	}{{"/app/orders/7", "refuse", "sold out", 4403}, {"/app/orders/7", "crash", unable, 1011}, {"/app/hang/7", "hang", gone, 1011}} {
		if got := failed(t, s, tc.destination, tc.body, tc.code); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.body, got, tc.want)
		}
	}
	for _, want := range []string{"status 500", "no answer within 300ms"} {
		brokertest.Eventually(t, "the log says "+want, func() bool {
			return slices.ContainsFunc(s.Log("a handler has failed"), func(e map[string]any) bool { return e["cause"] == want })
		})
	}
	// A session that waits for the application does not stop others.
	slow, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Send("/app/hang/7", "", []byte("hang")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send("/app/orders/9", "", []byte("quick"), stomp.SendOpt.Receipt); err != nil {
		t.Error(err)
	}
	closed(t, slow, 1011)
	// The circuit opens.
	o.check(t)
	o.end()
	for range 6 {
		if got := failed(t, s, "/app/orders/7", "x", 1011); got != gone {
			t.Errorf("without a server: %q", got)
		}
	}
	s.Logged(t, "the server of a handler does not answer; nothing is sent to it until it does", 1)
	var states struct {
		Items []struct {
			Destination, URL string
			Broken           *time.Time
			Handled, Failed  int
		}
	}
	if status := s.call(t, "GET", "/api/v1/handlers", "", &states); status != 200 || len(states.Items) != 3 {
		t.Fatalf("HTTP %d with %+v", status, states)
	}
	if h := states.Items[0]; h.Destination != "/app/orders/{id}" || h.URL != o.URL+"/orders" || h.Broken == nil || h.Handled != 105 || h.Failed != 7 {
		t.Errorf("the state is %+v", h)
	}
	if states.Items[1].Broken != nil {
		t.Errorf("the state is %+v", states.Items[1])
	}
	if strings.Contains(s.Stderr(), webhookSecret) {
		t.Error("the secret is in the log")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "300ms", "400ms", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	brokertest.Eventually(t, "the change is reported", func() bool { return strings.Contains(s.Stderr(), "some changes need a restart") })
}

// What is sent by way of a queue reaches an application that is killed in the
// middle and away for a while, each message at least once, with the same id each time.
func TestHandlersAtLeastOnce(t *testing.T) {
	address := testkit.Loopback() + ":3001"
	o := newOrderServer(t, address)
	s, _ := serveHandlers(t, o.URL)
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	send := func(body string) {
		t.Helper()
		if err := conn.Send("/app/invoices/a/b", "", []byte(body), stomp.SendOpt.Receipt); err != nil {
			t.Fatal(err)
		}
	}
	const invoices = "/app/invoices/a/b"
	send("1")
	brokertest.Eventually(t, "the first has come", func() bool { return len(o.bodies(invoices)) == 1 })
	o.mu.Lock()
	o.kill = true
	o.mu.Unlock()
	send("2")
	brokertest.Eventually(t, "the second comes again", func() bool { return len(o.bodies(invoices)) == 3 })
	if got := o.bodies(invoices); !slices.Equal(got, []string{"1", "2", "2"}) {
		t.Errorf("it came %q", got)
	}
	o.mu.Lock()
	if o.asked[1].ID != o.asked[2].ID || o.asked[0].ID == o.asked[1].ID || o.asked[0].ID == "" {
		t.Errorf("the ids are %q, %q and %q", o.asked[0].ID, o.asked[1].ID, o.asked[2].ID)
	}
	o.mu.Unlock()
	o.check(t)
	o.end()
	for i := range 10 {
		send(fmt.Sprint("away ", i))
	}
	brokertest.Eventually(t, "the server is missed", func() bool { return len(s.Log("a handler has failed")) >= 2 })
	o = newOrderServer(t, address)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("away ", i))
	}
	// The first may have met the end of the connection, and come after the others.
	brokertest.Eventually(t, "all have come", func() bool {
		got := o.bodies(invoices)
		return !slices.ContainsFunc(want, func(body string) bool { return !slices.Contains(got, body) })
	})
	send("refuse")
	send("after")
	brokertest.Eventually(t, "it goes on", func() bool { return slices.Contains(o.bodies(invoices), "after") })
	o.check(t)
	// Everything is acknowledged, and what was refused is a dead letter.
	brokertest.Eventually(t, "only a dead letter is left", func() bool {
		var list struct {
			Items []struct {
				Name     string
				Messages int
			}
		}
		if status := s.call(t, "GET", "/api/v1/destinations", "", &list); status != 200 {
			t.Fatalf("HTTP %d", status)
		}
		left := make(map[string]int)
		for _, d := range list.Items {
			if d.Messages > 0 {
				left[d.Name] = d.Messages
			}
		}
		return len(left) == 1 && left["/queue/DLQ.invoices"] == 1
	})
	if got := failed(t, s, "/queue/invoices", "{}", 4403); !strings.HasPrefix(got, "not allowed to send") {
		t.Errorf("a forged request: %q", got)
	}
}

// A request that is on its way when the broker stops is answered before its
// session is closed.
func TestHandlersDrain(t *testing.T) {
	o := newOrderServer(t, "127.0.0.1:0")
	s := serve(t, nil, "-c", write(t, "hoofbeat.yaml", "handlers:\n  - {destination: /app/slow, url: '"+o.URL+"', timeout: 10s, secret: "+webhookSecret+"}\n"))
	conn, err := dial(t, s.url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- conn.Send("/app/slow", "", []byte("hang"), stomp.SendOpt.Receipt) }()
	brokertest.Eventually(t, "the request has come", func() bool { return len(o.bodies("/app/slow")) == 1 })
	s.Signal(t, syscall.SIGTERM)
	s.Logged(t, "draining", 1)
	close(o.hang)
	if err := testkit.Receive(t, sent); err != nil {
		t.Errorf("the SEND gets %v", err)
	}
	closed(t, conn, 1012)
	s.Exit(t, 0)
	o.check(t)
}
