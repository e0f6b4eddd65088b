package encode

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/frames"
)

// A client gets the message itself unless its framing cannot carry it, or the
// client may misread NUL; then it gets a copy, which is made once.
func TestFit(t *testing.T) {
	const nul, latin = "a\x00\x00b", "a\xff\xfeb"
	for _, c := range []struct {
		body, want string
		framing    Framing
		replaceNUL bool
	}{
		{"text", "text", FramingText, true},
		{nul, nul, FramingStream, true},
		{nul, nul, FramingWebSocket, false},
		{nul, "a\ufffdb", FramingWebSocket, true},
		{nul, "a\ufffdb", FramingText, true},
		{latin, latin, FramingWebSocket, true},
		{latin, latin, FramingMessage, true},
		{latin, "a\ufffdb", FramingText, false},
		{nul + latin, nul + "a\ufffdb", FramingText, false},
		{nul + latin, "a\ufffdb" + "a\ufffdb", FramingText, true},
	} {
		m := &Message{ID: "1", Destination: "/topic/a", Body: []byte(c.body)}
		got := m.Fit(c.framing, c.replaceNUL)
		if string(got.Body) != c.want || (got == m) != (c.body == c.want) || string(m.Body) != c.body {
			t.Errorf("framing %d, replaceNUL %v: %q became %q, want %q", c.framing, c.replaceNUL, c.body, got.Body, c.want)
		}
		if again := m.Fit(c.framing, c.replaceNUL); again != got {
			t.Errorf("framing %d, %q: a second copy was made", c.framing, c.body)
		}
		if m.Fits(c.framing) && got != m {
			t.Errorf("framing %d, %q: it fits and was replaced", c.framing, c.body)
		}
	}
	m := &Message{ID: "\xff", Destination: "/topic/\xff", Headers: []frames.Header{{Name: "x\xff", Value: "\xff"}}}
	c := m.Fit(FramingText, false)
	if c.ID != "\ufffd" || c.Destination != "/topic/\ufffd" || c.Headers[0] != (frames.Header{Name: "x\ufffd", Value: "\ufffd"}) {
		t.Errorf("got %q, %q, %q", c.ID, c.Destination, c.Headers)
	}
	if m.Headers[0].Name != "x\xff" {
		t.Error("the original was changed")
	}
}
