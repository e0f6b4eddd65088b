package broker

import (
	"testing"

	"github.com/hoofbeat/hoofbeat/topics"
)

// A SUBSCRIBE to a topic without presence costs one check, which allocates
// nothing; so does a SEND.
func TestTopicsWithoutPresencePayNothing(t *testing.T) {
	with, err := New(Options{Presence: []string{"/topic/room/**", "/topic/game/*/players"}})
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	without, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer without.Close()
	for _, b := range []*Broker{with, without} {
		for _, name := range []string{"/topic/prices/eu", "/topic/**", "/app/orders", "/user/queue/a", "/queue/a"} {
			d, err := topics.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			sub := &subscriber{dest: d}
			s := &session{b: b}
			if n := testing.AllocsPerRun(100, func() {
				sub.present = b.presence.role(d)
				s.attend(sub)
				s.depart(sub)
				_ = b.presence.owns(d.Path)
			}); n != 0 || sub.present != noPresence {
				t.Errorf("%s: %v allocations, role %d", name, n, sub.present)
			}
		}
	}
	if with.presence.timer != nil || with.presence.rooms.Stats().Rooms != 0 {
		t.Error("something was kept")
	}
}
