package encode

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/hoofbeat/hoofbeat/frames"
)

var (
	framings = []Framing{FramingStream, FramingMessage, FramingText, FramingWebSocket, FramingDeflate}
	versions = []frames.Version{frames.V10, frames.V11, frames.V12}
)

// readFrame reads one WebSocket frame, which is all of p.
func readFrame(p []byte) (ws.Frame, error) {
	r := bytes.NewReader(p)
	h, err := ws.ReadHeader(r)
	if err == nil && h.Length != int64(r.Len()) {
		err = fmt.Errorf("the header says %d bytes, and %d follow", h.Length, r.Len())
	}
	return ws.Frame{Header: h, Payload: p[len(p)-r.Len():]}, err
}

// read takes the framing off one frame.
func read(t *testing.T, f Framing, v frames.Version, p []byte) (fr *frames.Frame, op ws.OpCode) {
	t.Helper()
	if f.webSocket() {
		wf, err := readFrame(p)
		if err == nil && wf.Header.Rsv == ws.Rsv(true, false, false) {
			wf, err = wsflate.DecompressFrame(wf)
		}
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		p, op = wf.Payload, wf.Header.OpCode
	}
	if f == FramingStream {
		if rest, ok := bytes.CutSuffix(p, []byte("\n")); ok {
			p = rest
		} else {
			t.Errorf("%q does not end with a line feed", p)
		}
	}
	var dec frames.Decoder
	dec.SetVersion(v)
	dec.Feed(p)
	fr, ok, err := dec.Next()
	if !ok || err != nil || dec.Buffered() != 0 {
		t.Fatalf("%q is not one frame: %v", p, err)
	}
	return fr.Clone(), op
}

// Each way to a MESSAGE gives the same frame: shared, its own, or appended to
// memory that is in use.
func TestMessage(t *testing.T) {
	long := strings.Repeat("words and more words ", 50)
	for _, f := range framings {
		for _, v := range versions {
			for _, body := range []string{"", "short", long, long + "\xff"} {
				for _, single := range []bool{false, true} {
					m := &Message{
						Prefix: "node-", Seq: 7, Destination: "/topic/a", Body: []byte(body), Redelivered: true, Single: single,
						Headers: []frames.Header{{Name: "x", Value: "y"}, {Name: "message-id", Value: "forged"}},
					}
					to := &Recipient{ID: "sub-1", As: "/user/ann/queue/a"}
					what := fmt.Sprintf("framing %d, version %v, %d bytes, single %v", f, v, len(body), single)
					used := []byte("used")
					grown, appended := m.Append(used, f, v, to, Ack{})
					if !bytes.HasPrefix(grown, used) || !bytes.HasSuffix(grown, appended) {
						t.Errorf("%s: %q was appended, which gave %q", what, appended, grown)
					}
					if got := len(grown) - len(used); got > m.Size(to) {
						t.Errorf("%s: %d bytes were appended, estimated %d", what, got, m.Size(to))
					}
					for name, frame := range map[string][]byte{"Frame": m.Frame(f, v, to), "Own": m.Own(f, v, to, Ack{}), "Append": appended} {
						fr, op := read(t, f, v, frame)
						want := []string{"subscription", "destination", "message-id", "redelivered", "x", "content-length"}
						var got []string
						for _, h := range fr.Headers {
							got = append(got, h.Name)
						}
						if fr.Command != "MESSAGE" || !slices.Equal(got, want) || string(fr.Body) != body {
							t.Errorf("%s, %s: %v", what, name, fr)
						}
						if fr.Get("subscription") != "sub-1" || fr.Get("destination") != to.As || fr.Get("message-id") != "node-7" {
							t.Errorf("%s, %s: %v", what, name, fr.Headers)
						}
						if f.webSocket() && (op == ws.OpText) != utf8.ValidString(body) {
							t.Errorf("%s, %s: opcode %d", what, name, op)
						}
					}
					fr, _ := read(t, f, v, m.Own(f, v, to, Ack{3, 4}))
					if got := fr.Get("ack"); got != "3-4" {
						t.Errorf("%s: ack is %q", what, got)
					}
				}
			}
		}
	}
}

// A subscription of STOMP 1.0 may have no id. In later versions it always has
// one, even if it is empty.
func TestNoID(t *testing.T) {
	for _, v := range versions {
		m := &Message{ID: "1", Destination: "/topic/a"}
		fr, _ := read(t, FramingStream, v, m.Own(FramingStream, v, &Recipient{}, Ack{}))
		if _, ok := fr.Lookup("subscription"); ok == (v == frames.V10) {
			t.Errorf("version %v: %v", v, fr.Headers)
		}
	}
}

// Subscriptions that differ in nothing that their frames show share the bytes;
// all others get frames of their own.
func TestFramesAreShared(t *testing.T) {
	m := &Message{ID: "1", Destination: "/topic/a", Body: []byte("body")}
	type key struct {
		f  Framing
		v  frames.Version
		to Recipient
	}
	keys := []key{
		{FramingStream, frames.V12, Recipient{ID: "a1"}},
		{FramingMessage, frames.V12, Recipient{ID: "a1"}},
		{FramingStream, frames.V11, Recipient{ID: "a1"}},
		{FramingStream, frames.V12, Recipient{ID: "b1"}},
		{FramingStream, frames.V12, Recipient{ID: "a2"}},
		{FramingStream, frames.V12, Recipient{ID: ""}},
		{FramingStream, frames.V12, Recipient{ID: "a1", As: "/x"}},
		{FramingStream, frames.V12, Recipient{ID: "a1", As: "/y"}},
	}
	var made [][]byte
	for i, k := range keys {
		made = append(made, m.Frame(k.f, k.v, &k.to))
		if m.Distinct() != i+1 {
			t.Fatalf("%d distinct frames after %v, want %d", m.Distinct(), k, i+1)
		}
	}
	for i, k := range keys {
		if again := m.Frame(k.f, k.v, &k.to); &again[0] != &made[i][0] {
			t.Errorf("%v: the frame is not shared", k)
		}
	}
	for i := range 3 * maxDistinct {
		to := Recipient{ID: fmt.Sprint("own-", i)}
		fr, _ := read(t, FramingStream, frames.V12, m.Frame(FramingStream, frames.V12, &to))
		if fr.Get("subscription") != to.ID {
			t.Errorf("%s got the frame of %s", to.ID, fr.Get("subscription"))
		}
	}
	if m.Distinct() != maxDistinct {
		t.Errorf("%d frames are kept, want %d", m.Distinct(), maxDistinct)
	}
	m.Reset()
	if cap(m.distinct) == 0 || m.distinct[:1][0].frame != nil {
		t.Error("Reset keeps a frame, or not the memory for the list")
	}
	if m.distinct = nil; !reflect.DeepEqual(m, new(Message)) {
		t.Errorf("after Reset: %+v", m)
	}
}

// The tail is encoded once. It never lies in memory that was given to Append.
func TestTailIsShared(t *testing.T) {
	const v = frames.V12
	to := &Recipient{ID: "1"}
	m := &Message{ID: "1", Destination: "/topic/a", Body: []byte("body")}
	b, _ := m.Append(make([]byte, 0, 1<<10), FramingWebSocket, v, to, Ack{1, 1})
	before := string(m.Tail(v))
	clear(b)
	if after := string(m.Tail(v)); after != before || !strings.HasSuffix(after, "\n\nbody\x00") {
		t.Errorf("%q became %q", before, after)
	}
	m = &Message{ID: "1", Destination: "/topic/a", Body: []byte("body")}
	frame := m.Own(FramingMessage, v, to, Ack{})
	if tail := m.Tail(v); !bytes.HasSuffix(frame, tail) || &tail[0] != &frame[len(frame)-len(tail)] {
		t.Errorf("the tail %q was encoded again", tail)
	}
	single := &Message{ID: "1", Destination: "/topic/a", Single: true}
	if single.Own(FramingStream, v, to, Ack{}); single.tails[v] != nil {
		t.Error("a message for one subscriber keeps its tail")
	}
}

func TestAck(t *testing.T) {
	for _, a := range []Ack{{1, 1}, {7, 1 << 60}, {1<<32 - 1, 1<<64 - 1}} {
		if got, ok := ParseAck(string(a.append(nil))); !ok || got != a {
			t.Errorf("%v became %v, %v", a, got, ok)
		}
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "0-1", "1-0", "01-1", "1-01", "4294967296-1", "1-18446744073709551616", "1-1-1", "+1-1", "1-+1", "00000001-7", "node-7", " 1-1"} {
		if got, ok := ParseAck(id); ok {
			t.Errorf("%q was read as %v", id, got)
		}
	}
}
