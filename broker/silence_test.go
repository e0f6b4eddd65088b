package broker

import (
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
)

// pingWire is a connection that takes everything and can be pinged.
type pingWire struct {
	*messageWire
	pings int
}

func (w *pingWire) canTry() bool                   { return true }
func (w *pingWire) tryWrite(p []byte) (int, error) { w.pings++; return len(p), nil }
func (w *pingWire) ping() []byte                   { return []byte("ping") }

// After a ping the next look comes an interval later, not when three are over:
// a peer that answers is pinged again in time (S-12).
func TestPingIsFollowedByAnother(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, hear := range []time.Duration{0, 10 * time.Second, 2 * time.Minute} {
		w := &pingWire{messageWire: &messageWire{}}
		s := &session{b: b, wire: w, hearEvery: int64(hear)}
		s.out.s, s.out.wire = s, w
		first := int64(b.o.PingInterval)
		if hear > 0 {
			first = min(first, int64(2*hear))
		}
		bt := b.newBatch()
		at := s.checkSilence(first-1, bt)
		if at != first {
			t.Errorf("%v: the first look comes at %v, want %v", hear, time.Duration(at), time.Duration(first))
		}
		for range 5 {
			before, last := w.pings, s.lastHeard.Load()
			for w.pings == before {
				now := at
				if now > last+first {
					t.Fatalf("%v: nothing was asked %v after the last sign of life", hear, time.Duration(now-last))
				}
				at = s.checkSilence(now, bt)
				bt.flush()
				if w.pings > before {
					s.lastHeard.Store(now) // the pong
				}
			}
		}
		bt.release()
	}
}
