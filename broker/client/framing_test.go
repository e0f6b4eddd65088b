package client

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Frames come out whole and in order however the writes cut them.
func TestFramingProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		frame := rapid.Custom(func(rt *rapid.T) string {
			body := string(rapid.SliceOfN(rapid.SampledFrom([]byte("a\n\x00:")), 0, 30).Draw(rt, "body"))
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				return "\n"
			case 1:
				return "SEND\ndestination:/topic/a\ncontent-length:" + strconv.Itoa(len(body)) + "\ncontent-length:7\n\n" + body + "\x00"
			default:
				return "SEND\ndestination:/topic/a\n\n" + strings.ReplaceAll(body, "\x00", "0") + "\x00"
			}
		})
		frames := rapid.SliceOfN(frame, 1, 8).Draw(rt, "frames")
		p := newPipe()
		s := newSession(p)
		s.greeted = true
		rest := strings.Join(frames, "")
		for rest != "" {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "cut")
			if _, err := s.Write([]byte(rest[:n])); err != nil {
				rt.Fatal(err)
			}
			rest = rest[n:]
		}
		if got, want := strings.Join(p.out, "|"), strings.Join(frames, "|"); got != want {
			rt.Errorf("frames\n got %q\nwant %q", got, want)
		}
	})
}

// An ERROR is found wherever the stream is cut, and nothing inside another
// frame's body is taken for one.
func TestInboundProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		message := rapid.Custom(func(rt *rapid.T) string {
			body := rapid.SampledFrom([]string{"", "x", "\n\nERROR\nmessage:fake\n\n", "ERROR\n\n"}).Draw(rt, "body")
			end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "line end")
			if rapid.Bool().Draw(rt, "length") {
				body += "\x00\nERROR\nmessage:fake\n\n\x00"
				return "MESSAGE" + end + "content-length:" + strconv.Itoa(len(body)) + end + end + body + "\x00" + end
			}
			return "MESSAGE" + end + "a:b" + end + end + body + "\x00\n\n"
		})
		stream := strings.Join(rapid.SliceOfN(message, 0, 5).Draw(rt, "frames"), "")
		want := ""
		switch rapid.IntRange(0, 2).Draw(rt, "error") {
		case 1:
			want = "real"
			stream += "ERROR\r\nmessage:real\r\ncontent-length:2\r\n\r\na\x00\x00"
		case 2:
			want = "re:al"
			stream += "ERROR\nmessage:re\\cal\n\n" + strings.Repeat("x", rapid.IntRange(0, 10).Draw(rt, "body")) + "\x00"
		}
		in, got := new(inbound), ""
		for stream != "" {
			n := rapid.IntRange(1, len(stream)).Draw(rt, "cut")
			if e := in.feed([]byte(stream[:n])); e != nil {
				got = e.Message
			}
			stream = stream[n:]
		}
		if got != want {
			rt.Errorf("found ERROR %q, want %q", got, want)
		}
	})
}

func TestInboundLimits(t *testing.T) {
	in := new(inbound)
	if e := in.feed([]byte("ERROR\nmessage:m\n\n" + strings.Repeat("x", 2*maxAnswer) + "\x00")); e == nil {
		t.Error("a long ERROR is not seen")
	}
	if len(in.raw) > maxAnswer {
		t.Errorf("%d bytes are kept of a long ERROR", len(in.raw))
	}
	in = new(inbound)
	if e := in.feed([]byte("MESSAGE\na:" + strings.Repeat("x", maxAnswer) + "\n\n\x00ERROR\n\n\x00")); e != nil || in.state != lost {
		t.Errorf("after a head over the limit: %v, state %d", e, in.state)
	}
}
