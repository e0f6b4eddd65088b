package broker_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// orders is JSON of about so many bytes, with as much in common as such has.
func orders(n int) string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for b.WriteString(`{"orders":[`); b.Len() < n; {
		fmt.Fprintf(&b, `{"id":%d,"symbol":"%c%c%c","price":%d.%02d,"status":"%s"},`, r.IntN(1e6),
			'A'+r.IntN(26), 'A'+r.IntN(26), 'A'+r.IntN(26), r.IntN(500), r.IntN(100), []string{"open", "filled", "cancelled"}[r.IntN(3)])
	}
	return b.String()[:n-2] + "]}"
}

// deflated opens a WebSocket that negotiated permessage-deflate.
func deflated(t testing.TB, srv *brokertest.Server) *peer {
	t.Helper()
	res, p := handshake(t, srv, "/ws", "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
	if got := res.Header.Get("Sec-WebSocket-Extensions"); got != "permessage-deflate; server_no_context_takeover; client_no_context_takeover" {
		t.Fatalf("the offer was answered with %q", got)
	}
	return p
}

// compress makes the payload of a compressed message.
func compress(p []byte) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	_, _ = w.Write(p)
	_ = w.Flush()
	return b.Bytes()[:b.Len()-4]
}

// compressedFrame makes a final, masked frame of a compressed message.
func compressedFrame(op byte, p []byte) []byte { return webSocketFrame(0x40|op, compress(p)) }

// message reads one message down to its RSV1.
func message(t testing.TB, p *peer) (f *frames.Frame, compressed bool) {
	t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	h, err := ws.ReadHeader(p.r)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		t.Fatal(err)
	}
	if compressed = h.Rsv == ws.Rsv(true, false, false); compressed {
		tail := "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
		if payload, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(tail)))); err != nil {
			t.Fatal(err)
		}
	}
	if string(payload) == "\n" {
		return &frames.Frame{}, compressed
	}
	p.dec.Feed(payload)
	f, ok, err := p.dec.Next()
	if !ok || err != nil {
		t.Fatalf("%q is not one frame: %v", payload, err)
	}
	return f.Clone(), compressed
}

func TestCompressionIsOffByDefault(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{})
	res, _ := handshake(t, srv, "/ws", "Sec-WebSocket-Extensions", "permessage-deflate")
	if got := res.Header.Get("Sec-WebSocket-Extensions"); res.StatusCode != http.StatusSwitchingProtocols || got != "" {
		t.Errorf("%s, extensions %q", res.Status, got)
	}
}

// A MESSAGE is compressed where that pays, and nothing else ever is.
func TestOnlyMessagesAreCompressed(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true, HeartBeat: heartBeat(50*time.Millisecond, -1)})
	p := deflated(t, srv)
	next := func(command string, want bool) *frames.Frame {
		t.Helper()
		for {
			f, compressed := message(t, p)
			if f.Command == "" && command != "" && !compressed {
				continue // a heart-beat
			}
			if f.Command != command || compressed != want {
				t.Fatalf("got %q, compressed %v, want %q, %v", f.Command, compressed, command, want)
			}
			return f
		}
	}
	p.send(t, "CONNECT", "", "accept-version", "1.2", "heart-beat", "0,50")
	next("CONNECTED", false)
	p.version = frames.V12
	p.dec.SetVersion(p.version)
	next("", false) // a heart-beat
	noise := make([]byte, 2000)
	for i := range noise {
		noise[i] = byte(rand.IntN(256))
	}
	long := strings.Repeat("r", 2000)
	p.send(t, "SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", long)
	next("RECEIPT", false)
	for _, c := range []struct {
		body       string
		compressed bool
	}{
		{orders(1024), true}, {"short", false}, {string(noise), false}, {"\xff" + orders(60_000), true}, {"", false},
	} {
		publish(t, srv.Broker, "/topic/a", c.body)
		if f := next("MESSAGE", c.compressed); string(f.Body) != c.body {
			t.Errorf("%d bytes came as %d", len(c.body), len(f.Body))
		}
	}
	p.send(t, "SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", long)
	next("ERROR", false)
}

// Clients with and without compression get the same message.
func TestCompressedAndPlainSubscribers(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true})
	list := []*peer{deflated(t, srv), rawWebSocket(t, srv), rawTCP(t, srv), deflated(t, srv)}
	for i, p := range list {
		p.connect(t, "heart-beat", "0,0", "login", "alice")
		p.subscribe(t, fmt.Sprint("sub-", i), "/topic/a")
		p.subscribe(t, "mine", "/user/queue/a")
		p.subscribe(t, "acked", "/topic/b", "ack", "client-individual")
	}
	body := orders(2000)
	publish(t, srv.Broker, "/topic/a", body)
	publish(t, srv.Broker, "/topic/b", body)
	if _, err := srv.Broker.PublishToUser(context.Background(), "alice", &broker.Message{Destination: "/queue/a", Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for i, p := range list {
		for _, want := range [][2]string{{fmt.Sprint("sub-", i), "/topic/a"}, {"acked", "/topic/b"}, {"mine", "/user/queue/a"}} {
			var f *frames.Frame
			if compressed := i == 0 || i == 3; compressed {
				var is bool
				if f, is = message(t, p); !is {
					t.Errorf("%v is not compressed", want)
				}
			} else {
				f = p.want(t, "MESSAGE").f
			}
			wantHeaders(t, f, "subscription", want[0], "destination", want[1], "content-length", fmt.Sprint(len(body)))
			if _, ok := f.Lookup("ack"); ok != (want[0] == "acked") || string(f.Body) != body {
				t.Errorf("peer %d: %v", i, f)
			}
			ids[f.Get("message-id")] = true
		}
	}
	if len(ids) != 3 {
		t.Errorf("3 messages have %d ids", len(ids))
	}
}

func TestCompressedQueue(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true})
	p := deflated(t, srv).connect(t, "heart-beat", "0,0")
	p.subscribe(t, "1", "/queue/jobs", "ack", "client-individual")
	for range 3 {
		publish(t, srv.Broker, "/queue/jobs", orders(1000))
		f, compressed := message(t, p)
		if !compressed || f.Get("ack") == "" || string(f.Body) != orders(1000) {
			t.Fatalf("%v, compressed %v", f, compressed)
		}
		p.send(t, "ACK", "", "id", f.Get("ack"), "receipt", "acked")
		p.receipt(t, "acked")
	}
}

// What a client compresses is what it would have sent otherwise, fragmented and
// with anything in between.
func TestCompressedInput(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true})
	p := deflated(t, srv)
	p.raw(t, compressedFrame(opText, encode(frame("CONNECT", "", "accept-version", "1.2"))))
	p.want(t, "CONNECTED")
	p.version = frames.V12
	p.dec.SetVersion(p.version)
	p.raw(t, compressedFrame(opText, encode(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "1"))))
	p.receipt(t, "1")
	// The largest frame that there may be, and a second one in the same message.
	head := "SEND\ndestination:/topic/a\n\n"
	body := strings.Repeat("x", 65536-len(head)-1)
	octets := append([]byte(head+body+"\x00\n"), encode(frame("SEND", "second", "destination", "/topic/a", "receipt", "2"))...)
	z := compress(octets)
	p.raw(t, append(webSocketHeader(0x40|opText, 20), masked(z[:20])...))
	p.raw(t, webSocketFrame(opPing, []byte("p")))
	p.want(t, "pong")
	p.raw(t, append(webSocketHeader(opContinuation, 0), masked(nil)...))
	p.raw(t, append(webSocketHeader(0x80|opContinuation, len(z)-20), masked(z[20:])...))
	for _, want := range []string{body, "second"} {
		if f, _ := message(t, p); string(f.Body) != want {
			t.Fatalf("got %.100q", f.Body)
		}
	}
	p.receipt(t, "2")
	p.raw(t, compressedFrame(opText, []byte("\n")))
	p.raw(t, webSocketFrame(opText, encode(frame("SEND", "plain", "destination", "/topic/a"))))
	if e := p.want(t, "MESSAGE"); string(e.f.Body) != "plain" {
		t.Fatalf("got %v", e)
	}
}

// Traps 45 and 48: what the limits count is inflated, before CONNECT above all.
func TestCompressionViolationsAreAnswered(t *testing.T) {
	srv := brokertest.Start(t, broker.Options{Compression: true})
	newlines := bytes.Repeat([]byte("\n"), 10<<20)
	small := bytes.Repeat(encode(frame("SEND", "x", "destination", "/topic/a")), 20_000)
	for _, v := range []struct {
		early bool
		violation
	}{
		{true, violation{"bomb of end-of-lines", compressedFrame(opText, newlines), 1009, "message exceeds the limit of 16384 bytes (twice limits.unauthenticated_frame)"}},
		{false, violation{"bomb of end-of-lines", compressedFrame(opText, newlines), 1009, "message exceeds the limit of 131072 bytes (twice limits.frame)"}},
		{false, violation{"bomb of frames", compressedFrame(opText, small), 1009, "message exceeds the limit of 131072 bytes (twice limits.frame)"}},
		{true, violation{"bomb of one frame", compressedFrame(opText, []byte("CONNECT\nx:"+strings.Repeat("x", 1<<20))), 1009, "frame larger than 8192 bytes (limits.unauthenticated_frame)"}},
		{false, violation{"bomb of one frame", compressedFrame(opText, []byte("SEND\ndestination:/topic/a\n\n"+strings.Repeat("x", 1<<20))), 1009, "frame larger than 65536 bytes (limits.frame)"}},
		{true, violation{"compressed too large", webSocketFrame(0x40|opBinary, make([]byte, 20<<10)), 1009, "message exceeds the limit of 16384 bytes (twice limits.unauthenticated_frame)"}},
		{false, violation{"compressed too large", webSocketFrame(0x40|opBinary, make([]byte, 200<<10)), 1009, "message exceeds the limit of 131072 bytes (twice limits.frame)"}},
		{false, violation{"corrupted", webSocketFrame(0x40|opText, []byte("\x07garbage")), 1007, "corrupted compressed data"}},
		{true, violation{"invalid UTF-8", compressedFrame(opText, []byte("\n\xff")), 1007, "invalid UTF-8 in text"}},
		{false, violation{"RSV1 on a ping", webSocketFrame(0x40|opPing, nil), 1002, "control frame or non-first fragment of data contains compression bit set"}},
		{false, violation{"RSV1 on a continuation", append(append(webSocketHeader(opText, 1), masked([]byte("\n"))...), webSocketFrame(0x40|opContinuation, nil)...), 1002, "control frame or non-first fragment of data contains compression bit set"}},
	} {
		t.Run(fmt.Sprintf("before CONNECT=%v/%s", v.early, v.name), func(t *testing.T) {
			p := deflated(t, srv)
			if !v.early {
				p.connect(t, "heart-beat", "0,0")
			}
			p.raw(t, append(v.octets, webSocketFrame(opBinary, make([]byte, 100_000))...))
			p.wantGoodbye(t, v.code, v.text)
		})
	}
	waitEmpty(t, srv.Broker, 0)
}

// foreign is a client of another library.
type foreign struct {
	read  func() ([]byte, error)
	write func([]byte) error
}

// Other people's libraries talk to the broker, both ways.
func TestForeignClientsCompress(t *testing.T) {
	for name, dial := range map[string]func(t *testing.T, url string) foreign{"coder": dialCoder, "gobwas": dialGobwas} {
		t.Run(name, func(t *testing.T) {
			srv := brokertest.Start(t, broker.Options{Compression: true})
			c := dial(t, srv.URL)
			var dec frames.Decoder
			exchange := func(f frames.Frame, command string) *frames.Frame {
				t.Helper()
				if err := c.write(encode(f)); err != nil {
					t.Fatal(err)
				}
				p, err := c.read()
				if err != nil {
					t.Fatal(err)
				}
				dec.Feed(p)
				got, ok, err := dec.Next()
				if err != nil || !ok || got.Command != command {
					t.Fatalf("got %.200q, %v, want %s", p, err, command)
				}
				return got
			}
			exchange(frame("CONNECT", "", "accept-version", "1.2", "heart-beat", "0,0"), "CONNECTED")
			dec.SetVersion(frames.V12)
			exchange(frame("SUBSCRIBE", "", "id", "1", "destination", "/topic/a", "receipt", "1"), "RECEIPT")
			for _, n := range []int{20, 600, 2000, 50_000} {
				body := orders(n)
				if got := exchange(frame("SEND", body, "destination", "/topic/a", "content-type", "application/json"), "MESSAGE"); string(got.Body) != body {
					t.Fatalf("%d bytes came back as %d", n, len(got.Body))
				}
			}
		})
	}
}

func dialCoder(t *testing.T, url string) foreign {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 100})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Errorf("extensions %q", got)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(1 << 20)
	return foreign{
		read: func() ([]byte, error) {
			_, p, err := c.Read(ctx)
			return p, err
		},
		write: func(p []byte) error { return c.Write(ctx, websocket.MessageText, p) },
	}
}

func dialGobwas(t *testing.T, url string) foreign {
	d := ws.Dialer{Timeout: patience, Extensions: []httphead.Option{wsflate.DefaultParameters.Option()}}
	c, r, hs, err := d.Dial(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	if len(hs.Extensions) != 1 {
		t.Errorf("extensions %v", hs.Extensions)
	}
	if r == nil {
		r = bufio.NewReader(c)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return foreign{
		read: func() ([]byte, error) {
			h, err := ws.ReadHeader(r)
			if err != nil {
				return nil, err
			}
			f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
			if _, err := io.ReadFull(r, f.Payload); err != nil || !h.OpCode.IsData() {
				return nil, fmt.Errorf("%+v: %w", h, err)
			}
			if is, err := wsflate.IsCompressed(h); err != nil || !is {
				return f.Payload, err
			}
			f, err = wsflate.DecompressFrame(f)
			return f.Payload, err
		},
		write: func(p []byte) error {
			f, err := wsflate.CompressFrame(ws.NewTextFrame(p))
			if err != nil {
				return err
			}
			return ws.WriteFrame(c, ws.MaskFrame(f))
		},
	}
}
