// Package stomptest is a STOMP server for tests of clients: a minimal protocol
// over WebSocket and TCP that records every frame byte for byte, with a hook to
// change the answers. It is not a broker: it knows exact destinations, receipts
// and one answer per command, and never unescapes.
//
//	s := stomptest.New(t, nil)
//	conn, err := client.Dial(ctx, s.URL, client.Options{})
package stomptest

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Frame is one received frame.
type Frame struct {
	Command string
	Headers []string // "name:value", not unescaped
	Body    string
	Binary  bool // received in a binary WebSocket message
	Raw     string
}

// Header returns the first value of a header, or "".
func (f Frame) Header(name string) string {
	for _, h := range f.Headers {
		if value, ok := strings.CutPrefix(h, name+":"); ok {
			return value
		}
	}
	return ""
}

// Server is a running server. It stops when its test ends.
type Server struct {
	URL string // ws://127.0.0.1:port/ws
	TCP string // tcp://127.0.0.1:port

	handle func(*Conn, Frame) bool

	mu       sync.Mutex
	frames   []Frame
	messages []string
	requests []*http.Request
	conns    map[*Conn]struct{}
	serial   int
	wg       sync.WaitGroup
}

// New starts a server. handle gets every frame first, in the goroutine of its
// connection, and returns true if it has answered the frame. Nil handles none.
func New(t testing.TB, handle func(*Conn, Frame) bool) *Server {
	t.Helper()
	s := &Server{handle: handle, conns: make(map[*Conn]struct{})}
	web := httptest.NewServer(http.HandlerFunc(s.serveHTTP))
	s.URL = "ws" + strings.TrimPrefix(web.URL, "http") + "/ws"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.TCP = "tcp://" + l.Addr().String()
	s.wg.Go(func() { s.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Abort()
		}
		s.mu.Unlock()
		web.Close()
		s.wg.Wait()
	})
	return s
}

// Frames returns the frames with this command received so far, or all if
// command is empty, without heart-beats.
func (s *Server) Frames(command string) []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Frame
	for _, f := range s.frames {
		if command == "" || f.Command == command {
			found = append(found, f)
		}
	}
	return found
}

// Messages returns all WebSocket messages received so far.
func (s *Server) Messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Requests returns all handshake requests received so far.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Publish sends a MESSAGE to every subscription of a destination and returns
// their number. It does not escape headers.
func (s *Server) Publish(destination, body string, headers ...string) int {
	s.mu.Lock()
	s.serial++
	id := strconv.Itoa(s.serial)
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	sent := 0
	for _, c := range conns {
		c.mu.Lock()
		var ids []string
		for sub, d := range c.subscriptions {
			if d == destination {
				ids = append(ids, sub)
			}
		}
		c.mu.Unlock()
		for _, sub := range ids {
			h := append([]string{"destination:" + destination, "message-id:" + id, "subscription:" + sub, "ack:" + id, "content-length:" + strconv.Itoa(len(body))}, headers...)
			c.Send("MESSAGE", body, h...)
			sent++
		}
	}
	return sent
}

// Eventually fails the test unless ok becomes true within five seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(5 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not within five seconds: %s", what)
		}
	}
}

func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if status, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "not you", status)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"v12.stomp", "v11.stomp", "v10.stomp"}, InsecureSkipVerify: true,
	})
	if err != nil {
		return // Accept has written the answer
	}
	ws.SetReadLimit(-1)
	c := s.add(&Conn{server: s, ws: ws})
	defer s.remove(c)
	for {
		kind, p, err := ws.Read(context.Background())
		if err != nil {
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, string(p))
		s.mu.Unlock()
		if !c.receive(p, kind == websocket.MessageBinary) {
			return
		}
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := s.add(&Conn{server: s, tcp: nc})
		s.wg.Go(func() {
			defer s.remove(c)
			r := bufio.NewReader(nc)
			for {
				p, err := readFrame(r)
				if err != nil || !c.receive(p, false) {
					return
				}
			}
		})
	}
}

// readFrame reads one heart-beat or one frame without NUL in its body.
func readFrame(r *bufio.Reader) ([]byte, error) {
	b, err := r.Peek(1)
	if err != nil {
		return nil, err
	}
	if b[0] == '\n' {
		_, err = r.Discard(1)
		return []byte{'\n'}, err
	}
	p, err := r.ReadBytes(0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return p, err
}

func (s *Server) add(c *Conn) *Conn {
	c.subscriptions = make(map[string]string)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Abort()
}
