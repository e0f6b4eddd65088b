package interop_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
)

// A wiretap stands between clients and a broker and keeps every byte that
// passes, so that a test can say what really was on the wire. Clients tell
// their connections apart by the query of their address.
type wiretap struct {
	URL string

	mu    sync.Mutex
	calls []*call
	open  sync.WaitGroup // calls that have not ended
}

// call is one connection.
type call struct {
	up, down bytes.Buffer // to the broker, to the client
}

// tap starts a wiretap in front of a WebSocket address.
func tap(t *testing.T, target string) *wiretap {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wiretap{URL: "ws://" + l.Addr().String() + u.Path}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.accept(l, u.Host)
	}()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		testkit.Receive(t, stopped)
		testkit.Wait(t, &w.open)
	})
	return w
}

func (w *wiretap) accept(l net.Listener, host string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed: the test is over
		}
		server, err := net.Dial("tcp", host)
		if err != nil {
			_ = client.Close() // the client sees it and fails its test
			continue
		}
		c := new(call)
		w.mu.Lock()
		w.calls = append(w.calls, c)
		w.mu.Unlock()
		w.open.Go(func() {
			var both sync.WaitGroup
			both.Go(func() { relay(server, client, &c.up) })
			both.Go(func() { relay(client, server, &c.down) })
			both.Wait()
			_, _ = client.Close(), server.Close() // both have ended
		})
	}
}

// relay copies one direction until it ends, and then ends it on the other side.
// What broke is what the two sides see; the test reads the bytes up to there.
func relay(to, from net.Conn, keep *bytes.Buffer) {
	_, _ = io.Copy(io.MultiWriter(keep, to), from)
	_ = to.(*net.TCPConn).CloseWrite()
}

// message is a WebSocket message.
type message struct {
	op   ws.OpCode
	data string
}

// talk is what was said on one connection.
type talk struct {
	request  *http.Request
	response *http.Response
	up, down []message // to the broker, to the client; close frames included
}

// listen returns the connection with that query; all have to have ended.
func (w *wiretap) listen(t *testing.T, query string) *talk {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		w.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("some connection did not end within a minute")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		up := bufio.NewReader(bytes.NewReader(c.up.Bytes()))
		req, err := http.ReadRequest(up)
		if err != nil {
			t.Fatalf("reading a request: %v", err)
		}
		if req.URL.RawQuery != query {
			continue
		}
		down := bufio.NewReader(bytes.NewReader(c.down.Bytes()))
		res, err := http.ReadResponse(down, req)
		if err != nil {
			t.Fatalf("reading a response: %v", err)
		}
		return &talk{req, res, messages(t, up), messages(t, down)}
	}
	t.Fatalf("nobody connected with ?%s", query)
	return nil
}

// messages reads WebSocket messages to the end.
func messages(t *testing.T, r io.Reader) []message {
	t.Helper()
	var list []message
	for {
		m, err := read(r)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("reading a WebSocket message: %v", err)
		}
		list = append(list, m)
	}
}

// read reads a WebSocket message, which must be one frame.
func read(r io.Reader) (message, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return message{}, err
	}
	if !h.Fin || h.Length > 1<<20 {
		return message{}, fmt.Errorf("a message in fragments or of more than 1 MiB: %+v", h)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return message{}, fmt.Errorf("cut off after the header: %v", err) // no io.EOF
	}
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return message{h.OpCode, string(payload)}, nil
}

// texts returns the text messages.
func texts(list []message) (out []string) {
	for _, m := range list {
		if m.op == ws.OpText {
			out = append(out, m.data)
		}
	}
	return out
}

// frame returns the first STOMP frame with that command.
func (c *talk) frame(t *testing.T, command string) string {
	t.Helper()
	for _, m := range texts(c.down) {
		if strings.HasPrefix(m, command+"\n") {
			return m
		}
	}
	t.Fatalf("the broker sent no %s", command)
	return ""
}

// header returns a header of a frame that frame returned.
func header(frame, name string) (value string, ok bool) {
	for line := range strings.SplitSeq(frame, "\n") {
		if line == "" {
			break
		}
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return value, true
		}
	}
	return "", false
}

// TestWiretap makes sure that the witness is reliable.
func TestWiretap(t *testing.T) {
	f := start(t, quickly())
	w := tap(t, f.URL)
	conn, _, _, err := ws.Dial(t.Context(), w.URL+"?case=self")
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte("CONNECT\n\n\x00")))); err != nil {
		t.Fatal(err)
	}
	answer, err := read(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	brokertest.Eventually(t, "the session ends", func() bool { return f.Broker.Stats().Sockets == 0 })
	got := w.listen(t, "case=self")
	if up := texts(got.up); len(up) != 1 || up[0] != "CONNECT\n\n\x00" {
		t.Errorf("to the broker: %q", up)
	}
	if down := texts(got.down); len(down) != 1 || down[0] != answer.data {
		t.Errorf("to the client: %q, and it got %q", down, answer.data)
	}
	if got.response.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %d", got.response.StatusCode)
	}
}
