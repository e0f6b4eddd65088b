package workqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// outer is what keeps the messages of a store under test.
type outer struct {
	*testStore
	told []string
	gone map[int]bool // messages that are no longer the store's
	back func(*calls)
}

func newOuter(l Limits) *outer {
	o := &outer{testStore: New[int, *calls](l, nil), gone: make(map[int]bool)}
	o.SetExpiry(Expiry[int]{Now: func() int64 { return 100 }})
	o.SetOutside(Outside[int, *calls]{
		Held: func(m int) bool { return !o.gone[m] },
		Attempted: func(m, attempts int) {
			o.tell("%d failed %d times", m, attempts)
		},
		Bury: func(_ *calls, m int, queue string, attempts int, back func(*calls)) bool {
			o.tell("bury %d of %s after %d", m, queue, attempts)
			o.back = back
			return queue != "/queue/DLQ"
		},
		Expired: func(_ *calls, m int, queue string, attempts int) {
			o.tell("%d of %s has expired after %d", m, queue, attempts)
		},
	})
	return o
}

func (o *outer) tell(format string, args ...any) {
	o.told = append(o.told, fmt.Sprintf(format, args...))
}

func (o *outer) wantTold(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(o.told, want) {
		t.Fatalf("it was told %q, want %q", o.told, want)
	}
	o.told = nil
}

func (o *outer) feed(queue string, list ...Fed[int]) { o.Feed(&calls{}, queue, list) }

func fed(ms ...int) (list []Fed[int]) {
	for _, m := range ms {
		list = append(list, Fed[int]{Message: m, Place: uint64(m), Size: 1})
	}
	return list
}

// Whatever the order in which messages come, those that wait are delivered in
// the order of their places.
func TestFeedKeepsPlaces(t *testing.T) {
	o := newOuter(Limits{Messages: 1, Queues: 1})
	o.feed("/queue/a", fed(10, 12, 14)...)
	o.feed("/queue/a", fed(11, 16, 5, 13)...)
	o.feed("/queue/b", fed(1)...)
	r := &desk{room: 3}
	k := consume(t, o.testStore, "/queue/a", r, 0, false)
	wantMessages(t, "r", r, 5, 10, 11)
	r.got[2].Nack(&calls{})
	o.feed("/queue/a", fed(9)...)
	r.room = plenty
	k.Resume(&calls{})
	wantMessages(t, "r", r, 5, 10, 11, 9, 11, 12, 13, 14, 16)
	wantQueue(t, o.testStore, QueueStats{Name: "/queue/a", Messages: 8, Bytes: 8, Unsettled: 8, Consumers: 1})
}

func TestFedMessagesWereDeliveredBefore(t *testing.T) {
	o := newOuter(Limits{Attempts: 5})
	r := &desk{room: plenty}
	consume(t, o.testStore, "/queue/a", r, 0, false)
	o.feed("/queue/a", Fed[int]{Message: 1, Place: 1}, Fed[int]{Message: 2, Place: 2, Redelivered: true}, Fed[int]{Message: 3, Place: 3, Attempts: 2})
	for i, want := range []struct {
		attempt     int
		redelivered bool
	}{{1, false}, {1, true}, {3, true}} {
		if d := r.got[i]; d.Attempt() != want.attempt || d.Redelivered() != want.redelivered {
			t.Errorf("message %d: attempt %d, redelivered %v", d.Message(), d.Attempt(), d.Redelivered())
		}
	}
}

// Of messages that return, the outside is told the attempts, and the message that
// had its last one leaves; it may come back as the last.
func TestOutsideIsTold(t *testing.T) {
	o := newOuter(Limits{Attempts: 2})
	r := &desk{room: plenty}
	k := consume(t, o.testStore, "/queue/a", r, 3, false)
	o.feed("/queue/a", fed(1, 2, 3, 4)...)
	r.got[0].Nack(&calls{})
	o.wantTold(t, "1 failed 1 times")
	k.Close(&calls{}) // 2 is to blame; 3 and 1 were not looked at
	o.wantTold(t, "2 failed 1 times")
	r = &desk{room: plenty}
	consume(t, o.testStore, "/queue/a", r, 2, false)
	wantMessages(t, "r", r, 1, 2)
	r.got[0].Nack(&calls{})
	o.wantTold(t, "1 failed 2 times", "bury 1 of /queue/a after 2")
	wantMessages(t, "r", r, 1, 2, 3)
	wantQueue(t, o.testStore, QueueStats{Name: "/queue/a", Messages: 3, Bytes: 3, Unsettled: 2, Consumers: 1})
	o.back(&calls{})
	wantQueue(t, o.testStore, QueueStats{Name: "/queue/a", Messages: 4, Bytes: 4, Unsettled: 2, Consumers: 1})
	o.gone[3] = true
	r.got[2].Nack(&calls{})
	o.wantTold(t)
	r.got[1].AckThrough(&calls{})
	wantMessages(t, "r", r, 1, 2, 3, 4, 1)
	var acked []int
	if n := r.got[4].AckEach(&calls{}, func(m int) { acked = append(acked, m) }); n != 2 || !slices.Equal(acked, []int{4, 1}) {
		t.Errorf("%d are settled: %v", n, acked)
	}
}

func TestOutsideKeepsWhatHasNoDeadLetter(t *testing.T) {
	o := newOuter(Limits{Attempts: 1})
	r := &desk{room: plenty}
	consume(t, o.testStore, "/queue/DLQ", r, 1, false)
	o.feed("/queue/DLQ", fed(1, 2)...)
	r.got[0].Nack(&calls{})
	wantMessages(t, "r", r, 1, 1)
}

func TestOutsideExpires(t *testing.T) {
	o := newOuter(Limits{})
	o.feed("/queue/a", Fed[int]{Message: 1, Place: 1, Expires: 99, Attempts: 1}, Fed[int]{Message: 2, Place: 2, Expires: 101})
	o.gone[3] = true
	o.feed("/queue/a", fed(3)...)
	o.Sweep(&calls{})
	o.wantTold(t, "1 of /queue/a has expired after 1")
	if got := o.TakeWaiting("/queue/a"); !slices.Equal(got, []int{2}) {
		t.Errorf("%v waited", got)
	}
	wantEmpty(t, o.testStore)
	if got := o.TakeWaiting("/queue/a"); got != nil {
		t.Errorf("%v waited", got)
	}
}

// Room is the sum of what the consumers can take, whatever happened before.
func TestRoom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	o := newOuter(Limits{Attempts: -1})
	type client struct {
		k *testConsumer
		r *desk
	}
	var clients []client
	next := 0
	for range 20_000 {
		c := &calls{}
		switch n := random.IntN(10); {
		case n < 2 && len(clients) < 5:
			r := &desk{room: random.IntN(4)}
			clients = append(clients, client{consume(t, o.testStore, "/queue/a", r, random.IntN(4), random.IntN(4) == 0), r})
		case n < 5:
			next++
			o.feed("/queue/a", fed(next)...)
		case len(clients) > 0:
			i := random.IntN(len(clients))
			x := clients[i]
			switch m := random.IntN(6); {
			case m == 0:
				x.k.Close(c)
				clients = slices.Delete(clients, i, i+1)
			case m == 1:
				x.r.room = random.IntN(4)
				x.k.Resume(c)
			case len(x.r.got) == 0:
			case m == 2:
				x.r.got[random.IntN(len(x.r.got))].NackThrough(c)
			case m == 3:
				x.r.got[random.IntN(len(x.r.got))].AckThrough(c)
			default:
				x.r.got[random.IntN(len(x.r.got))].Ack(c)
			}
		}
		want := 0
		if q := o.find("/queue/a"); q != nil && q.ready != nil {
			for k := q.ready; ; {
				want += k.credit()
				if k = k.next; k == q.ready {
					break
				}
			}
		}
		if got := o.Room("/queue/a").Free; got != want {
			t.Fatalf("the consumers can take %d, want %d", got, want)
		}
	}
}
