package sockjs

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker"
)

// webSocket opens a session over a WebSocket that carries SockJS frames. The
// session lives on that one connection; the id in its URL has no meaning.
func (h *Endpoint) webSocket(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	if problem := badUpgrade(r); problem != "" { // check first: a bad request must not use up the ticket
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	a, err := h.b.Admit(r)
	if err != nil {
		auth.WriteRefusal(w, err)
		return
	}
	s := &socket{inbox: newInbox(), o: h.o}
	kept := &hijacked{ResponseWriter: w}
	s.conn, err = websocket.Accept(kept, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // Admit has checked the Origin
		OnPongReceived:     func(context.Context, []byte) { s.hear() },
	})
	if err != nil {
		a.Release()
		return // Accept has written the answer
	}
	s.raw = kept.conn
	s.conn.SetReadLimit(-1) // read checks BodyLimit itself
	go s.serve(h.b, a)      // in its own goroutine, so that net/http can free its buffers and the request
}

// hijacked remembers the connection under a WebSocket.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}

// badUpgrade returns the problem with an upgrade request, or "". It uses the
// protocol's texts where they exist.
func badUpgrade(r *http.Request) string {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.ProtoMajor != 1 || !hasToken(r.Header["Upgrade"], "websocket"):
		return `Can "Upgrade" only to "WebSocket".`
	case !hasToken(r.Header["Connection"], "upgrade"):
		return `"Connection" must be "Upgrade".`
	case r.Header.Get("Sec-WebSocket-Version") != "13" || err != nil || len(key) != 16:
		return "not a WebSocket handshake of RFC 6455"
	}
	return ""
}

func hasToken(lines []string, token string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(lines, ","), ","), func(entry string) bool {
		return strings.EqualFold(strings.TrimSpace(entry), token)
	})
}

// A socket is a [broker.Transport] over one WebSocket. In addition to the
// goroutines of [broker.Broker.Serve] it needs one that reads: the connection
// handles pongs only during a read, and the broker must learn of both data and
// pongs.
type socket struct {
	inbox
	conn    *websocket.Conn
	raw     net.Conn // the connection under conn
	o       Options
	dec     decoder // used by the reading goroutine
	timer   *time.Timer
	wrote   atomic.Int64 // Unix nanoseconds
	heard   atomic.Int64
	reading atomic.Bool // reading from the connection, not waiting for the broker

	sending atomic.Bool // Send may be blocked

	mu     sync.Mutex
	code   int // close code, 0 if only Serve knows it
	reason string
}

func (s *socket) serve(b *broker.Broker, a broker.Admission) {
	s.heard.Store(time.Now().UnixNano())
	if s.writeWithin(writeTimeout, []byte("o")) != nil {
		a.Release()
		_ = s.conn.CloseNow() // the client is gone already
		return
	}
	s.timer = time.AfterFunc(1<<62, s.beat) // assigned before beat can run
	s.timer.Reset(s.o.HeartBeat)
	go s.read()
	code, reason := ending(b.Serve(context.Background(), s, a))
	s.timer.Stop()
	s.goodbye(code, reason)
}

// goodbye closes the connection, with the code given to Close if there was one.
func (s *socket) goodbye(code int, reason string) {
	s.end()
	s.mu.Lock()
	if s.code != 0 {
		code, reason = s.code, s.reason
	}
	s.mu.Unlock()
	// A client that stops in the middle of a message would block the closing
	// handshake.
	defer time.AfterFunc(lingerTimeout, func() { _ = s.raw.Close() }).Stop()
	if code == 1005 || code == 1006 || s.writeWithin(writeTimeout, closeFrame(code, reason)) != nil {
		_ = s.conn.CloseNow() // there is no client to notify
		return
	}
	_ = s.conn.Close(websocket.StatusCode(code), reason) // the connection is closed even on error
}

// read passes received messages to Receive, until an error.
func (s *socket) read() {
	for {
		s.reading.Store(true)
		kind, r, err := s.conn.Reader(context.Background())
		if err != nil {
			s.lost(err)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r, int64(s.o.BodyLimit)))
		if err == nil && len(body) == s.o.BodyLimit {
			var more int
			if more, err = r.Read(make([]byte, 1)); more > 0 {
				s.fail(&broker.Error{Reason: broker.ReasonTooBig, Message: fmt.Sprintf("a message over %d bytes, which is a fixed limit", s.o.BodyLimit)})
				return
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
		}
		if err != nil {
			s.lost(err)
			return
		}
		s.reading.Store(false)
		s.hear()
		if !s.take(kind, body) {
			return
		}
	}
}

// take passes on one message. It returns false if reading must stop.
func (s *socket) take(kind websocket.MessageType, body []byte) bool {
	switch {
	case kind != websocket.MessageText:
		s.fail(&broker.Error{Reason: broker.ReasonProtocolError, Message: "SockJS messages are text"})
		return false
	case len(body) == 0:
		return true
	case !utf8.Valid(body):
		s.fail(&broker.Error{Reason: broker.ReasonInvalidText, Message: "a message is not UTF-8"})
		return false
	}
	data, err := s.dec.decode(nil, body)
	if err != nil {
		s.fail(&broker.Error{Reason: broker.ReasonProtocolError, Message: errJSON.Error()})
		return false
	}
	return len(data) == 0 || s.put(context.Background(), data)
}

// lost handles the end of the connection.
func (s *socket) lost(err error) {
	code := websocket.CloseStatus(err)
	if code == -1 {
		s.end()
		return
	}
	s.fail(&broker.CloseError{Code: int(code)})
}

// hear records a sign of life and reports it to the broker.
func (s *socket) hear() {
	s.heard.Store(time.Now().UnixNano())
	s.alive()
}

// beat runs when one direction may have been silent for HeartBeat. It sends a
// heart-beat or a ping if so.
func (s *socket) beat() {
	every := s.o.HeartBeat
	if silent(&s.wrote) >= every && s.writeWithin(writeTimeout, []byte("h")) != nil {
		s.end()
	}
	if silent(&s.heard) >= every && !s.ping() {
		s.end()
	}
	if !s.ended() {
		wait := every - max(silent(&s.wrote), silent(&s.heard))
		s.timer.Reset(max(wait, every/10))
	}
}

// ping reports whether the client seems alive. While the broker is still busy
// with an earlier message, nothing reads the pong; the client then counts as
// alive.
func (s *socket) ping() bool {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	return s.conn.Ping(ctx) == nil || !s.reading.Load() || silent(&s.heard) < s.o.HeartBeat
}

const (
	// pingTimeout is how long the answer to a ping may take.
	pingTimeout = 5 * time.Second
	// lingerTimeout is how long the closing handshake may take.
	lingerTimeout = 2 * time.Second
)

func silent(since *atomic.Int64) time.Duration { return time.Since(time.Unix(0, since.Load())) }

// Kind implements an optional method of [broker.Transport].
func (s *socket) Kind() string { return "sockjs-websocket" }

// TextOnly implements an optional method of [broker.Transport].
func (s *socket) TextOnly() bool { return true }

// Send implements [broker.Transport].
func (s *socket) Send(frames [][]byte) error {
	s.sending.Store(true)
	defer s.sending.Store(false)
	if s.ended() {
		return io.ErrClosedPipe
	}
	buf := buffers.Get().(*[]byte)
	defer recycle(buf)
	for len(frames) > 0 {
		frame, n, valid := appendMessages((*buf)[:0], frames, maxFrame)
		*buf = frame
		if !valid {
			s.fail(errNotText)
		}
		if len(frame) > 0 {
			if err := s.write(context.Background(), frame); err != nil {
				return err
			}
		}
		frames = frames[n:]
	}
	return nil
}

func (s *socket) write(ctx context.Context, frame []byte) error {
	err := s.conn.Write(ctx, websocket.MessageText, frame)
	s.wrote.Store(time.Now().UnixNano())
	return err
}

func (s *socket) writeWithin(d time.Duration, frame []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.write(ctx, frame)
}

// Close implements [broker.Transport]. It leaves everything that can block to
// goodbye, which follows. For code 1006 it only frees a Send that the client is
// blocking.
func (s *socket) Close(code int, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if code == 1006 {
		s.end()
		if s.sending.Load() {
			return s.raw.Close()
		}
		return nil
	}
	if !s.ended() {
		s.code, s.reason = code, reason
		s.end()
	}
	return nil
}
