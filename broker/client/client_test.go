package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/client/internal/stomptest"
)

func dial(t *testing.T, url string, o Options) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel() // must not end the connection
	o.Stomp = append([]func(*stomp.Conn) error{stomp.ConnOpt.DisconnectReceiptTimeout(5 * time.Second)}, o.Stomp...)
	c, err := Dial(ctx, url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect() })
	return c
}

func receive(t *testing.T, sub *stomp.Subscription) *stomp.Message {
	t.Helper()
	select {
	case m, ok := <-sub.C:
		if !ok {
			t.Fatal("subscription closed")
		}
		return m
	case <-time.After(time.Minute):
		t.Fatal("no message within a minute")
	}
	return nil
}

func ended(t *testing.T, c *Conn) error {
	t.Helper()
	select {
	case <-c.Done():
		return c.Err()
	case <-time.After(time.Minute):
		t.Fatal("the connection did not end within a minute")
	}
	return nil
}

func TestRoundTrip(t *testing.T) {
	s := stomptest.New(t, nil)
	for name, url := range map[string]string{"WebSocket": s.URL, "TCP": s.TCP} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url, Options{Login: "ann"})
			if c.Version() != stomp.V12 || c.Session() != "s1" || c.Server() != "stomptest" || c.Header().Get("user-name") != "ann" {
				t.Errorf("version %s, session %q, server %q, header %v", c.Version(), c.Session(), c.Server(), c.Header())
			}
			sub, err := c.Subscribe("/topic/"+name, stomp.AckAuto)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Send("/topic/"+name, "text/plain", []byte("hello"), stomp.SendOpt.Receipt); err != nil {
				t.Fatal(err)
			}
			if m := receive(t, sub); m.Err != nil || string(m.Body) != "hello" {
				t.Errorf("received %q, %v", m.Body, m.Err)
			}
			if err := c.Disconnect(); err != nil {
				t.Errorf("Disconnect: %v", err)
			}
			if err := ended(t, c); err != nil {
				t.Errorf("Err after Disconnect = %v, want nil", err)
			}
		})
	}
}

func TestSubprotocolsAndHandshakeHeaders(t *testing.T) {
	s := stomptest.New(t, nil)
	dial(t, s.URL+"?ticket=t1", Options{Header: http.Header{"Origin": {"https://a.example"}}})
	r := s.Requests()[0]
	if got, want := r.Header.Get("Sec-WebSocket-Protocol"), "v12.stomp,v11.stomp,v10.stomp"; got != want {
		t.Errorf("sub-protocols %q, want %q", got, want)
	}
	if r.Header.Get("Origin") != "https://a.example" || r.URL.Query().Get("ticket") != "t1" {
		t.Errorf("origin %q, query %q", r.Header.Get("Origin"), r.URL.RawQuery)
	}
	dial(t, s.URL, Options{Versions: []stomp.Version{stomp.V10, stomp.V11}, SendHeartBeat: -1, ReceiveHeartBeat: 2 * time.Second})
	if got, want := s.Requests()[1].Header.Get("Sec-WebSocket-Protocol"), "v11.stomp,v10.stomp"; got != want {
		t.Errorf("sub-protocols %q, want %q", got, want)
	}
	f := s.Frames("CONNECT")[1]
	if f.Header("accept-version") != "1.0,1.1" || f.Header("heart-beat") != "0,2000" || f.Header("host") != "127.0.0.1" {
		t.Errorf("CONNECT %q", f.Raw)
	}
}

// Trap 10: CONNECT and CONNECTED are never escaped.
func TestConnectIsNotEscaped_Trap10(t *testing.T) {
	s := stomptest.New(t, nil)
	c := dial(t, s.URL, Options{
		Login: `CORP\nick`, Passcode: `a:b\c`, Host: "v:1", ConnectHeaders: map[string]string{"x": `1:\2`, "a": "0"},
	})
	want := []string{"accept-version:1.2,1.1,1.0", "host:v:1", "heart-beat:10000,10000", `login:CORP\nick`, `passcode:a:b\c`, "a:0", `x:1:\2`}
	if got := s.Frames("CONNECT")[0].Headers; !reflect.DeepEqual(got, want) {
		t.Errorf("CONNECT headers\n got %q\nwant %q", got, want)
	}
	if n := len(s.Frames("")); n != 1 {
		t.Errorf("%d frames were sent, want one: go-stomp's own CONNECT must not go out", n)
	}
	if got := c.Header().Get("user-name"); got != `CORP\nick` {
		t.Errorf("user-name %q", got)
	}
}

// Each frame is one WebSocket message, whatever its size and content; the
// endpoint answers anything else with close code 1002.
func TestOneFrameIsOneMessage(t *testing.T) {
	s := stomptest.New(t, nil)
	c := dial(t, s.URL, Options{})
	sub, err := c.Subscribe("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	bodies := []string{"", "x", strings.Repeat("y", 4096), strings.Repeat("a\x00b\n\nc", 1000), strings.Repeat("z", 1<<20), "\n", "\xff\xfe"}
	for _, body := range bodies {
		if err := c.Send("/topic/a", "", []byte(body), stomp.SendOpt.Receipt); err != nil {
			t.Fatalf("Send of %d bytes: %v", len(body), err)
		}
		if m := receive(t, sub); string(m.Body) != body {
			t.Fatalf("body of %d bytes came back with %d bytes, %v", len(body), len(m.Body), m.Err)
		}
	}
	sends := s.Frames("SEND")
	if len(sends) != len(bodies) {
		t.Fatalf("%d SEND frames, want %d", len(sends), len(bodies))
	}
	for i, f := range sends {
		if f.Body != bodies[i] || f.Binary != (bodies[i] == "\xff\xfe") {
			t.Errorf("SEND %d: %d bytes, binary %v", i, len(f.Body), f.Binary)
		}
	}
	if n := len(s.Messages()); n != len(s.Frames("")) {
		t.Errorf("%d messages for %d frames", n, len(s.Frames("")))
	}
}

// Incoming frames may be cut into messages anywhere, and share one.
func TestIncomingChunks(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command != "SUBSCRIBE" {
			return false
		}
		h := "MESSAGE\nsubscription:" + f.Header("id") + "\nmessage-id:1\ndestination:/topic/a\n\n"
		c.Raw("\n")
		c.Raw("MESS")
		c.Raw(strings.TrimPrefix(h, "MESS") + "on")
		c.Raw("e\x00\n" + h + "two\x00" + h + strings.Repeat("three", 100_000) + "\x00")
		return true
	})
	sub, err := dial(t, s.URL, Options{}).Subscribe("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two", strings.Repeat("three", 100_000)} {
		if m := receive(t, sub); string(m.Body) != want {
			t.Fatalf("body of %d bytes, want %d, %v", len(m.Body), len(want), m.Err)
		}
	}
}

func TestRefusedConnect(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		c.Send("ERROR", "ask your\nadministrator", "message:bad passcode\\c try again", "content-type:text/plain")
		c.Raw("\n")
		c.Close(1008, "refused")
		return true
	})
	_, err := Dial(t.Context(), s.URL, Options{Login: "ann", Passcode: "hunter2"})
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v, want a RefusedError", err)
	}
	if refused.Message != "bad passcode: try again" || refused.Body != "ask your\nadministrator" || refused.Header.Get("content-type") != "text/plain" {
		t.Errorf("refusal %+v", refused)
	}
	var closed *CloseError
	if !errors.As(err, &closed) || closed.Code != 1008 || closed.Reason != "refused" {
		t.Errorf("close error %+v", closed)
	}
	if want := "client: server refused CONNECT: bad passcode: try again"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	_, err = Dial(t.Context(), s.TCP, Options{})
	if !errors.As(err, &refused) || refused.Close != nil || refused.Message != "bad passcode: try again" {
		t.Errorf("over TCP: %v", err)
	}
}

func TestCloseCodeInsteadOfConnected(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, _ stomptest.Frame) bool { c.Close(1013, "later"); return true })
	_, err := Dial(t.Context(), s.URL, Options{})
	var closed *CloseError
	if !errors.As(err, &closed) || closed.Code != 1013 || closed.Reason != "later" {
		t.Errorf("error %v, want close code 1013", err)
	}
	_, err = Dial(t.Context(), s.TCP, Options{})
	if err == nil || !strings.Contains(err.Error(), "server closed the connection") {
		t.Errorf("over TCP: %v", err)
	}
}

func TestHandshakeRefused(t *testing.T) {
	s := stomptest.New(t, nil)
	_, err := Dial(t.Context(), s.URL+"?status=401&ticket=secret", Options{})
	var refused *HTTPError
	if !errors.As(err, &refused) || refused.Status != 401 || refused.Header.Get("Retry-After") != "7" {
		t.Fatalf("error %v, want an HTTPError with 401", err)
	}
	if want := "client: server answered the WebSocket handshake with HTTP 401 Unauthorized: not you"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

// The reason why a session ended after CONNECTED is kept, with and without an
// ERROR.
func TestErrKeepsCloseCode(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		switch f.Header("destination") {
		case "/topic/denied":
			c.Send("ERROR", "", "message:denied", "receipt-id:"+f.Header("receipt"))
			c.Close(4403, "denied")
		case "/topic/drain":
			c.Close(1012, "draining")
		case "/topic/lost":
			c.Abort()
		default:
			return false
		}
		return true
	})
	for destination, code := range map[string]int{"/topic/denied": 4403, "/topic/drain": 1012, "/topic/lost": 0} {
		t.Run(destination, func(t *testing.T) {
			c := dial(t, s.URL, Options{})
			if err := c.Err(); err != nil {
				t.Errorf("Err of a live connection: %v", err)
			}
			err := c.Send(destination, "", nil, stomp.SendOpt.Receipt)
			if err == nil {
				t.Fatal("Send succeeded")
			}
			if code == 4403 && err.Error() != "denied" {
				t.Errorf("Send: %v, want the ERROR's message", err)
			}
			err = ended(t, c)
			var sent *ErrorFrame
			if errors.As(err, &sent) != (code == 4403) || sent != nil && (sent.Message != "denied" || sent.Header.Get("receipt-id") == "") {
				t.Errorf("Err = %v, want the ERROR", err)
			}
			var closed *CloseError
			if errors.As(err, &closed) != (code != 0) || closed != nil && closed.Code != code {
				t.Errorf("Err = %v, want code %d", err, code)
			}
			if err == nil {
				t.Error("Err is nil after the server ended the connection")
			}
			if err := c.Disconnect(); err == nil {
				t.Error("Disconnect says nothing about it")
			}
		})
	}
}

// An ERROR that no call received must not look like success afterwards.
func TestDisconnectAfterUnseenError(t *testing.T) {
	s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
		if f.Command == "SEND" {
			c.Send("ERROR", "", "message:no")
			c.Close(4429, "limit")
		}
		return f.Command == "SEND" || f.Command == "DISCONNECT"
	})
	for _, url := range []string{s.URL, s.TCP} {
		for range 20 { // DISCONNECT and the ERROR race
			c := dial(t, url, Options{})
			if err := c.Send("/topic/a", "", nil); err != nil {
				t.Fatal(err)
			}
			err := c.Disconnect()
			var sent *ErrorFrame
			if !errors.As(err, &sent) || sent.Message != "no" || (sent.Close == nil) != (url == s.TCP) {
				t.Errorf("%s: Disconnect = %#v, want the ERROR", url, err)
			}
		}
	}
}

// Abort must not wait for a call that waits for the server.
func TestAbort(t *testing.T) {
	s := stomptest.New(t, func(_ *stomptest.Conn, f stomptest.Frame) bool { return f.Command == "SEND" })
	for _, url := range []string{s.URL, s.TCP} {
		c := dial(t, url, Options{})
		sent := len(s.Frames("SEND"))
		failed := make(chan error, 1)
		go func() { failed <- c.Send("/topic/a", "", nil, stomp.SendOpt.Receipt) }()
		stomptest.Eventually(t, "SEND arrives", func() bool { return len(s.Frames("SEND")) > sent })
		c.Abort()
		select {
		case err := <-failed:
			if err == nil {
				t.Error("Send succeeded without a receipt")
			}
		case <-time.After(time.Minute):
			t.Fatal("Send did not return after Abort")
		}
		if err := ended(t, c); err != nil {
			t.Errorf("Err after Abort = %v, want nil", err)
		}
	}
}

func TestNotStomp(t *testing.T) {
	for name, answer := range map[string]string{
		"another protocol":   "HTTP/1.1 400 Bad Request\r\n\r\n",
		"no colon":           "CONNECTED\nversion\n\n\x00",
		"version":            "CONNECTED\nversion:2.0\n\n\x00",
		"heart-beat":         "CONNECTED\nversion:1.2\nheart-beat:x\n\n\x00",
		"headers too long":   "CONNECTED\na:" + strings.Repeat("x", maxAnswer) + "\n\n\x00",
		"body too long":      "ERROR\n\n" + strings.Repeat("x", maxAnswer) + "\x00",
		"content-length":     "ERROR\ncontent-length:-1\n\n\x00",
		"content-length big": "ERROR\ncontent-length:2000000000\n\n\x00",
		"no NUL":             "ERROR\ncontent-length:1\n\nab\x00",
	} {
		t.Run(name, func(t *testing.T) {
			s := stomptest.New(t, func(c *stomptest.Conn, _ stomptest.Frame) bool { c.Raw(answer); return true })
			if _, err := Dial(t.Context(), s.URL, Options{}); !errors.Is(err, ErrNotStomp) {
				t.Errorf("error %v, want ErrNotStomp", err)
			}
		})
	}
}

func TestConnectedVariants(t *testing.T) {
	for name, answer := range map[string]string{
		"CRLF and heart-beats first": "\n\r\nCONNECTED\r\nversion:1.2\r\nsession:s\r\n\r\n\x00",
		"content-length":             "CONNECTED\nversion:1.2\nsession:s\ncontent-length:2\n\nab\x00\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := stomptest.New(t, func(c *stomptest.Conn, f stomptest.Frame) bool {
				if f.Command != "CONNECT" {
					return false
				}
				c.Raw(answer)
				return true
			})
			if c := dial(t, s.URL, Options{}); c.Session() != "s" || c.Version() != stomp.V12 {
				t.Errorf("session %q, version %s", c.Session(), c.Version())
			}
		})
	}
}

func TestContextBoundsConnect(t *testing.T) {
	s := stomptest.New(t, func(*stomptest.Conn, stomptest.Frame) bool { return true })
	for _, url := range []string{s.URL, s.TCP} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		sent := len(s.Frames("CONNECT"))
		go func() {
			stomptest.Eventually(t, "CONNECT arrives", func() bool { return len(s.Frames("CONNECT")) > sent })
			cancel(cause)
		}()
		if _, err := Dial(ctx, url, Options{}); !errors.Is(err, cause) {
			t.Errorf("%s: error %v, want the context's cause", url, err)
		}
	}
}

func TestOptionErrors(t *testing.T) {
	ok := "ws://127.0.0.1:1/ws"
	for name, c := range map[string]struct {
		url string
		o   Options
	}{
		"scheme":         {"http://127.0.0.1/ws", Options{}},
		"no host":        {"ws:///ws", Options{}},
		"user":           {"ws://ann:secret@127.0.0.1/ws", Options{}},
		"unparsable":     {"ws://127.0.0.1:secret/", Options{}},
		"path":           {"tcp://127.0.0.1/ws", Options{}},
		"version":        {ok, Options{Versions: []stomp.Version{"1.3"}}},
		"passcode":       {ok, Options{Passcode: "secret\nadmin:true"}},
		"connect header": {ok, Options{ConnectHeaders: map[string]string{"a:b": ""}}},
		"connect value":  {ok, Options{ConnectHeaders: map[string]string{"a": "secret\n"}}},
		"own header":     {ok, Options{ConnectHeaders: map[string]string{"login": "secret"}}},
	} {
		_, err := Dial(t.Context(), c.url, c.o)
		if !errors.Is(err, ErrOptions) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want ErrOptions without the secret", name, err)
		}
	}
}

// A URL may contain a ticket, which net/http would include in its error.
func TestNetworkErrorHidesURL(t *testing.T) {
	_, err := Dial(t.Context(), "ws://127.0.0.1:1/ws?ticket=secret", Options{}) // nobody listens there
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one without the ticket", err)
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Errorf("error %v does not wrap the network's", err)
	}
}

func TestTLS(t *testing.T) {
	s := stomptest.New(t, nil)
	front := httptest.NewUnstartedServer(nil)
	front.StartTLS()
	t.Cleanup(front.Close)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: front.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, target := range []string{s.TCP, s.URL} { // one connection each, in the order below
			in, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := strings.Cut(strings.SplitN(target, "://", 2)[1], "/")
			out, err := net.Dial("tcp", host)
			if err != nil {
				_ = in.Close()
				return
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	trust := front.Client().Transport.(*http.Transport).TLSClientConfig
	for _, scheme := range []string{"tcps://", "wss://"} {
		c := dial(t, scheme+l.Addr().String(), Options{TLS: trust})
		if err := c.Send("/topic/a", "", nil, stomp.SendOpt.Receipt); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		if err := c.Disconnect(); err != nil {
			t.Errorf("%s: Disconnect: %v", scheme, err)
		}
	}
	testkit.Receive(t, done)
	_ = l.Close()
}

func TestReadLimit(t *testing.T) {
	s := stomptest.New(t, nil)
	c := dial(t, s.URL, Options{ReadLimit: 1000})
	sub, err := c.Subscribe("/topic/a", stomp.AckAuto)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Send("/topic/a", "", make([]byte, 0, 1), stomp.SendOpt.Receipt)
	receive(t, sub)
	stomptest.Eventually(t, "subscription", func() bool { return s.Publish("/topic/a", strings.Repeat("x", 2000)) == 1 })
	if m := receive(t, sub); m.Err == nil {
		t.Errorf("a message over the limit was delivered: %d bytes", len(m.Body))
	}
	if err := ended(t, c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Err = %v, want the limit", err)
	}
}
