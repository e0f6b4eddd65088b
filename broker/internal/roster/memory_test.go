package roster_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hoofbeat/hoofbeat/broker/brokertest/testkit"
	"github.com/hoofbeat/hoofbeat/broker/internal/roster"
)

func newRooms() *roster.Rooms {
	return roster.New(roster.Options{Grace: 2 * time.Second, Leaving: func() int { return 100_000 }, Changes: 1000, Bytes: func() int { return 64 << 10 }})
}

// 10,000 people in a room take what docs/presence.md says, also while they all
// leave, and nothing when they have left.
func TestPeopleHoldWhatIsDocumented(t *testing.T) {
	const people = 10_000
	rooms, now := newRooms(), int64(0)
	before := testkit.Heap()
	testkit.WantHeap(t, people*200, func() {
		for i := range people {
			rooms.Enter("/topic/room/7", fmt.Sprint("user-", i), now)
		}
		settle(t, rooms, &now)
	})
	testkit.WantHeap(t, people*10, func() {
		for i := range people {
			rooms.Leave("/topic/room/7", fmt.Sprint("user-", i), now)
		}
	})
	settle(t, rooms, &now)
	if held := testkit.Heap() - before; held > 64<<10 || rooms.Stats() != (roster.Stats{}) {
		t.Errorf("%d bytes are left, %+v", held, rooms.Stats())
	}
	runtime.KeepAlive(rooms)
}

// A room with one user takes what a subscription to it counts.
func TestRoomsHoldWhatTheyCount(t *testing.T) {
	const count = 10_000
	rooms, now := newRooms(), int64(0)
	testkit.WantHeap(t, count*(roster.RoomCost+roster.UserCost), func() {
		for i := range count {
			rooms.Enter(fmt.Sprint("/topic/room/", i), "ann", now)
		}
		settle(t, rooms, &now)
	})
	runtime.KeepAlive(rooms)
	watched := newRooms()
	testkit.WantHeap(t, count*roster.RoomCost, func() {
		for i := range count {
			watched.Watch(fmt.Sprint("/topic/room/", i))
		}
	})
	runtime.KeepAlive(watched)
}

func settle(t *testing.T, rooms *roster.Rooms, now *int64) {
	t.Helper()
	for end := *now + int64(time.Hour); rooms.Pending(); rooms.Tick(*now) {
		if *now += int64(200 * time.Millisecond); *now > end {
			t.Fatal("something is pending for ever")
		}
	}
}
