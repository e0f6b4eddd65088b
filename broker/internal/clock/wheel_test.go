package clock

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// value is something with checks.
type value struct{ slot Entry[value] }

func slotOf(v *value) *Entry[value] { return &v.slot }

// The wheel against a map from values to ticks: whatever is inserted, moved
// and taken out, what is due comes, all of it and nothing else.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := wheel[value]{entry: slotOf}
		values := make([]*value, 20)
		for i := range values {
			values[i] = new(value)
		}
		at := make(map[*value]int64)
		now := int64(0)
		one := rapid.Custom(func(t *rapid.T) *value { return values[rapid.IntRange(0, len(values)-1).Draw(t, "value")] })
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				v := one.Draw(t, "v")
				tick := rapid.OneOf(
					rapid.Int64Range(now-5, now+5),
					rapid.Int64Range(now, now+3*wheelSlots),
					rapid.Just(int64(math.MaxInt64)),
				).Draw(t, "tick")
				w.insert(v, tick)
				if v.slot.tick == removed {
					return
				}
				at[v] = max(tick, now+1) // what has passed is the next
			},
			"unlink": func(t *rapid.T) {
				v := one.Draw(t, "v")
				w.unlink(v)
				delete(at, v)
			},
			"remove": func(t *rapid.T) {
				if v := one.Draw(t, "v"); rapid.IntRange(0, 4).Draw(t, "seldom") == 0 {
					w.remove(v)
					delete(at, v)
				}
			},
			"advance": func(t *rapid.T) {
				to := now + rapid.OneOf(rapid.Int64Range(0, 5), rapid.Int64Range(0, 3*wheelSlots)).Draw(t, "ticks")
				due := w.advance(to)
				now = to
				for _, v := range due {
					if tick, ok := at[v]; !ok || tick > to {
						t.Fatalf("at %d came one that is due at %d (known: %v)", to, tick, ok)
					}
					delete(at, v)
				}
				for _, tick := range at {
					if tick <= to {
						t.Fatalf("at %d one that was due at %d did not come", to, tick)
					}
				}
			},
			"": func(t *rapid.T) {
				n := 0
				for i, v := range w.slots {
					for prev := (*value)(nil); v != nil; prev, v = v, v.slot.next {
						if v.slot.prev != prev || v.slot.tick%wheelSlots != int64(i) || at[v] != v.slot.tick {
							t.Fatalf("slot %d holds one of tick %d, wanted at %d", i, v.slot.tick, at[v])
						}
						n++
					}
				}
				if n != len(at) || n != w.held {
					t.Fatalf("%d lie in the wheel, which counts %d, want %d", n, w.held, len(at))
				}
			},
		})
	})
}
