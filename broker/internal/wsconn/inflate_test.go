package wsconn

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

const rsv1 = 0x40

// packed is a client's frame with RSV1.
func packed(op ws.OpCode, fin bool, payload string) string {
	f := []byte(frame(op, fin, payload))
	f[0] |= rsv1
	return string(f)
}

// pack compresses as RFC 7692 section 7.2.1 specifies.
func pack(level int, s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, level)
	io.WriteString(w, s)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// packText is a compressed text message in one frame.
func packText(s string) string { return packed(ws.OpText, true, pack(6, s)) }

// playDeflate is play on a connection that negotiated the extension.
func playDeflate(limit int64, portions ...string) (*heard, error) {
	h := new(heard)
	c := New(&script{portions: portions}, nil)
	c.MaxMessage, c.in.deflate = limit, true
	err := c.Receive(h)
	return h, err
}

const (
	badBit    = "protocol 1002 control frame or non-first fragment of data contains compression bit set"
	corrupted = "protocol 1007 corrupted compressed data"
	notUTF8   = "protocol 1007 invalid UTF-8 in text"
	overFive  = "protocol 1009 message exceeds the limit of 5 bytes"
)

var (
	hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692 section 7.2.3.1
	bomb  = pack(9, strings.Repeat("\n", 1<<20))
)

var deflatedWires = []struct {
	name    string
	wire    string
	payload string
	control string
	end     string
	limit   int64
}{
	{name: "7.2.3.1: one block", wire: packed(ws.OpText, true, hello), payload: "Hello", end: eof},
	{
		name:    "7.2.3.1: two fragments",
		wire:    packed(ws.OpText, false, hello[:3]) + frame(ws.OpContinuation, true, hello[3:]),
		payload: "Hello", end: eof,
	},
	{
		name:    "7.2.3.2: without context takeover, the same again",
		wire:    packed(ws.OpText, true, hello) + packed(ws.OpText, true, hello),
		payload: "HelloHello", end: eof,
	},
	// With it, the second message would refer to the first one.
	{name: "7.2.3.2: the window is not shared", wire: packed(ws.OpText, true, hello) + packed(ws.OpText, true, "\xf2\x00\x11\x00\x00"), payload: "Hello", end: corrupted},
	{name: "7.2.3.3: no compression", wire: packed(ws.OpText, true, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), payload: "Hello", end: eof},
	{name: "7.2.3.4: final block", wire: packed(ws.OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), payload: "Hello", end: eof},
	{name: "7.2.3.5: two blocks in a message", wire: packed(ws.OpText, true, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), payload: "Hello", end: eof},
	{name: "7.2.3.6: empty", wire: packed(ws.OpText, true, "\x00") + text("x"), payload: "x", end: eof},

	{name: "final block with nothing behind", wire: packed(ws.OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00") + text("!"), payload: "Hello!", end: eof},
	{name: "two final blocks", wire: packed(ws.OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00"+"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), payload: "HelloHello", end: eof},
	{name: "no payload at all", wire: packed(ws.OpBinary, true, "") + text("x"), payload: "x", end: eof},
	{name: "messages that are not compressed", wire: text("a") + packText("b") + bin("\xff") + frame(ws.OpText, false, "c") + frame(ws.OpContinuation, true, "d"), payload: "ab\xffcd", end: eof},
	{name: "binary", wire: packed(ws.OpBinary, true, pack(1, "\xff\x00\xfe")), payload: "\xff\x00\xfe", end: eof},
	{
		name:    "control frames between fragments",
		wire:    packed(ws.OpText, false, hello[:1]) + frame(ws.OpPing, true, "p") + frame(ws.OpContinuation, false, "") + frame(ws.OpPong, true, "") + frame(ws.OpContinuation, true, hello[1:]),
		payload: "Hello", control: `0 ping "p",0 pong`, end: eof,
	},
	{name: "more than a portion", wire: packText(strings.Repeat("0123456789abcdef", 1000)), payload: strings.Repeat("0123456789abcdef", 1000), end: eof},
	{name: "EOF within", wire: packText("a") + packText("hello")[:8], payload: "a", end: eof},
	{name: "close within", wire: packed(ws.OpText, false, hello[:3]) + frame(ws.OpClose, true, "\x03\xe8"), end: `close 1000 ""`},

	{name: "RSV1 on a continuation", wire: packed(ws.OpText, false, hello[:3]) + packed(ws.OpContinuation, true, hello[3:]), end: badBit},
	{name: "RSV1 on the continuation of a plain message", wire: frame(ws.OpText, false, "a") + packed(ws.OpContinuation, true, "b"), payload: "a", end: badBit},
	{name: "RSV1 on a ping", wire: packed(ws.OpPing, true, ""), end: badBit},
	{name: "RSV1 on a pong within a message", wire: packed(ws.OpText, false, hello[:3]) + packed(ws.OpPong, true, ""), end: badBit},
	{name: "RSV1 on a close", wire: packed(ws.OpClose, true, "\x03\xe8"), end: badBit},
	{name: "RSV2", wire: "\xe1\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "RSV3", wire: "\x91\x80....", end: "protocol 1002 non-zero rsv bits with no extension negotiated"},
	{name: "unknown opcode with RSV1", wire: packed(3, true, ""), end: "protocol 1002 use of reserved op code"},
	{name: "a message within a compressed one", wire: packed(ws.OpText, false, hello) + packText("b"), end: "protocol 1002 unexpected non-continuation data frame"},

	{name: "reserved block type", wire: text("a") + packed(ws.OpText, true, "\x07\x00"), payload: "a", end: corrupted},
	{name: "stored length that does not match", wire: packed(ws.OpBinary, true, "\x00\x05\x00\x00\x00Hello"), end: corrupted},
	{name: "cut off", wire: packed(ws.OpBinary, true, "\x00\x50\x00\xaf\xffHello"), end: corrupted},
	{name: "rubbish behind a final block", wire: packed(ws.OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00\xff"), payload: "Hello", end: corrupted},

	{name: "trap 42: a character over two portions", wire: packText(strings.Repeat("€", 5000)), payload: strings.Repeat("€", 5000), end: eof},
	{name: "not UTF-8", wire: packText("ab\xffcd"), payload: "ab", end: notUTF8},
	{name: "ends within a character", wire: packText("ab\xe2\x82"), payload: "ab\xe2\x82", end: notUTF8},
	{name: "the compressed octets need not be UTF-8", wire: packed(ws.OpText, true, "\xf2\x48\xcd\xc9\xc9\x07\x00"), payload: "Hello", end: eof},

	{name: "at the limit", limit: 5, wire: packed(ws.OpText, true, hello) + packText("12345"), payload: "Hello12345", end: eof},
	{name: "trap 48: over the limit inflated", limit: 5, wire: packText("123456"), payload: "12345", end: overFive},
	{name: "trap 48: bomb", limit: 5, wire: packed(ws.OpText, true, bomb[:60]), payload: "\n\n\n\n\n", end: overFive},
	{name: "trap 48: bomb behind a final block", limit: 6, wire: packed(ws.OpText, true, "\xf3\x48\xcd\xc9\xc9\x07\x00"+bomb[:50]), payload: "Hello\n", end: "protocol 1009 message exceeds the limit of 6 bytes"},
	{name: "too large to be within the limit", limit: 5, wire: packed(ws.OpText, true, strings.Repeat("x", 70)), end: overFive},
	{name: "the sum of fragments too large", limit: 5, wire: packed(ws.OpText, false, strings.Repeat("x", 60)) + frame(ws.OpContinuation, false, strings.Repeat("x", 10)), end: overFive},
	{name: "plain messages keep their limit", limit: 5, wire: packText("12345") + text("123456"), payload: "12345", end: overFive},
	{name: "stored at the limit", limit: 40, wire: packed(ws.OpBinary, true, pack(0, strings.Repeat("x", 40))), payload: strings.Repeat("x", 40), end: eof},
	{name: "longest length", limit: 1<<63 - 1, wire: "\xc2\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc", end: eof},
}

func TestReceiveDeflated(t *testing.T) {
	for _, w := range deflatedWires {
		t.Run(w.name, func(t *testing.T) {
			for how, portions := range map[string][]string{"whole": {w.wire}, "byte by byte": bytewise(w.wire)} {
				h, err := playDeflate(w.limit, portions...)
				if h.payload() != w.payload {
					t.Errorf("%s: payload %.100q, want %.100q", how, h.payload(), w.payload)
				}
				if got := strings.Join(h.control, ","); got != w.control {
					t.Errorf("%s: control %q, want %q", how, got, w.control)
				}
				if got := describe(err); got != w.end {
					t.Errorf("%s: ended with %q, want %q", how, got, w.end)
				}
			}
		})
	}
}

// Input that is valid without the extension means the same with it.
func TestDeflateChangesNothingElse(t *testing.T) {
	for _, w := range wires {
		if w.wire != "" && w.wire[0]&rsv1 != 0 {
			continue
		}
		if h, err := playDeflate(w.limit, w.wire); h.payload() != w.payload || strings.Join(h.control, ",") != w.control || describe(err) != w.end {
			t.Errorf("%s: %.100q, %q, %v", w.name, h.payload(), h.control, err)
		}
	}
}

// A fragmented message may be cut into frames at any byte.
func TestDeflatedFragmentsAtEveryByte(t *testing.T) {
	const want = "Hello, hello, héllo"
	p := pack(6, want)
	for i := range len(p) + 1 {
		wire := packed(ws.OpText, false, p[:i]) + frame(ws.OpPing, true, "") + frame(ws.OpContinuation, true, p[i:])
		if h, err := playDeflate(0, wire+packText("!")); err != io.EOF || h.payload() != want+"!" {
			t.Errorf("cut at %d: %q, %v", i, h.payload(), err)
		}
	}
}

// The Handler gets a large message in portions, and may change them in place.
func TestInflatedPortions(t *testing.T) {
	want := strings.Repeat("0123456789", 10_000)
	h := new(heard)
	h.onData = func(p []byte) error {
		if len(p) > portion {
			t.Errorf("a portion of %d bytes", len(p))
		}
		clear(p)
		return nil
	}
	c := New(&script{portions: []string{packText(want)}}, nil)
	c.in.deflate = true
	if err := c.Receive(h); err != io.EOF || h.payload() != want || h.batches != 1 {
		t.Errorf("%d bytes in %d batches, %v", len(h.got), h.batches, err)
	}
	stop := errors.New("stop")
	h = &heard{onData: func([]byte) error { return stop }}
	c = New(&script{portions: []string{packText(want)}}, nil)
	c.in.deflate = true
	if err := c.Receive(h); err != stop || h.data != 1 {
		t.Errorf("%v after %d portions", err, h.data)
	}
}

// Trap 48: a bomb of a gigabyte costs only what its limit allows: 8 KiB in two
// portions, nothing of the rest, and no memory.
func TestBombCostsItsLimit(t *testing.T) {
	const limit = 8 << 10
	h := new(heard)
	c := New(&script{portions: []string{packed(ws.OpBinary, true, bomb)}}, nil)
	c.MaxMessage, c.in.deflate = limit, true
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.Receive(h)
	runtime.ReadMemStats(&after)
	if describe(err) != "protocol 1009 message exceeds the limit of 8192 bytes" || len(h.got) != limit || h.data != 2 {
		t.Errorf("%d bytes in %d portions, %v", len(h.got), h.data, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// Between messages a connection holds nothing of the extension.
func TestNothingIsHeldBetweenMessages(t *testing.T) {
	c := New(nil, nil)
	c.in.deflate = true
	for _, s := range []string{packText("a"), packed(ws.OpText, false, hello[:3]), frame(ws.OpContinuation, true, hello[3:])} {
		if end, err := c.in.feed(new(heard), []byte(s), &c.MaxMessage); end != nil || err != nil {
			t.Fatal(end, err)
		}
		if held := c.in.message != nil; held != c.in.more {
			t.Errorf("within a message: %v, holds one: %v", c.in.more, held)
		}
	}
}

// However the payload is compressed and cut, the result is the same.
func TestReceiveDeflatedAnyPortions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire, payload strings.Builder
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			s := strings.Repeat(rapid.String().Draw(t, "text"), rapid.SampledFrom([]int{1, 2, 300}).Draw(t, "repeated"))
			payload.WriteString(s)
			p := pack(rapid.IntRange(-2, 9).Draw(t, "level"), s)
			n := rapid.IntRange(0, len(p)).Draw(t, "fragment")
			wire.WriteString(packed(ws.OpText, false, p[:n]))
			wire.WriteString(frame(ws.OpContinuation, true, p[n:]))
		}
		var portions []string
		for rest := wire.String(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "portion")
			portions = append(portions, rest[:n])
			rest = rest[n:]
		}
		if h, err := playDeflate(0, portions...); err != io.EOF || h.payload() != payload.String() {
			t.Fatalf("%q, %v, want %q", h.payload(), err, payload.String())
		}
	})
}

// The same bytes give the same result in any portions, and never more of a
// message than the limit.
func FuzzReceiveDeflated(f *testing.F) {
	for _, w := range deflatedWires {
		f.Add([]byte(w.wire), uint16(len(w.wire)/2), uint16(w.limit))
	}
	f.Add([]byte(packed(ws.OpBinary, true, bomb)), uint16(9), uint16(1000))
	f.Fuzz(func(t *testing.T, wire []byte, cut, limit uint16) {
		s := string(wire)
		at := min(int(cut), len(s))
		whole, wholeErr := playDeflate(int64(limit), s)
		for _, portions := range [][]string{{s[:at], s[at:]}, bytewise(s)} {
			portions = slices.DeleteFunc(portions, func(p string) bool { return p == "" })
			h, err := playDeflate(int64(limit), portions...)
			if h.payload() != whole.payload() || strings.Join(h.control, ",") != strings.Join(whole.control, ",") || describe(err) != describe(wholeErr) {
				t.Fatalf("in portions %q, %q, %v\nas a whole %q, %q, %v", h.payload(), h.control, err, whole.payload(), whole.control, wholeErr)
			}
		}
		// A message needs six bytes at least, header and mask.
		if messages := len(s)/6 + 1; limit > 0 && len(whole.got) > messages*int(limit) {
			t.Fatalf("%d bytes from %d, the limit is %d", len(whole.got), len(s), limit)
		}
	})
}

// FuzzInflate takes one message of any content: it ends, within its limit.
func FuzzInflate(f *testing.F) {
	f.Add([]byte(hello), uint16(0))
	f.Add([]byte(bomb), uint16(100))
	f.Fuzz(func(t *testing.T, payload []byte, limit uint16) {
		h, err := playDeflate(int64(limit), packed(ws.OpBinary, true, string(payload)))
		if limit > 0 && len(h.got) > int(limit) {
			t.Fatalf("%d bytes, the limit is %d", len(h.got), limit)
		}
		if got := describe(err); got != eof && got != corrupted && !strings.HasPrefix(got, "protocol 1009 ") {
			t.Fatal(got)
		}
	})
}

// hundredDeflated are 100 small compressed messages in one read.
func hundredDeflated() (c *Conn, wire, scratch []byte, h *silent) {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range 200 {
		b.WriteString([]string{"order", "price", " ", ":", "12", "7"}[r.IntN(6)])
	}
	wire = []byte(strings.Repeat(packText(b.String()), 100))
	c = New(&script{}, nil)
	c.in.deflate = true
	return c, wire, make([]byte, len(wire)), new(silent)
}

func BenchmarkReceiveDeflated100(b *testing.B) {
	c, wire, scratch, h := hundredDeflated()
	b.ReportAllocs()
	for b.Loop() {
		copy(scratch, wire)
		if end, err := c.in.feed(h, scratch, &c.MaxMessage); end != nil || err != nil {
			b.Fatal(end, err)
		}
	}
}
