package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"

	"github.com/hoofbeat/hoofbeat/broker/client"
)

// notebook is a receiver that writes down what it gets.
type notebook struct {
	begun int
	seen  []string
}

func (n *notebook) begin(int64) { n.begun++ }

func (n *notebook) frame(f *frame) {
	n.seen = append(n.seen, fmt.Sprintf("%s id=%s %s", f.command, f.header("message-id"), f.body))
}

func (n *notebook) end() error { return nil }

func newConn(webSocket bool) *conn {
	nowhere, _ := net.Pipe()
	return &conn{Conn: nowhere, webSocket: webSocket, buffers: &buffers{size: 1 << 10}}
}

// feed gives c what came as the network might, in pieces.
func feed(c *conn, to receiver, pieces ...[]byte) error {
	for _, p := range pieces {
		b := make([]byte, c.buffers.size+len(p))
		n := c.pending(b)
		n += copy(b[n:], p)
		if err := c.take(b[:n], 0, to); err != nil {
			return err
		}
	}
	return nil
}

// text is a message of a server: not masked.
func text(parts ...string) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, ws.MustCompileFrame(ws.NewTextFrame([]byte(p)))...)
	}
	return all
}

const (
	one   = "MESSAGE\ndestination:/a\nmessage-id:1\ncontent-length:3\n\nabc\x00"
	two   = "MESSAGE\ndestination:/a\nmessage-id:2\ncontent-length:3\n\nd\x00f\x00"
	three = "MESSAGE\r\nmessage-id:3\r\ncontent-length:4\r\nx:y\r\n\r\nghij\x00"
	four  = "RECEIPT\nreceipt-id:4\n\n\x00"
	five  = "MESSAGE\nmessage-id:5\n\nno length\x00"
)

var expected = []string{"MESSAGE id=1 abc", "MESSAGE id=2 d\x00f", "MESSAGE id=3 ghij", "RECEIPT id= ", "MESSAGE id=5 no length", "MESSAGE id=1 abc"}

// However servers and networks divide the stream, the frames are the same.
func TestFramesInPieces(t *testing.T) {
	stream := "\n" + one + two + "\r\n\n" + three + four + five + "\n" + one
	ping := ws.MustCompileFrame(ws.NewPongFrame([]byte("unasked"))) // wants no answer
	rapid.Check(t, func(t *rapid.T) {
		cut := func(s string) (pieces []string) {
			for len(s) > 0 {
				n := rapid.IntRange(1, len(s)).Draw(t, "piece")
				pieces = append(pieces, s[:n])
				s = s[n:]
			}
			return pieces
		}
		webSocket := rapid.Bool().Draw(t, "WebSocket")
		wire := stream
		if webSocket {
			wire = ""
			for _, p := range cut(stream) {
				wire += string(text(p)) + string(ping)
			}
		}
		c, n := newConn(webSocket), new(notebook)
		for _, p := range cut(wire) {
			if err := feed(c, n, []byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(n.seen, expected) {
			t.Fatalf("got %q", n.seen)
		}
	})
}

// The short cut for messages that look alike sees what the long way sees.
func TestSeam(t *testing.T) {
	c, n := newConn(true), new(notebook)
	same := strings.Replace(one, "1", "9", 1)
	for _, p := range []string{one, same, one + same, same + one, "\n" + one, two, same, five, one, one} {
		if err := feed(c, n, text(p)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"1 abc", "9 abc", "1 abc", "9 abc", "9 abc", "1 abc", "1 abc", "2 d\x00f", "9 abc", "5 no length", "1 abc", "1 abc"}
	for i := range want {
		want[i] = "MESSAGE id=" + want[i]
	}
	if !slices.Equal(n.seen, want) {
		t.Errorf("got %q", n.seen)
	}
	if len(c.seam.text) == 0 || !c.seam.divide([]byte(same), &c.current) {
		t.Error("the short cut is not taken")
	}
	if err := feed(c, n, text("ERROR\n\n\x00"+one)); err != nil || c.refusal == nil {
		t.Errorf("the ERROR before a MESSAGE was overlooked: %v", err)
	}
}

func TestBadInput(t *testing.T) {
	long := "MESSAGE\ncontent-length:5000\n\n" + strings.Repeat("x", 5000) + "\x00"
	for _, c := range []struct {
		name      string
		webSocket bool
		input     []byte
		want      error
		says      string
	}{
		{"no NUL after the body", false, []byte("MESSAGE\ncontent-length:3\n\nabcd\x00"), errFrame, ""},
		{"no number", false, []byte("MESSAGE\ncontent-length:x\n\nabcd\x00"), errFrame, ""},
		{"huge number", false, []byte("MESSAGE\ncontent-length:99999999999999999999\n\nabcd\x00"), errFrame, ""},
		{"masked", true, []byte{0x81, 0x81, 0, 0, 0, 0, 'x'}, errWire, ""},
		{"extension", true, []byte{0xc1, 0x01, 'x'}, errWire, ""},
		{"longer than the buffer", false, []byte(long[:3000]), nil, "over 1024 bytes"},
		{"longer than the buffer, in messages", true, text(long[:900], long[900:1800], long[1800:2700]), nil, "over 1024 bytes"},
	} {
		err := feed(newConn(c.webSocket), new(notebook), c.input)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestCloseFrames(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		before  string
		want    string
	}{
		{nil, "", "code 1005"},
		{ws.NewCloseFrameBody(1012, "draining"), "", "code 1012: draining"},
		{ws.NewCloseFrameBody(4403, "denied"), "ERROR\nmessage:not\\callowed\n\n\x00", "server sent ERROR: not:allowed"},
	} {
		input := append(text(c.before), ws.MustCompileFrame(ws.NewCloseFrame(c.payload))...)
		err := feed(newConn(true), new(notebook), input)
		var closed *client.CloseError
		if err == nil || !errors.As(err, &closed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q and a close code", c.payload, err, c.want)
		}
	}
}

// What is sent is what a server's library reads.
func TestAppendMessage(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := strings.Repeat("hello", size/5+1)[:size]
		r := bytes.NewReader(appendMessage(nil, ws.OpText, []byte(payload)))
		h, err := ws.ReadHeader(r)
		if err != nil || !h.Masked || !h.Fin || h.OpCode != ws.OpText || h.Length != int64(size) {
			t.Fatalf("%d bytes: %+v, %v", size, h, err)
		}
		got, err := io.ReadAll(r)
		if ws.Cipher(got, h.Mask, 0); err != nil || string(got) != payload {
			t.Errorf("%d bytes became %d others: %v", size, len(got), err)
		}
	}
}

// Whatever the length of the destination, the body is part of the frame.
func TestTemplate(t *testing.T) {
	for n := range 64 {
		tpl := newTemplate("/topic/"+strings.Repeat("x", n)+":", 100, nil)
		stamp{run: 5, sequence: 6}.put(tpl.body)
		var f frame
		used, ok, err := f.next(tpl.frame)
		if used != len(tpl.frame) || !ok || err != nil {
			t.Fatalf("%d of %d bytes, %v, %v", used, len(tpl.frame), ok, err)
		}
		if s, err := readStamp(f.body, fillingOf(100)); err != nil || s.run != 5 || s.sequence != 6 {
			t.Fatalf("destination of %d: %+v, %v", n, s, err)
		}
		if got := f.text("destination"); !strings.HasSuffix(got, ":") {
			t.Errorf("destination %q", got)
		}
	}
}

// A message costs no allocation.
func TestReadingAllocatesNothing(t *testing.T) {
	r := &run{id: 7, clock: clock{}}
	tr := &traffic{run: r, filling: fillingOf(128)}
	s := &subscriber{t: tr, place: new(place), tallies: make([]tally, 1), lane: newLane(10, 1)}
	c := newConn(true)
	tpl := finish([]byte("MESSAGE\nsubscription:0\nmessage-id:x\ncontent-length:128\n"), 128)
	n := uint64(0)
	var wire []byte
	var payload []byte
	allocs := testing.AllocsPerRun(500, func() {
		wire = wire[:0]
		for range 3 {
			stamp{run: 7, sequence: n}.put(tpl.body)
			n++
			payload = append(payload[:0], tpl.frame...)
			wire = append(wire, 0x81, 126, byte(len(payload)>>8), byte(len(payload)))
			wire = append(wire, payload...)
		}
		if err := c.take(wire, 1, s); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 || s.counts.Received != n || s.counts.Corrupted != 0 {
		t.Errorf("%v allocations, %+v of %d", allocs, s.counts, n)
	}
}
