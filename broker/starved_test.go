package broker

import (
	"runtime"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// A client that takes everything at once is not ended as slow because its writer
// goroutine found no processor while a publisher was busy: the outbox waits for
// its turn, and the publisher gives it one.
func TestStarvedWriterIsNoSlowConsumer(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // only who yields lets others run
	o := Options{Authenticator: auth.Anonymous}
	o.Limits.Outbox, o.Limits.Frame = 64<<10, 32<<10
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := &session{b: b, wire: wire.NewMessage(nowhere{}), ctx: b.ctx, cancel: func() {}}
	s.out.s, s.out.wire = s, s.wire
	s.phase.Store(uint32(phaseOpen))
	frame := make([]byte, 1<<10)
	for range 1000 { // fifteen times what fits, in batches that fit
		bt := b.newBatch()
		for range 16 {
			s.out.push(frame, bt)
		}
		bt.flush()
		bt.yield()
		bt.release()
		if phase(s.phase.Load()) != phaseOpen {
			t.Fatal("the session was ended as slow")
		}
	}
	bt := b.newBatch()
	for range 1000 { // and all at once
		s.out.push(frame, bt)
	}
	bt.flush()
	bt.release()
	if phase(s.phase.Load()) != phaseOpen {
		t.Error("the session was ended as slow")
	}
}
