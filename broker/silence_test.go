package broker

import (
	"io"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// pingWire is a connection that takes everything and can be pinged.
type pingWire struct {
	*wire.Message
	pings int
}

func (w *pingWire) CanTry() bool                   { return true }
func (w *pingWire) TryWrite(p []byte) (int, error) { w.pings++; return len(p), nil }
func (w *pingWire) Ping() []byte                   { return []byte("ping") }

// After a ping the next look comes an interval later, not when three are over:
// a peer that answers is pinged again in time (S-12).
func TestPingIsFollowedByAnother(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, hear := range []time.Duration{0, 10 * time.Second, 2 * time.Minute} {
		w := &pingWire{Message: wire.NewMessage(nil)}
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

// A broker that was stopped for a while finds every client silent for too long.
// It asks before it gives them up, and gives up who does not answer then.
func TestSilenceIsAskedAboutHoweverLate(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const hear = 10 * time.Second
	for _, answers := range []bool{true, false} {
		w := &pingWire{Message: wire.NewMessage(nowhere{})}
		s := openSession(b, w)
		s.hearEvery = int64(hear)
		bt := b.newBatch()
		late := int64(10 * hear)
		at := s.checkSilence(late, bt)
		bt.flush()
		if w.pings != 1 || phase(s.phase.Load()) != phaseOpen {
			t.Fatalf("%d pings, phase %d, want it asked and open", w.pings, s.phase.Load())
		}
		if want := late + int64(hear/2); at != want {
			t.Fatalf("the next look comes after %v, want half an interval", time.Duration(at-late))
		}
		if answers {
			s.lastHeard.Store(at - 1)
		}
		s.checkSilence(at, bt)
		if open := phase(s.phase.Load()) == phaseOpen; open != answers {
			t.Errorf("answers %v: open is %v", answers, open)
		}
		bt.flush()
		bt.release()
	}
}

// nowhere is a Transport that takes everything.
type nowhere struct{}

func (nowhere) Receive() ([]byte, error) { return nil, io.EOF }
func (nowhere) Send([][]byte) error      { return nil }
func (nowhere) Close(int, string) error  { return nil }

// openSession returns an open session of b with a wire of its own.
func openSession(b *Broker, w wire.Wire) *session {
	s := &session{b: b, wire: w, ctx: b.ctx, cancel: func() {}}
	s.out.s, s.out.wire = s, w
	s.phase.Store(uint32(phaseOpen))
	return s
}

// What clients sent while the broker was stopped has not been read when it goes
// on, so the time in which it was stopped is not theirs.
func TestPatienceBeginsAgainAfterAGap(t *testing.T) {
	b, err := New(Options{Authenticator: auth.Anonymous})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const late = int64(20 * time.Minute)
	w := newSweeper(&b.o)
	for now := int64(0); now < int64(time.Minute); now += int64(w.Tick()) {
		w.Advance(now)
	}
	if at := w.Steady(); at != 0 {
		t.Errorf("a gap was seen %v after the start", time.Duration(at))
	}
	w.Advance(late)
	if at := w.Steady(); at != late {
		t.Fatalf("the gap of 19 minutes ended at %v", time.Duration(at))
	}

	s := openSession(b, &pingWire{Message: wire.NewMessage(nowhere{})})
	s.hearEvery = int64(10 * time.Second)
	bt := b.newBatch()
	defer bt.release()
	b.sweeper.Advance(late) // after a gap too
	end := late + int64(b.o.HeartBeatPatience)
	if at := s.checkPatience(late, bt); at != end || phase(s.phase.Load()) != phaseOpen {
		t.Fatalf("phase %d, next look at %v, want it open and %v", s.phase.Load(), time.Duration(at), time.Duration(end))
	}
	if s.checkPatience(end, bt); phase(s.phase.Load()) != phaseEnding {
		t.Error("it was not ended later")
	}
	bt.flush()
}
