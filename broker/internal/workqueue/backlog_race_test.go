package workqueue

import (
	"slices"
	"testing"
)

// A backlog that is removed while its returned messages become dead letters
// keeps none of the others, which would count in the store for ever.
func TestBacklogRemovedWhileItBuries(t *testing.T) {
	var l *Backlog[int, *calls]
	owner := new(Owner)
	s := New[int, *calls](Limits{Attempts: 1}, func(m int, queue string, n int) (string, int, int) {
		l.Remove()
		return deadLetters(m, queue, n)
	})
	l = s.NewBacklog(Terms{Name: "/queue/x", Owner: owner})
	k := attach(l, &desk{room: plenty}, 0, false)
	fill(l, 1, 2, 3)
	k.Close(&calls{})
	wantBacklog(t, l, BacklogStats{})
	s.Purge("/queue/DLQ.x")
	if n := s.bytes.Load(); n != 0 || !owner.Empty() {
		t.Fatalf("%d bytes count in the store, and the owner is empty: %v", n, owner.Empty())
	}
}

// A message for which all that waits would not make room drops nothing else.
func TestBacklogDropsNothingInVain(t *testing.T) {
	full := New[int, *calls](Limits{TotalBytes: 100}, nil)
	if err := full.Put(&calls{}, "/queue/other", 0, 90); err != nil {
		t.Fatal(err)
	}
	owner := new(Owner)
	owned := New[int, *calls](Limits{OwnerBytes: 100}, nil)
	if err := owned.PutOne(&calls{}, Put[int]{Owner: owner, Queue: "/queue/other", Size: 90}); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]*Backlog[int, *calls]{
		"store": full.NewBacklog(Terms{}),
		"owner": owned.NewBacklog(Terms{Owner: owner}),
	} {
		fill(l, 1, 2, 3)
		l.Put(&calls{}, Put[int]{Message: 4, Size: 20})
		if got := l.Stats(); got.Messages != 3 || got.Dropped != 1 {
			t.Errorf("%s: the backlog has %+v, want the 3 messages, and 1 dropped", name, got)
		}
	}

	held := New[int, *calls](Limits{}, nil).NewBacklog(Terms{Bytes: 100})
	r := &desk{room: 1}
	k := attach(held, r, 0, false)
	held.Put(&calls{}, Put[int]{Message: 1, Size: 90})
	fill(held, 2, 3)
	held.Put(&calls{}, Put[int]{Message: 4, Size: 20})
	if got := held.Stats(); got.Messages != 3 || got.Dropped != 1 {
		t.Errorf("the backlog has %+v, want the 3 messages, and 1 dropped", got)
	}
	r.room = plenty
	k.Resume(&calls{})
	fill(held, 5)
	wantMessages(t, "the consumer", r, 1, 2, 3, 5)
	wantLost(t, r, 0, 0, 0, 1)
}

// A loss that a dead letter would have reported is reported by the next message
// that is delivered.
func TestBacklogReportsTheLossBeforeADeadLetter(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 1}, deadLetters)
	l := s.NewBacklog(Terms{Name: "/queue/x", Messages: 3})
	fill(l, 1, 2, 3, 4)
	k := attach(l, &desk{room: plenty}, 0, false)
	k.Close(&calls{}) // 2 is a dead letter
	r := &desk{room: plenty}
	attach(l, r, 0, false)
	fill(l, 5)
	wantMessages(t, "the consumer", r, 3, 4, 5)
	if got := lost(r); !slices.Equal(got, []int{1, 0, 0}) {
		t.Fatalf("the deliveries report %v dropped", got)
	}
}
