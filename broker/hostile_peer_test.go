package broker_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/brokertest"
	"github.com/hoofbeat/hoofbeat/frames"
)

// patience is how long a test waits for something that must come: far more than
// it takes on a busy machine, and virtual inside a synctest bubble.
const patience = time.Minute

// Opcodes of RFC 6455.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// A peer is a client down to its bytes, over WebSocket or plain TCP, on a real
// socket or a pipe. It reads when the test reads, answers nothing by itself,
// and may break any rule.
type peer struct {
	net.Conn
	r       *bufio.Reader
	ws      bool
	dec     frames.Decoder
	version frames.Version
	session string
}

// event is what a peer saw: a STOMP command, or "eol", "ping", "pong", "close"
// (of the WebSocket), or "end" (of the connection).
type event struct {
	what string
	f    *frames.Frame
	code int    // of a close
	text string // of a close, ping, pong
	err  error  // of an end: io.EOF after a FIN
	at   time.Time
}

func (e event) String() string {
	if e.f != nil {
		return fmt.Sprintf("%s %v %q", e.what, e.f.Headers, e.f.Body)
	}
	return fmt.Sprintf("%s %d %q %v", e.what, e.code, e.text, e.err)
}

func newPeer(nc net.Conn, r *bufio.Reader, ws bool) *peer {
	p := &peer{Conn: nc, r: r, ws: ws}
	p.dec.SetLimits(frames.Limits{Frame: -1, Headers: -1, HeaderBytes: -1})
	return p
}

// handshake sends a WebSocket handshake and returns the answer.
func handshake(t testing.TB, srv *brokertest.Server, target string, headers ...string) (*http.Response, *peer) {
	t.Helper()
	nc, err := net.Dial("tcp", srv.HTTP.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: broker.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", target)
	b.WriteString("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
	}
	b.WriteString("\r\n")
	if _, err := nc.Write([]byte(b.String())); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(nc, 1<<16)
	_ = nc.SetReadDeadline(time.Now().Add(patience)) // a failure shows at the read
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("reading the answer to the handshake: %v", err)
	}
	return res, newPeer(nc, r, true)
}

// rawWebSocket opens a real WebSocket.
func rawWebSocket(t testing.TB, srv *brokertest.Server, headers ...string) *peer {
	t.Helper()
	res, p := handshake(t, srv, "/ws", headers...)
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered with %s", res.Status)
	}
	return p
}

// rawTCP opens a real TCP connection.
func rawTCP(t testing.TB, srv *brokertest.Server) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", srv.TCP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return newPeer(nc, bufio.NewReaderSize(nc, 1<<16), false)
}

// dial opens either.
func rawDial(t testing.TB, srv *brokertest.Server, ws bool) *peer {
	t.Helper()
	if ws {
		return rawWebSocket(t, srv)
	}
	return rawTCP(t, srv)
}

// pipe connects over a pipe, for tests in a synctest bubble.
func pipe(t testing.TB, b *broker.Broker, ws bool) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close() })
	if !ws {
		b.AcceptTCP(theirs)
	} else if err := b.AcceptWebSocket(theirs); err != nil {
		t.Fatal(err)
	}
	return newPeer(ours, bufio.NewReader(ours), ws)
}

// connect sends CONNECT for STOMP 1.2 and reads CONNECTED.
func (p *peer) connect(t testing.TB, headers ...string) *peer {
	t.Helper()
	p.send(t, "CONNECT", "", append([]string{"accept-version", "1.2"}, headers...)...)
	e := p.next(t)
	if e.what != "CONNECTED" {
		t.Fatalf("CONNECT was answered with %v", e)
	}
	p.session = e.f.Get("session")
	p.version = frames.V12
	p.dec.SetVersion(p.version)
	return p
}

// subscribe sends SUBSCRIBE and reads its receipt.
func (p *peer) subscribe(t testing.TB, id, destination string, headers ...string) {
	t.Helper()
	p.send(t, "SUBSCRIBE", "", append([]string{"id", id, "destination", destination, "receipt", id}, headers...)...)
	p.receipt(t, id)
}

func (p *peer) receipt(t testing.TB, id string) {
	t.Helper()
	if e := p.next(t); e.what != "RECEIPT" || e.f.Get("receipt-id") != id {
		t.Fatalf("got %v, want the receipt %q", e, id)
	}
}

// send writes a STOMP frame.
func (p *peer) send(t testing.TB, command, body string, headers ...string) {
	t.Helper()
	f := frame(command, body, headers...)
	p.octets(t, frames.Append(nil, p.version, &f))
}

// octets writes octets of STOMP, over a WebSocket as one text message.
func (p *peer) octets(t testing.TB, b []byte) {
	t.Helper()
	if p.ws {
		b = webSocketFrame(opText, b)
	}
	p.raw(t, b)
}

// raw writes bytes as they are.
func (p *peer) raw(t testing.TB, b []byte) {
	t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(patience)) // a failure shows at the write
	if _, err := p.Write(b); err != nil {
		t.Fatalf("writing: %v", err)
	}
}

// webSocketFrame makes a final, masked frame.
func webSocketFrame(op byte, payload []byte) []byte {
	return append(webSocketHeader(0x80|op, len(payload)), masked(payload)...)
}

var maskingKey = [4]byte{0x12, 0x34, 0x56, 0x78}

func webSocketHeader(first byte, n int) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(b, maskingKey[:]...)
}

func masked(p []byte) []byte {
	out := make([]byte, len(p))
	for i := range p {
		out[i] = p[i] ^ maskingKey[i%4]
	}
	return out
}

// next returns what comes next.
func (p *peer) next(t testing.TB) event {
	t.Helper()
	e, ok := p.within(patience)
	if !ok {
		t.Fatalf("nothing came for %v", patience)
	}
	return e
}

// within returns what comes within d, and false if nothing does.
func (p *peer) within(d time.Duration) (event, bool) {
	_ = p.SetReadDeadline(time.Now().Add(d)) // of a closed connection: Peek says so
	_, err := p.r.Peek(1)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return event{}, false
	}
	at := time.Now()
	if err == nil {
		_ = p.SetReadDeadline(at.Add(patience))
		var e event
		if e, err = p.read(); err == nil {
			e.at = at
			return e, true
		}
	}
	return event{what: "end", err: err, at: at}, true
}

func (p *peer) read() (event, error) {
	if p.ws {
		return p.readMessage()
	}
	first, err := p.r.Peek(1)
	if err != nil {
		return event{}, err
	}
	if first[0] == '\n' {
		_, err := p.r.Discard(1)
		return event{what: "eol"}, err
	}
	for {
		b, err := p.r.ReadByte()
		if err != nil {
			return event{}, err
		}
		p.dec.Feed([]byte{b})
		if f, ok, err := p.dec.Next(); ok || err != nil {
			e, err := stompEvent(f, err)
			if err != nil {
				return e, err
			}
			return e, p.lineFeed()
		}
	}
}

// lineFeed takes the line feed that follows each frame on a stream.
func (p *peer) lineFeed() error {
	b, err := p.r.ReadByte()
	if err == nil && b != '\n' {
		err = fmt.Errorf("%q behind the NUL of a frame, want a line feed", b)
	}
	return err
}

func stompEvent(f *frames.Frame, err error) (event, error) {
	if err != nil {
		return event{}, err
	}
	f = f.Clone()
	return event{what: f.Command, f: f}, nil
}

func (p *peer) readMessage() (event, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return event{}, err
	}
	n := uint64(head[1])
	for size, marker := range map[int]uint64{2: 126, 8: 127} {
		if uint64(head[1]) == marker {
			long := make([]byte, 8)
			if _, err := io.ReadFull(p.r, long[8-size:]); err != nil {
				return event{}, err
			}
			n = binary.BigEndian.Uint64(long)
		}
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return event{}, err
	}
	switch op := head[0]; op {
	case 0x80 | opPing:
		return event{what: "ping", text: string(payload)}, nil
	case 0x80 | opPong:
		return event{what: "pong", text: string(payload)}, nil
	case 0x80 | opClose:
		if n < 2 {
			return event{what: "close", code: 1005}, nil
		}
		return event{what: "close", code: int(binary.BigEndian.Uint16(payload)), text: string(payload[2:])}, nil
	case 0x80 | opText, 0x80 | opBinary:
		if string(payload) == "\n" {
			return event{what: "eol"}, nil
		}
		p.dec.Feed(payload)
		f, ok, err := p.dec.Next()
		if err == nil && !ok {
			err = fmt.Errorf("a message that is not one frame: %q", payload)
		}
		return stompEvent(f, err)
	default:
		return event{}, fmt.Errorf("a WebSocket frame that begins with %#x", op)
	}
}

// want fails unless the next event is this one.
func (p *peer) want(t testing.TB, what string) event {
	t.Helper()
	e := p.next(t)
	if e.what != what {
		t.Fatalf("got %v, want %s", e, what)
	}
	return e
}

// wantGoodbye expects an ERROR with exactly this text, the close frame, and a
// clean end of the stream: a reset would have eaten the ERROR elsewhere.
func (p *peer) wantGoodbye(t testing.TB, code int, text string) {
	t.Helper()
	e := p.want(t, "ERROR")
	if got := e.f.Get("message"); got != text {
		t.Errorf("ERROR says %q, want %q", got, text)
	}
	p.wantClosed(t, code)
}

// wantClosed expects the close frame, if it is a WebSocket, and a clean end.
func (p *peer) wantClosed(t testing.TB, code int) {
	t.Helper()
	if p.ws {
		if e := p.want(t, "close"); e.code != code {
			t.Errorf("closed with %d %q, want %d", e.code, e.text, code)
		}
	}
	if e := p.want(t, "end"); e.err != io.EOF {
		t.Errorf("the stream ended with %v, want a FIN", e.err)
	}
}

// listen returns what comes within d, answering pings as a browser does.
func (p *peer) listen(t testing.TB, d time.Duration) (seen []event) {
	t.Helper()
	for until := time.Now().Add(d); ; {
		e, ok := p.within(time.Until(until))
		if !ok {
			return seen
		}
		seen = append(seen, e)
		switch e.what {
		case "ping":
			p.raw(t, webSocketFrame(opPong, []byte(e.text)))
		case "end":
			return seen
		}
	}
}
