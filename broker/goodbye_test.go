package broker

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// readWire is a connection whose socket buffer the test empties.
type readWire struct {
	*wire.Message
	left    int
	aborted bool
}

func (w *readWire) Unsent() (int, bool) { return w.left, true }
func (w *readWire) Abort()              { w.aborted = true }
func (w *readWire) AbortBlocks() bool   { return false }

// A client that is being ended is aborted when it has read nothing for
// LingerTimeout, also if the writer, which waits for a good part of the socket's
// buffer, sees nothing of its reading. It cannot prolong its end for ever.
func TestGoodbyeLastsWhileTheClientReads(t *testing.T) {
	const linger = 2 * time.Second
	b, err := New(Options{Authenticator: auth.Anonymous, LingerTimeout: linger})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, tc := range []struct {
		name  string
		reads time.Duration // for how long it reads
		pause int           // the looks between which it reads nothing
		ends  time.Duration
	}{
		{"nothing", 0, 1, linger},
		{"for a while", 3 * time.Second, 1, 5 * time.Second},
		{"for ever", time.Hour, 1, lingers * linger},
		{"with pauses", time.Hour, 2, lingers * linger},
	} {
		w := &readWire{Message: wire.NewMessage(nowhere{}), left: 1 << 20}
		s := &session{b: b, wire: w}
		s.out.s, s.out.wire = s, w
		s.phase.Store(uint32(phaseEnding))
		s.out.writing, s.out.blocked = true, true
		s.endAt.Store(int64(linger))
		now, end := int64(0), int64(0)
		looks := 0
		for at := s.checkGoodbye(0); !w.aborted; at = s.checkGoodbye(now) {
			if at <= now || at > now+int64(linger) {
				t.Fatalf("%s: at %v the next look is at %v", tc.name, time.Duration(now), time.Duration(at))
			}
			if looks++; at <= int64(tc.reads) && looks%tc.pause == 0 {
				w.left--
			}
			now, end = at, at
		}
		if d := time.Duration(end); d < tc.ends-time.Second || d > tc.ends {
			t.Errorf("%s: aborted after %v, want %v", tc.name, d, tc.ends)
		}
	}
}
