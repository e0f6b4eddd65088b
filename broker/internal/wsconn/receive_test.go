package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

const eof = "EOF"

var wires = []struct {
	name    string
	wire    string
	payload string
	control string // joined with commas
	end     string
	limit   int64
}{
	{name: "nothing", end: eof},
	{name: "text", wire: text("hello"), payload: "hello", end: eof},
	{name: "trap 43: text and binary mixed", wire: text("a") + bin("\xff\x00") + text("b"), payload: "a\xff\x00b", end: eof},
	{name: "empty messages", wire: text("") + bin("") + text("x"), payload: "x", end: eof},
	{name: "16-bit length", wire: text(strings.Repeat("0123456789", 300)), payload: strings.Repeat("0123456789", 300), end: eof},
	{name: "64-bit length", wire: bin(strings.Repeat("abcdefg", 10000)), payload: strings.Repeat("abcdefg", 10000), end: eof},
	{name: "length in more bytes than it needs", wire: "\x82\xfe\x00\x02\x00\x00\x00\x00hi", payload: "hi", end: eof},
	{name: "trap 42: fragments", wire: frame(ws.OpText, false, "ab") + frame(ws.OpContinuation, false, "") + frame(ws.OpContinuation, true, "cd"), payload: "abcd", end: eof},
	{
		name:    "control frames between fragments",
		wire:    frame(ws.OpText, false, "ab") + frame(ws.OpPing, true, "p") + frame(ws.OpContinuation, true, "cd") + frame(ws.OpPong, true, "q"),
		payload: "abcd", control: `2 ping "p",4 pong`, end: eof,
	},
	{name: "ping of 125 bytes", wire: frame(ws.OpPing, true, strings.Repeat("x", 125)), control: `0 ping "` + strings.Repeat("x", 125) + `"`, end: eof},
	{name: "ping without payload", wire: frame(ws.OpPing, true, "") + text("x"), payload: "x", control: `0 ping ""`, end: eof},
	{name: "EOF in a header", wire: text("x") + "\x81", payload: "x", end: eof},
	{name: "EOF in a payload", wire: text("hello")[:8], payload: "he", end: eof},

	{name: "unmasked", wire: text("a") + "\x81\x01x", payload: "a", end: "protocol 1002 frames from client to server must be masked"},
	{name: "reserved bit 1", wire: "\xc1\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "reserved bit 2", wire: "\xa1\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "reserved bit 3", wire: "\x91\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "reserved bit on a ping", wire: "\xc9\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "unknown data opcode", wire: frame(3, true, ""), end: "protocol 1002 use of reserved op code"},
	{name: "unknown data opcode 7", wire: frame(7, true, "x"), end: "protocol 1002 use of reserved op code"},
	{name: "unknown control opcode", wire: frame(0xb, true, ""), end: "protocol 1002 use of reserved op code"},
	{name: "unknown control opcode 15", wire: frame(0xf, true, ""), end: "protocol 1002 use of reserved op code"},
	{name: "continuation of nothing", wire: frame(ws.OpContinuation, true, "x"), end: "protocol 1002 unexpected continuation data frame"},
	{name: "continuation of a finished message", wire: text("a") + frame(ws.OpContinuation, false, "x"), payload: "a", end: "protocol 1002 unexpected continuation data frame"},
	{name: "new message within a message", wire: frame(ws.OpText, false, "a") + text("b"), payload: "a", end: "protocol 1002 unexpected non-continuation data frame"},
	{name: "fragmented ping", wire: frame(ws.OpPing, false, "x"), end: "protocol 1002 control frame is not final"},
	{name: "fragmented close", wire: frame(ws.OpClose, false, ""), end: "protocol 1002 control frame is not final"},
	{name: "ping of 126 bytes", wire: frame(ws.OpPing, true, strings.Repeat("x", 126)), end: "protocol 1002 control frame payload limit exceeded"},
	{name: "close of 126 bytes", wire: frame(ws.OpClose, true, strings.Repeat("x", 126)), end: "protocol 1002 control frame payload limit exceeded"},
	{name: "length with the highest bit", wire: "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00....", end: "protocol 1002 malformed frame header"},
	{name: "longest length", wire: "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc", payload: "abc", end: eof},

	{name: "close", wire: frame(ws.OpClose, true, "\x03\xe8done") + text("ignored"), end: `close 1000 "done"`},
	{name: "close without code", wire: text("a") + frame(ws.OpClose, true, ""), payload: "a", end: `close 1005 ""`},
	{name: "close within a message", wire: frame(ws.OpText, false, "a") + frame(ws.OpClose, true, "\x03\xe9"), payload: "a", end: `close 1001 ""`},
	{name: "close 1012", wire: frame(ws.OpClose, true, "\x03\xf4"), end: `close 1012 ""`},
	{name: "close 1014", wire: frame(ws.OpClose, true, "\x03\xf6"), end: `close 1014 ""`},
	{name: "close 3000", wire: frame(ws.OpClose, true, "\x0b\xb8"), end: `close 3000 ""`},
	{name: "close 4999", wire: frame(ws.OpClose, true, "\x13\x87x"), end: `close 4999 "x"`},
	{name: "close with half a code", wire: frame(ws.OpClose, true, "\x03"), end: "protocol 1002 close frame with a payload of one byte"},
	{name: "close 0", wire: frame(ws.OpClose, true, "\x00\x00"), end: "protocol 1002 status code is not in use"},
	{name: "close 999", wire: frame(ws.OpClose, true, "\x03\xe7"), end: "protocol 1002 status code is not in use"},
	{name: "close 1004", wire: frame(ws.OpClose, true, "\x03\xec"), end: "protocol 1002 status code has no meaning yet"},
	{name: "close 1005", wire: frame(ws.OpClose, true, "\x03\xed"), end: "protocol 1002 status code is only application level"},
	{name: "close 1006", wire: frame(ws.OpClose, true, "\x03\xee"), end: "protocol 1002 status code is only application level"},
	{name: "close 1015", wire: frame(ws.OpClose, true, "\x03\xf7"), end: "protocol 1002 status code is only application level"},
	{name: "close 1016", wire: frame(ws.OpClose, true, "\x03\xf8"), end: "protocol 1002 status code is not defined in spec"},
	{name: "close 2999", wire: frame(ws.OpClose, true, "\x0b\xb7"), end: "protocol 1002 status code is not defined in spec"},
	{name: "close 5000", wire: frame(ws.OpClose, true, "\x13\x88"), end: "protocol 1002 close code is out of range"},
	{name: "close 65535", wire: frame(ws.OpClose, true, "\xff\xff"), end: "protocol 1002 close code is out of range"},
	{name: "close with a reason that is not UTF-8", wire: frame(ws.OpClose, true, "\x03\xe8a\xff"), end: "protocol 1007 invalid UTF-8 in text"},

	{name: "trap 42: character cut by a fragment", wire: frame(ws.OpText, false, "\xe2\x82") + frame(ws.OpPing, true, "") + frame(ws.OpContinuation, true, "\xac"), payload: "€", control: `2 ping ""`, end: eof},
	{name: "invalid UTF-8", wire: text("ab\xffcd"), payload: "ab", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "invalid UTF-8 within a character", wire: text("ab\xe2\x82cd"), payload: "ab\xe2\x82", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "surrogate", wire: text("\xed\xa0\x80"), payload: "\xed", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "overlong", wire: text("\xc0\xaf"), end: "protocol 1007 invalid UTF-8 in text"},
	{name: "beyond Unicode", wire: text("\xf4\x90\x80\x80"), payload: "\xf4", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "message ends within a character", wire: text("ab\xe2\x82"), payload: "ab\xe2\x82", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "message ends within a character, last fragment empty", wire: frame(ws.OpText, false, "\xe2") + frame(ws.OpContinuation, true, ""), payload: "\xe2", end: "protocol 1007 invalid UTF-8 in text"},
	{name: "continuation of binary is not checked", wire: frame(ws.OpBinary, false, "\xff") + frame(ws.OpContinuation, true, "\xff"), payload: "\xff\xff", end: eof},
	{name: "continuation of text is checked", wire: frame(ws.OpText, false, "a") + frame(ws.OpContinuation, true, "\xff"), payload: "a", end: "protocol 1007 invalid UTF-8 in text"},

	{name: "at the limit", limit: 5, wire: text("12345") + frame(ws.OpText, false, "123") + frame(ws.OpContinuation, true, "45"), payload: "1234512345", end: eof},
	{name: "over the limit", limit: 5, wire: text("12345") + text("123456"), payload: "12345", end: "protocol 1009 message exceeds the limit of 5 bytes"},
	{name: "trap 45: the sum over the limit", limit: 5, wire: frame(ws.OpText, false, "123") + frame(ws.OpContinuation, true, "456"), payload: "123", end: "protocol 1009 message exceeds the limit of 5 bytes"},
	{name: "control frames do not count", limit: 5, wire: frame(ws.OpText, false, "123") + frame(ws.OpPing, true, "1234567") + frame(ws.OpContinuation, true, "45"), payload: "12345", control: `3 ping "1234567"`, end: eof},
	{name: "sum beyond 63 bits", limit: 1 << 62, wire: frame(ws.OpBinary, false, "x") + "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff....", payload: "x", end: "protocol 1009 message exceeds the limit of 4611686018427387904 bytes"},
}

func TestReceive(t *testing.T) {
	for _, w := range wires {
		t.Run(w.name, func(t *testing.T) {
			whole, err := play(w.limit, w.wire)
			if whole.payload() != w.payload {
				t.Errorf("payload %.100q, want %.100q", whole.payload(), w.payload)
			}
			if got := strings.Join(whole.control, ","); got != w.control {
				t.Errorf("control %q, want %q", got, w.control)
			}
			if got := describe(err); got != w.end {
				t.Errorf("ended with %q, want %q", got, w.end)
			}
			cut, err := play(w.limit, bytewise(w.wire)...)
			if cut.payload() != w.payload || strings.Join(cut.control, ",") != w.control || describe(err) != w.end {
				t.Errorf("byte by byte: %.100q, %q, %v", cut.payload(), cut.control, err)
			}
		})
	}
}

func TestReceiveKinds(t *testing.T) {
	if _, err := play(0, text("x")); err != io.EOF {
		t.Errorf("no close frame: %v", err)
	}
	_, err := play(0, frame(ws.OpClose, true, "\x03\xe8done"))
	if c, ok := errors.AsType[*CloseError](err); !ok || c.Code != 1000 || c.Reason != "done" || c.Error() == "" {
		t.Errorf("close frame: %#v", err)
	}
	_, err = play(0, "\x81\x00")
	if p, ok := errors.AsType[*ProtocolError](err); !ok || p.Code != 1002 || p.Error() == "" {
		t.Errorf("unmasked frame: %#v", err)
	}
}

// One Data for each message and one Batch for each socket read.
func TestBatch(t *testing.T) {
	h, _ := play(0, strings.Repeat(text("x"), 50), text("y"), text("zz")[:7])
	if h.data != 52 || h.batches != 3 {
		t.Errorf("%d Data and %d Batch, want 52 and 3", h.data, h.batches)
	}
	for _, end := range []string{frame(ws.OpClose, true, ""), "\x81\x00"} {
		if h, _ := play(0, text("x")+end); h.data != 1 || h.batches != 1 {
			t.Errorf("%d Data and %d Batch before the end, want 1 and 1", h.data, h.batches)
		}
	}
}

func TestHandlerErrorsComeBackUnchanged(t *testing.T) {
	stop := errors.New("stop")
	h := &heard{onData: func([]byte) error { return stop }}
	if err := New(&script{portions: []string{text("a") + text("b")}}, nil).Receive(h); err != stop || h.data != 1 || h.batches != 0 {
		t.Errorf("Data: %v after %d Data, %d Batch", err, h.data, h.batches)
	}
	h = &heard{onBatch: func() error { return stop }}
	if err := New(&script{portions: []string{text("a"), text("b")}}, nil).Receive(h); err != stop || h.batches != 1 {
		t.Errorf("Batch: %v after %d", err, h.batches)
	}
}

// pausing is a script with the read deadline before every portion.
type pausing struct {
	script
	now bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.now = !p.now; p.now {
		return 0, os.ErrDeadlineExceeded
	}
	return p.script.Read(b)
}

// After an error of Batch and after the read deadline Receive is called again, in
// another goroutine, and continues where it stopped. The peer's end comes before
// an error of Batch.
func TestReceiveContinues(t *testing.T) {
	stop := errors.New("stop")
	for _, w := range wires {
		if len(w.wire) > 1000 {
			continue // too many goroutines, and nothing that a short one would not show
		}
		for want, connect := range map[error]func() net.Conn{
			stop:                   func() net.Conn { return &script{portions: bytewise(w.wire)} },
			os.ErrDeadlineExceeded: func() net.Conn { return &pausing{script: script{portions: bytewise(w.wire)}} },
		} {
			h := new(heard)
			if want == stop {
				h.onBatch = func() error { return stop }
			}
			c := New(connect(), nil)
			c.MaxMessage = w.limit
			end, calls := make(chan error, 1), 0
			again := func() error {
				calls++
				go func() { end <- c.Receive(h) }()
				return wait(t, end)
			}
			err := again()
			for err == want {
				err = again()
			}
			if h.payload() != w.payload || strings.Join(h.control, ",") != w.control || describe(err) != w.end {
				t.Errorf("%s, %v: %.100q, %q, ended with %q", w.name, want, h.payload(), h.control, describe(err))
			}
			if w.payload != "" && calls < len(w.payload) {
				t.Errorf("%s, %v: Receive was called %d times", w.name, want, calls)
			}
		}
	}
}

// A handler may change what it gets, which changes nothing of what follows.
func TestHandlerMayChangeWhatItGets(t *testing.T) {
	for _, w := range wires {
		for _, early := range []bool{false, true} {
			h := &heard{onData: func(p []byte) error { clear(p); return nil }}
			c := New(&script{portions: []string{w.wire}}, nil)
			if early {
				c = New(&script{}, []byte(w.wire))
			}
			c.MaxMessage = w.limit
			if err := c.Receive(h); h.payload() != w.payload || strings.Join(h.control, ",") != w.control || describe(err) != w.end {
				t.Errorf("%s: %.100q, %q, ended with %q", w.name, h.payload(), h.control, describe(err))
			}
		}
	}
}

// The broker raises the limit after CONNECT, which it reads in Data.
func TestMaxMessageChangesWhileReading(t *testing.T) {
	c := New(&script{portions: []string{text("12345") + text("1234567890")}}, nil)
	c.MaxMessage = 5
	h := new(heard)
	h.onData = func([]byte) error { c.MaxMessage = 10; return nil }
	if err := c.Receive(h); err != io.EOF || h.payload() != "123451234567890" {
		t.Errorf("%q, %v", h.payload(), err)
	}
}

// Whatever a client sends and however it arrives, the payload is the same.
func TestReceiveAnyPortions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire, payload strings.Builder
		for range rapid.IntRange(0, 8).Draw(t, "messages") {
			op, s := ws.OpText, rapid.String().Draw(t, "text")
			if rapid.Bool().Draw(t, "binary") {
				op, s = ws.OpBinary, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			}
			payload.WriteString(s)
			for {
				n := rapid.IntRange(0, len(s)).Draw(t, "fragment")
				fin := n == len(s)
				wire.WriteString(frame(op, fin, s[:n]))
				if rapid.Bool().Draw(t, "ping") {
					wire.WriteString(frame(ws.OpPing, true, "ping"))
				}
				if fin {
					break
				}
				op, s = ws.OpContinuation, s[n:]
			}
		}
		wire.WriteString(frame(ws.OpClose, true, "\x03\xe8"))
		var portions []string
		for rest := wire.String(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "portion")
			portions = append(portions, rest[:n])
			rest = rest[n:]
		}
		h, err := play(0, portions...)
		if h.payload() != payload.String() || describe(err) != `close 1000 ""` {
			t.Fatalf("%q, %v, want %q", h.payload(), err, payload.String())
		}
	})
}

func FuzzReceive(f *testing.F) {
	for _, w := range wires {
		if len(w.wire) > 1000 {
			continue // slow, and nothing that a short one would not show
		}
		f.Add([]byte(w.wire), uint16(len(w.wire)/2), uint16(w.limit))
	}
	f.Fuzz(func(t *testing.T, wire []byte, cut, limit uint16) {
		s := string(wire)
		at := min(int(cut), len(s))
		whole, wholeErr := play(int64(limit), s)
		for _, portions := range [][]string{{s[:at], s[at:]}, bytewise(s)} {
			portions = slices.DeleteFunc(portions, func(p string) bool { return p == "" })
			h, err := play(int64(limit), portions...)
			if h.payload() != whole.payload() || strings.Join(h.control, ",") != strings.Join(whole.control, ",") || describe(err) != describe(wholeErr) {
				t.Fatalf("in portions %q, %q, %v\nas a whole %q, %q, %v", h.payload(), h.control, err, whole.payload(), whole.control, wholeErr)
			}
		}
	})
}

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n != 88 {
		t.Errorf("Conn has %d bytes, its comment says 88", n)
	}
}

// silent counts, and allocates nothing.
type silent struct{ data, batches int }

func (s *silent) Data([]byte) error { s.data++; return nil }
func (s *silent) Ping([]byte)       {}
func (s *silent) Pong()             {}
func (s *silent) Batch() error      { s.batches++; return nil }

// 100 small frames in one read.
func hundred() (c *Conn, wire, scratch []byte, h *silent) {
	wire = []byte(strings.Repeat(text(strings.Repeat("x", 200)), 100))
	return New(&script{}, nil), wire, make([]byte, len(wire)), new(silent)
}

func TestNoAllocations(t *testing.T) {
	c, wire, scratch, h := hundred()
	n := testing.AllocsPerRun(100, func() {
		copy(scratch, wire) // unmasked in place
		if end, err := c.in.feed(h, scratch, &c.MaxMessage); end != nil || err != nil {
			t.Fatal(end, err)
		}
	})
	if n != 0 || h.data != 101*100 {
		t.Errorf("%v allocations, %d Data", n, h.data)
	}
}

func BenchmarkReceive100(b *testing.B) {
	c, wire, scratch, h := hundred()
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		copy(scratch, wire)
		if end, err := c.in.feed(h, scratch, &c.MaxMessage); end != nil || err != nil {
			b.Fatal(end, err)
		}
	}
}
