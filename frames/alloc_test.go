//go:build !race

package frames

import (
	"strings"
	"testing"
)

// The race detector makes sync.Pool forget things at random, so allocations are
// counted without it.

func TestAllocations(t *testing.T) {
	send := []byte("SEND\ndestination:/topic/prices\ncontent-type:application/json\ncontent-length:13\nreceipt:r-1\n\n{\"price\":1.5}\x00")
	large := []byte("SEND\ndestination:/topic/prices\n\n" + strings.Repeat("x", 40000) + "\x00")
	heartBeat := []byte("\n")
	windows := []byte("\r\n")
	disconnect := []byte("DISCONNECT\n\n\x00")
	message := frame(CommandMessage, "{\"price\":1.5}", HeaderSubscription, "sub-0", HeaderMessageID, "7:1", HeaderDestination, "/topic/prices")
	var d Decoder
	d.SetVersion(V12)
	buf := make([]byte, 0, 1024)
	feed := func(frames int, chunks ...[]byte) {
		for _, p := range chunks {
			d.Feed(p)
			for {
				_, ok, err := d.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				frames--
			}
		}
		if frames != 0 {
			t.Fatalf("%d frames are missing", frames)
		}
	}
	for _, tt := range []struct {
		name string
		most float64
		f    func()
	}{
		{"heart-beat", 0, func() { feed(0, heartBeat, windows) }},
		{"SEND", 1, func() { feed(1, send) }},
		{"two SEND in a chunk cut in two", 2, func() { feed(2, send, send[:60], send[60:]) }},
		{"SEND cut in the headers", 1, func() { feed(1, send[:20], send[20:]) }},
		{"SEND cut in the body", 1, func() { feed(1, send[:100], send[100:]) }},
		{"large SEND cut into messages", 1, func() { feed(1, large[:16384], large[16384:32768], large[32768:]) }},
		{"DISCONNECT", 0, func() { feed(1, disconnect) }},
		{"Append MESSAGE", 0, func() { buf = Append(buf[:0], V12, message) }},
		{"Append MESSAGE for 1.0", 0, func() { buf = Append(buf[:0], V10, message) }},
	} {
		if got := testing.AllocsPerRun(200, tt.f); got > tt.most {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}
