package broker

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/broker/internal/clock"
	"github.com/hoofbeat/hoofbeat/broker/internal/wire"
)

// meddler is a wire that does something in the middle of a check.
type meddler struct {
	wire.Wire
	f func()
}

func (m meddler) Ping() []byte { m.f(); return nil }

// An earlier check that somebody asks for while the sweeper is looking at the
// session is not forgotten for the later one that the sweeper comes to.
func TestSweepKeepsAnEarlierCheck(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil { // only the test sweeps
		t.Fatal(err)
	}
	b.sweeper = clock.New(10, 1000, slotOf)
	s := &session{b: b, hearEvery: 1 << 40}
	s.phase.Store(uint32(phaseOpen))
	s.expireAt.Store(never)
	s.wire = meddler{f: func() { b.sweeper.Schedule(s, 2000) }} // a writer is blocked, or a goodbye has begun
	b.sweeper.Schedule(s, 500)
	b.sweep(1000)
	if due := b.sweeper.Advance(2009); len(due) != 0 {
		t.Error("the session is checked before the time that was asked for")
	}
	if due := b.sweeper.Advance(2010); len(due) != 1 || due[0] != s {
		t.Error("the session is not checked at the time that was asked for")
	}
}
