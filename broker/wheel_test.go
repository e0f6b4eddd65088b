package broker

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The wheel against a map from sessions to ticks: whatever is inserted, moved
// and taken out, what is due comes, all of it and nothing else.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wheel
		sessions := make([]*session, 20)
		for i := range sessions {
			sessions[i] = new(session)
		}
		at := make(map[*session]int64)
		now := int64(0)
		one := rapid.Custom(func(t *rapid.T) *session { return sessions[rapid.IntRange(0, len(sessions)-1).Draw(t, "session")] })
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				s := one.Draw(t, "s")
				tick := rapid.OneOf(
					rapid.Int64Range(now-5, now+5),
					rapid.Int64Range(now, now+3*wheelSlots),
					rapid.Just(int64(math.MaxInt64)),
				).Draw(t, "tick")
				w.insert(s, tick)
				if s.slot.tick == removed {
					return
				}
				at[s] = max(tick, now+1) // what has passed is the next
			},
			"unlink": func(t *rapid.T) {
				s := one.Draw(t, "s")
				w.unlink(s)
				delete(at, s)
			},
			"remove": func(t *rapid.T) {
				if s := one.Draw(t, "s"); rapid.IntRange(0, 4).Draw(t, "seldom") == 0 {
					w.unlink(s)
					s.slot.tick = removed
					delete(at, s)
				}
			},
			"advance": func(t *rapid.T) {
				to := now + rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 3*wheelSlots)).Draw(t, "ticks")
				due := w.advance(to)
				now = to
				for _, s := range due {
					if tick, ok := at[s]; !ok || tick > to {
						t.Fatalf("at %d came one that is due at %d (known: %v)", to, tick, ok)
					}
					delete(at, s)
				}
				for _, tick := range at {
					if tick <= to {
						t.Fatalf("at %d one that was due at %d did not come", to, tick)
					}
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for i, s := range w.slots {
					for prev := (*session)(nil); s != nil; prev, s = s, s.slot.next {
						if s.slot.prev != prev || s.slot.tick%wheelSlots != int64(i) || at[s] != s.slot.tick {
							t.Fatalf("slot %d holds one of tick %d, wanted at %d", i, s.slot.tick, at[s])
						}
						n++
					}
				}
				if n != len(at) {
					t.Fatalf("%d lie in the wheel, want %d", n, len(at))
				}
			},
		})
	})
}

// A tick is an eighth of the shortest interval, so that nothing is later than
// that; and what is asked for at a time comes after it, within one tick.
func TestSweeperTicks(t *testing.T) {
	w := &sweeper{tick: 250}
	for _, at := range []int64{0, 1, 249, 250, 251, 1 << 40, never} {
		tick := w.ticks(at)
		if at != never && (tick*w.tick <= at || tick*w.tick > at+w.tick) {
			t.Errorf("what is due at %d is checked at %d", at, tick*w.tick)
		}
		if tick <= 0 {
			t.Errorf("what is due at %d has tick %d", at, tick)
		}
	}
}

// reschedule moves a check forward and never back.
func TestReschedule(t *testing.T) {
	w, s := &sweeper{tick: 10}, new(session)
	var got []int64
	for _, at := range []int64{1000, 500, 2000, 20} {
		w.reschedule(s, at)
		got = append(got, s.slot.tick)
	}
	if !slices.Equal(got, []int64{101, 51, 51, 3}) {
		t.Errorf("the ticks are %v", got)
	}
	w.remove(s)
	w.reschedule(s, 0)
	w.wheel.insert(s, 1)
	if due := w.wheel.advance(1000); len(due) != 0 {
		t.Error("a session that has left is checked again")
	}
}

// meddler is a wire that does something in the middle of a check.
type meddler struct {
	wire
	f func()
}

func (m meddler) ping() []byte { m.f(); return nil }

// An earlier check that somebody asks for while the sweeper is looking at the
// session is not forgotten for the later one that the sweeper comes to.
func TestSweepKeepsAnEarlierCheck(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }() // never fails
	w := &sweeper{b: b, tick: 10}
	s := &session{b: b, hearEvery: 1 << 40}
	s.phase.Store(uint32(phaseOpen))
	s.expireAt.Store(never)
	s.wire = meddler{f: func() { w.reschedule(s, 2000) }} // a writer is blocked, or a goodbye has begun
	w.reschedule(s, 500)
	w.sweep(1000)
	if want := w.ticks(2000); s.slot.tick != want {
		t.Errorf("the session is checked next at tick %d, want %d", s.slot.tick, want)
	}
}
