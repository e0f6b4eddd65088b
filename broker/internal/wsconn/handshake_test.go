package wsconn

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"
)

func handshake() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	r.Header = http.Header{
		"Connection":            {"keep-alive, Upgrade"},
		"Upgrade":               {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	return r
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *http.Request)
		status int
	}{
		"good":                   {func(*http.Request) {}, 0},
		"other letters":          {func(r *http.Request) { r.Header["Upgrade"] = []string{"WebSocket"} }, 0},
		"lists over lines":       {func(r *http.Request) { r.Header["Connection"] = []string{"keep-alive", "foo , upgrade"} }, 0},
		"POST":                   {func(r *http.Request) { r.Method = "POST" }, 405},
		"HEAD":                   {func(r *http.Request) { r.Method = "HEAD" }, 405},
		"HTTP/1.0":               {func(r *http.Request) { r.ProtoMinor = 0 }, 426},
		"HTTP/2":                 {func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, 400},
		"no Upgrade":             {func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		"Upgrade to another":     {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426},
		"Upgrade not a token":    {func(r *http.Request) { r.Header.Set("Upgrade", "websockets") }, 426},
		"no Connection":          {func(r *http.Request) { r.Header.Del("Connection") }, 426},
		"Connection: keep-alive": {func(r *http.Request) { r.Header.Set("Connection", "keep-alive") }, 426},
		"no version":             {func(r *http.Request) { r.Header.Del("Sec-Websocket-Version") }, 426},
		"version 8":              {func(r *http.Request) { r.Header.Set("Sec-Websocket-Version", "8") }, 426},
		"two versions":           {func(r *http.Request) { r.Header.Add("Sec-Websocket-Version", "13") }, 426},
		"no key":                 {func(r *http.Request) { r.Header.Del("Sec-Websocket-Key") }, 400},
		"short key":              {func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZQ==") }, 400},
		"long key":               {func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZSE=") }, 400},
		"key not base64":         {func(r *http.Request) { r.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ!!") }, 400},
		"two keys":               {func(r *http.Request) { r.Header.Add("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==") }, 400},
	} {
		r := handshake()
		c.change(r)
		err := Check(r)
		if c.status == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		he, ok := errors.AsType[*HandshakeError](err)
		if !ok || he.Status != c.status || he.Reason == "" {
			t.Errorf("%s: %#v, want status %d", name, err, c.status)
			continue
		}
		if he.Status == 426 && (he.Header.Get("Upgrade") != "websocket" || he.Header.Get("Sec-WebSocket-Version") != "13") {
			t.Errorf("%s: headers %v", name, he.Header)
		}
		if he.Status == 405 && he.Header.Get("Allow") != "GET" {
			t.Errorf("%s: headers %v", name, he.Header)
		}
	}
}

func TestSubprotocolTrap41(t *testing.T) {
	for _, c := range []struct {
		offer []string
		want  string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{"v10.stomp, v11.stomp, v12.stomp"}, "v12.stomp"},
		{[]string{"v12.stomp,v11.stomp"}, "v12.stomp"},
		{[]string{"v10.stomp", "v11.stomp"}, "v11.stomp"},
		{[]string{" v10.stomp "}, "v10.stomp"},
		{[]string{"V11.STOMP"}, "V11.STOMP"},
		{[]string{"Bearer eyJ.a/b=="}, ""},
		{[]string{"bearer, ey/J==;\"x, v12.stomp"}, "v12.stomp"},
		{[]string{"v13.stomp, mqtt, stomp"}, ""},
		{[]string{"v12.stomp.evil\r\nX: y"}, ""},
	} {
		r := handshake()
		r.Header["Sec-Websocket-Protocol"] = c.offer
		if got := Subprotocol(r); got != c.want {
			t.Errorf("%q: got %q, want %q", c.offer, got, c.want)
		}
	}
}

func TestUpgradeWithoutHijack(t *testing.T) {
	_, err := Upgrade(httptest.NewRecorder(), handshake(), "", false)
	he, ok := errors.AsType[*HandshakeError](err)
	if !ok || he.Status != 500 || !errors.Is(err, http.ErrNotSupported) || strings.Contains(he.Reason, "Hijack") {
		t.Fatalf("got %#v", err)
	}
}

// gone is a connection whose client left during the handshake.
type gone struct {
	http.ResponseWriter
	nc net.Conn
}

func (g gone) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return g.nc, bufio.NewReadWriter(bufio.NewReader(g.nc), bufio.NewWriter(g.nc)), nil
}

func TestUpgradeOfLostConnection(t *testing.T) {
	ours, peer := net.Pipe()
	peer.Close()
	c, err := Upgrade(gone{httptest.NewRecorder(), ours}, handshake(), "", false)
	if _, answerable := errors.AsType[*HandshakeError](err); c != nil || err == nil || answerable {
		t.Fatalf("got %v, %v", c, err)
	}
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("still open: %v", err)
	}
}

// The example of RFC 6455, section 1.3, over a bare socket; bytes that come
// with the request, before any answer, are not lost.
func TestUpgradeOnTheWire(t *testing.T) {
	conns := make(chan *Conn, 1)
	s := serve(t, conns)
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: secret, v11.stomp, v12.stomp\r\n\r\n" +
		text("early") + text("half")[:8]))
	c := wait(t, conns)
	defer c.Close()
	want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: v12.stomp\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := readFull(nc, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
	nc.Write([]byte(text("half")[8:]))
	nc.(*net.TCPConn).CloseWrite()
	h := new(heard)
	if err := c.Receive(h); describe(err) != eof || h.payload() != "earlyhalf" {
		t.Fatalf("%q, %v", h.payload(), err)
	}
}

func readFull(nc net.Conn, p []byte) (int, error) {
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	defer nc.SetReadDeadline(time.Time{})
	n := 0
	for n < len(p) {
		k, err := nc.Read(p[n:])
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// serve upgrades every request behind two layers of middleware.
func serve(t testing.TB, conns chan<- *Conn) *httptest.Server {
	s := httptest.NewServer(upgrader(t, conns, false))
	t.Cleanup(s.Close)
	return s
}

func serveDeflate(t testing.TB, conns chan<- *Conn) *httptest.Server {
	s := httptest.NewServer(upgrader(t, conns, true))
	t.Cleanup(s.Close)
	return s
}

func upgrader(t testing.TB, conns chan<- *Conn, deflate bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := Check(r); err != nil {
			http.Error(w, err.(*HandshakeError).Reason, err.(*HandshakeError).Status)
			return
		}
		c, err := Upgrade(middleware{middleware{w}}, r, Subprotocol(r), deflate)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- c
	})
}

// middleware hides Hijack behind Unwrap.
type middleware struct{ inner http.ResponseWriter }

func (m middleware) Header() http.Header         { return m.inner.Header() }
func (m middleware) Write(p []byte) (int, error) { return m.inner.Write(p) }
func (m middleware) WriteHeader(status int)      { m.inner.WriteHeader(status) }
func (m middleware) Unwrap() http.ResponseWriter { return m.inner }

// hijacked exposes what Upgrade gets, and leaves deadlines set.
type hijacked struct {
	http.ResponseWriter
	reader weak.Pointer[bufio.Reader]
	writer weak.Pointer[bufio.Writer]
}

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.reader, h.writer = weak.Make(rw.Reader), weak.Make(rw.Writer)
	nc.SetDeadline(time.Unix(1, 0))
	return nc, rw, err
}

// During the life of the WebSocket nothing of net/http is kept, and the HTTP
// server's deadlines do not affect it.
func TestUpgradeLeavesHTTPBehind(t *testing.T) {
	conns := make(chan *Conn, 1)
	var request weak.Pointer[http.Request]
	hj := new(hijacked)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = weak.Make(r)
		hj.ResponseWriter = w
		c, err := Upgrade(hj, r, "", false)
		hj.ResponseWriter = nil
		if err != nil {
			t.Error(err)
		}
		conns <- c
	}))
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" + text("early")))
	c := wait(t, conns)
	h, end := new(heard), make(chan error, 1)
	seen := make(chan bool, 1)
	h.onData = func([]byte) error { seen <- true; return nil }
	go func() { end <- c.Receive(h) }()
	wait(t, seen)
	for deadline := time.Now().Add(time.Minute); request.Value() != nil || hj.reader.Value() != nil || hj.writer.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("still alive: request %v, reader %v, writer %v", request.Value() != nil, hj.reader.Value() != nil, hj.writer.Value() != nil)
		}
	}
	c.Close()
	wait(t, end)
}
