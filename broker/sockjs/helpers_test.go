package sockjs_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/sockjs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is an in-memory network, for use in a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// conn is one end of a pipe, with the peer's address.
type conn struct {
	net.Conn
	from string
}

func (c conn) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 40000}
}

func (p *pipes) dial(from string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case p.conns <- conn{server, from}:
			return client, nil
		case <-p.closed:
			return nil, net.ErrClosed
		}
	}
}

// world is a broker with SockJS at /ws.
type world struct {
	t      *testing.T
	b      *broker.Broker
	h      *sockjs.Endpoint
	net    *pipes
	from   string
	header http.Header
}

// bubble runs f in a synctest bubble.
func bubble(t *testing.T, o broker.Options, so sockjs.Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, o)
		p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		// The deadlines are those of a server with other work to do.
		h := sockjs.Handler(b, so)
		srv := &http.Server{Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 7 * time.Second}
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.Serve(p) }()
		t.Cleanup(func() {
			_ = srv.Close()
			<-served
			pass(time.Second) // net/http lingers on the input that it refused to read
		})
		f(t, &world{t: t, b: b, h: h, net: p, from: "192.0.2.1", header: http.Header{}})
	})
}

// as returns w for a client at another address, or with other headers.
func (w *world) as(from string, header ...string) *world {
	c := &world{t: w.t, b: w.b, h: w.h, net: w.net, from: from, header: w.header.Clone()}
	for i := 0; i+1 < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	return c
}

// response is an answer.
type response struct {
	*http.Response
	t     *testing.T
	lines *bufio.Reader
	stop  context.CancelFunc
}

// open sends a request on its own connection and returns when the answer has
// begun.
func (w *world) open(method, path, body string) *response {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, method, "http://example.com/ws"+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, v := range w.header {
		r.Header[name] = v
	}
	tr := &http.Transport{DialContext: w.net.dial(w.from), DisableKeepAlives: true}
	res, err := tr.RoundTrip(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	w.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	return &response{Response: res, t: w.t, lines: bufio.NewReader(res.Body), stop: cancel}
}

// line returns the next line of the body.
func (r *response) line() string {
	r.t.Helper()
	s, err := r.lines.ReadString('\n')
	if err != nil {
		r.t.Fatalf("after %q: %v", s, err)
	}
	return strings.TrimRight(s, "\r\n")
}

// rest returns the rest of the body.
func (r *response) rest() string {
	r.t.Helper()
	p, err := io.ReadAll(r.lines)
	if err != nil {
		r.t.Fatalf("after %q: %v", p, err)
	}
	return string(p)
}

// want sends a request and checks the status and body of its answer.
func (w *world) want(method, path, body string, status int, answer string) *response {
	w.t.Helper()
	r := w.open(method, path, body)
	if got := r.rest(); r.StatusCode != status || got != answer {
		w.t.Errorf("%s %s answered %d %q, want %d %q", method, path, r.StatusCode, got, status, answer)
	}
	return r
}

// poll expects a frame from the session with the id s.
func (w *world) poll(s, frame string) {
	w.t.Helper()
	w.want("POST", "/000/"+s+"/xhr", "", 200, frame+"\n")
}

// frame polls for a frame that the caller checks.
func (w *world) frame(s string) string {
	w.t.Helper()
	return strings.TrimSuffix(w.open("POST", "/000/"+s+"/xhr", "").rest(), "\n")
}

func (w *world) send(s, body string) {
	w.t.Helper()
	w.want("POST", "/000/"+s+"/xhr_send", body, 204, "")
}

const connect = `["CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\u0000"]`

// connected opens a session and sends CONNECT.
func (w *world) connected(s string) {
	w.t.Helper()
	w.poll(s, "o")
	w.send(s, connect)
	if f := w.frame(s); !strings.HasPrefix(f, `a["CONNECTED\nversion:1.2\n`) || !strings.HasSuffix(f, `\n\n\u0000"]`) {
		w.t.Fatalf("got %q", f)
	}
}

// subscribed also subscribes to /topic/a.
func (w *world) subscribed(s string) {
	w.t.Helper()
	w.connected(s)
	w.send(s, `["SUBSCRIBE\nid:s\ndestination:/topic/a\nreceipt:r\n\n\u0000"]`)
	w.poll(s, `a["RECEIPT\nreceipt-id:r\n\n\u0000"]`)
}

func (w *world) publish(body []byte) {
	w.t.Helper()
	if err := w.b.Publish(w.t.Context(), &broker.Message{Destination: "/topic/a", Body: body}); err != nil {
		w.t.Fatal(err)
	}
}

// ended returns the reasons for which sessions have ended.
func (w *world) ended() map[string]int64 {
	synctest.Wait()
	return w.b.Stats().Ended
}

// tickets accepts each of a set of tickets once.
type tickets struct {
	mu   sync.Mutex
	left map[string]bool
}

func (s *tickets) Authenticate(_ context.Context, a *auth.Attempt) (*auth.Principal, error) {
	if a.Stage != auth.StageHandshake {
		return nil, auth.ErrNotMine
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left[a.Ticket] {
		return nil, &auth.Refusal{Reason: "invalid_ticket"}
	}
	delete(s.left, a.Ticket)
	return &auth.Principal{Name: "alice"}, nil
}

// start sends a request without waiting for its answer, and returns a function
// that breaks its connection.
func (w *world) start(method, path string) (cut func()) {
	w.t.Helper()
	c, err := w.net.dial(w.from)(context.Background(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }() // until it is cut
	if _, err := io.WriteString(c, method+" /ws"+path+" HTTP/1.1\r\nHost: example.com\r\nContent-Length: 0\r\n\r\n"); err != nil {
		w.t.Fatal(err)
	}
	return func() { _ = c.Close() }
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }
