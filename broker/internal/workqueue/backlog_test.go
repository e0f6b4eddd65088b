package workqueue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func fill(l *Backlog[int, *calls], ms ...int) {
	for _, m := range ms {
		l.Put(&calls{}, Put[int]{Message: m, Size: 1})
	}
}

func attach(l *Backlog[int, *calls], r *desk, prefetch int, auto bool) *testConsumer {
	k := l.Consume(r, prefetch, auto)
	k.Start(&calls{})
	return k
}

// lost returns what the deliveries say about dropped messages.
func lost(r *desk) (list []int) {
	for _, d := range r.got {
		list = append(list, d.Lost())
	}
	return list
}

func wantLost(t *testing.T, r *desk, want ...int) {
	t.Helper()
	if got := lost(r); !slices.Equal(got, want) {
		t.Fatalf("the deliveries report %v dropped, want %v", got, want)
	}
}

// wantBacklog compares the counts, and the age of the oldest message if want has
// one: a slow machine makes every message old.
func wantBacklog(t *testing.T, l *Backlog[int, *calls], want BacklogStats) {
	t.Helper()
	got := l.Stats()
	if want.Oldest == 0 {
		got.Oldest = 0
	}
	if got != want {
		t.Fatalf("the backlog has %+v, want %+v", got, want)
	}
}

func TestBacklogWaitsAndGoesOn(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	l := s.NewBacklog(Terms{})
	fill(l, 1, 2)
	wantBacklog(t, l, BacklogStats{Messages: 2, Bytes: 2})
	r := &desk{room: plenty}
	k := attach(l, r, 0, false)
	fill(l, 3)
	wantMessages(t, "the consumer", r, 1, 2, 3)
	r.got[0].Ack(&calls{})
	wantBacklog(t, l, BacklogStats{Messages: 2, Bytes: 2, Unsettled: 2})
	k.Close(&calls{})
	fill(l, 4)
	again := &desk{room: plenty}
	attach(l, again, 0, true)
	wantMessages(t, "the next consumer", again, 2, 3, 4)
	wantLost(t, again, 0, 0, 0)
	if d := again.got; !d[0].Redelivered() || !d[1].Redelivered() || d[2].Redelivered() {
		t.Error("2 and 3 were delivered before, 4 was not")
	}
	wantBacklog(t, l, BacklogStats{})
	for range s.Queues() {
		t.Error("a backlog is among the queues")
	}
}

func TestBacklogDropsItsOldest(t *testing.T) {
	for name, terms := range map[string]Terms{"messages": {Messages: 3}, "bytes": {Bytes: 3}} {
		t.Run(name, func(t *testing.T) {
			s := New[int, *calls](Limits{}, nil)
			l := s.NewBacklog(terms)
			fill(l, 1, 2, 3, 4, 5)
			r := &desk{room: plenty}
			k := attach(l, r, 2, false)
			wantMessages(t, "the consumer", r, 3, 4)
			wantLost(t, r, 2, 0)
			fill(l, 6, 7) // 5 and 6 go
			r.got[0].Ack(&calls{})
			wantMessages(t, "the consumer", r, 3, 4, 7)
			wantLost(t, r, 2, 0, 2)
			fill(l, 8) // 8 waits
			k.Close(&calls{})
			again := &desk{room: plenty}
			attach(l, again, 0, false)
			wantMessages(t, "the next consumer", again, 4, 7, 8)
			wantLost(t, again, 0, 2, 0) // a redelivery says it again
			fill(l, 9)                  // all others are held
			again.got[0].Ack(&calls{})
			fill(l, 10)
			wantMessages(t, "the next consumer", again, 4, 7, 8, 10)
			wantLost(t, again, 0, 2, 0, 1)
			if st := l.Stats(); st.Dropped != 5 || st.Messages != 3 {
				t.Errorf("the backlog has %+v, want 3 messages and 5 dropped", st)
			}
		})
	}
}

// What a consumer did not confirm and what was then dropped is reported to the
// next one.
func TestBacklogReportsWhatWasNotReceived(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	l := s.NewBacklog(Terms{Messages: 2})
	fill(l, 1, 2, 3) // 1 goes
	r := &desk{room: plenty}
	k := attach(l, r, 1, false)
	wantLost(t, r, 1)
	k.Close(&calls{})
	fill(l, 4) // 2, which said so, goes too
	again := &desk{room: plenty}
	attach(l, again, 0, false)
	wantMessages(t, "the next consumer", again, 3, 4)
	wantLost(t, again, 2, 0)
}

func TestBacklogKeepsALossThatWasRefused(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	l := s.NewBacklog(Terms{Messages: 1})
	fill(l, 1, 2)
	r := &desk{}
	k := attach(l, r, 0, false)
	r.room = 1
	k.Resume(&calls{})
	wantMessages(t, "the consumer", r, 2)
	wantLost(t, r, 1)
}

func TestBacklogDropsAMessageThatNeverFits(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	l := s.NewBacklog(Terms{Bytes: 3})
	fill(l, 1, 2)
	l.Put(&calls{}, Put[int]{Message: 3, Size: 4})
	r := &desk{room: plenty}
	attach(l, r, 0, true)
	fill(l, 4)
	wantMessages(t, "the consumer", r, 1, 2, 4)
	wantLost(t, r, 0, 0, 1)
}

// A loss is reported where it is: after the messages that the consumer held
// meanwhile, also if they return.
func TestBacklogReportsALossInItsPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		limit    int
		messages []int
		lost     []int
	}{
		"others wait": {4, []int{1, 2, 5, 6, 7}, []int{0, 0, 2, 0, 0}},
		"none waits":  {2, []int{1, 2, 7}, []int{0, 0, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			s := New[int, *calls](Limits{}, nil)
			l := s.NewBacklog(Terms{Messages: tc.limit})
			k := attach(l, &desk{room: plenty}, 2, false)
			fill(l, 1, 2, 3, 4, 5, 6) // it holds 1 and 2
			k.Close(&calls{})
			r := &desk{room: plenty}
			attach(l, r, 0, true)
			fill(l, 7)
			wantMessages(t, "the next consumer", r, tc.messages...)
			wantLost(t, r, tc.lost...)
		})
	}
}

// The bytes count in the store's total and in the owner's share, and return.
func TestBacklogCountsInTheStore(t *testing.T) {
	for name, limits := range map[string]Limits{"total": {TotalBytes: 4}, "owner": {OwnerBytes: 4}} {
		t.Run(name, func(t *testing.T) {
			var o Owner
			s := New[int, *calls](limits, nil)
			l := s.NewBacklog(Terms{Owner: &o})
			if err := s.PutOne(&calls{}, Put[int]{Owner: &o, Queue: "/queue/a", Message: 1, Size: 2}); err != nil {
				t.Fatal(err)
			}
			fill(l, 1, 2, 3)
			wantBacklog(t, l, BacklogStats{Messages: 2, Bytes: 2, Dropped: 1})
			if err := s.PutOne(&calls{}, Put[int]{Owner: &o, Queue: "/queue/a", Message: 1, Size: 1}); err == nil {
				t.Error("there was room for a message in a queue")
			}
			l.Remove()
			fill(l, 4)
			wantBacklog(t, l, BacklogStats{Dropped: 1})
			s.Purge("/queue/a")
			if !o.Empty() || s.bytes.Load() != 0 {
				t.Errorf("the owner has %d bytes, the store %d, want none", o.bytes.Load(), s.bytes.Load())
			}
		})
	}
}

func TestBacklogRemovedUnderItsConsumer(t *testing.T) {
	s := New[int, *calls](Limits{}, nil)
	l := s.NewBacklog(Terms{})
	fill(l, 1, 2, 3)
	r := &desk{room: plenty}
	k := attach(l, r, 2, false)
	l.Remove()
	wantBacklog(t, l, BacklogStats{Messages: 2, Bytes: 2, Unsettled: 2})
	r.got[1].Nack(&calls{})
	wantMessages(t, "the consumer", r, 1, 2)
	k.Close(&calls{})
	wantBacklog(t, l, BacklogStats{})
	if s.bytes.Load() != 0 {
		t.Errorf("%d bytes remain", s.bytes.Load())
	}
}

func TestBacklogAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New[int, *calls](Limits{}, nil)
		l := s.NewBacklog(Terms{Age: 10 * time.Second})
		fill(l, 1)
		time.Sleep(6 * time.Second)
		fill(l, 2)
		if got := l.Stats().Oldest; got != 6*time.Second {
			t.Errorf("the oldest message is %v old, want 6s", got)
		}
		time.Sleep(5 * time.Second)
		l.Sweep()
		wantBacklog(t, l, BacklogStats{Messages: 1, Bytes: 1, Dropped: 1, Oldest: 5 * time.Second})
		fill(l, 3)
		time.Sleep(6 * time.Second) // 2 is too old, and nothing has swept
		r := &desk{room: plenty}
		k := attach(l, r, 0, false)
		wantMessages(t, "the consumer", r, 3)
		wantLost(t, r, 2)
		time.Sleep(time.Hour) // what is held does not age, until it returns
		wantBacklog(t, l, BacklogStats{Messages: 1, Bytes: 1, Unsettled: 1, Dropped: 2, Oldest: time.Hour + 6*time.Second})
		k.Close(&calls{})
		l.Sweep()
		wantBacklog(t, l, BacklogStats{Dropped: 3})
	})
}

// A message that expires by itself is no loss.
func TestBacklogExpiry(t *testing.T) {
	now, gone := int64(0), 0
	s := New[int, *calls](Limits{}, nil)
	s.SetExpiry(Expiry[int]{Now: func() int64 { return now }})
	l := s.NewBacklog(Terms{Messages: 3, Expired: func() { gone++ }})
	for m := 1; m <= 4; m++ { // 1 goes; 2 and 3 expire
		e := int64(0)
		if m < 4 {
			e = int64(m)
		}
		l.Put(&calls{}, Put[int]{Message: m, Size: 1, Expires: e})
	}
	now = 2
	r := &desk{}
	k := attach(l, r, 0, false) // finds 2 expired, and the desk has no room
	wantBacklog(t, l, BacklogStats{Messages: 2, Bytes: 2, Dropped: 1})
	now = 3
	l.Sweep()
	wantBacklog(t, l, BacklogStats{Messages: 1, Bytes: 1, Dropped: 1})
	r.room = 1
	k.Resume(&calls{})
	wantMessages(t, "the consumer", r, 4)
	wantLost(t, r, 1)
	if gone != 2 {
		t.Errorf("%d messages expired, want 2", gone)
	}
}

// What an expired message would have reported, the one after it reports, also
// among messages that returned in another order.
func TestBacklogExpiryPassesALossOn(t *testing.T) {
	now := int64(0)
	s := New[int, *calls](Limits{}, nil)
	s.SetExpiry(Expiry[int]{Now: func() int64 { return now }})
	l := s.NewBacklog(Terms{Messages: 4, Expired: func() {}})
	r := &desk{room: 2}
	k := attach(l, r, 0, false)
	fill(l, 1, 2, 3)
	l.Put(&calls{}, Put[int]{Message: 4, Size: 1, Expires: 1})
	fill(l, 5) // 3 goes
	r.room = 1
	k.Resume(&calls{})
	wantMessages(t, "the consumer", r, 1, 2, 4)
	wantLost(t, r, 0, 0, 1)
	for _, i := range []int{0, 2, 1} {
		r.got[i].Nack(&calls{})
	}
	now = 1
	l.Sweep()
	r.got, r.room = nil, plenty
	k.Resume(&calls{})
	wantMessages(t, "the consumer", r, 1, 2, 5)
	wantLost(t, r, 0, 0, 1)
}

func TestBacklogDeadLetters(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 2}, deadLetters)
	l := s.NewBacklog(Terms{Name: "/queue/a", Messages: 2})
	fill(l, 1, 2, 3) // 1 goes
	r := &desk{room: plenty}
	attach(l, r, 0, false)
	r.got[0].Nack(&calls{})
	wantLost(t, r, 1, 0, 1)
	r.got[2].Nack(&calls{})
	wantMessages(t, "the consumer", r, 2, 3, 2)
	wantQueue(t, s, QueueStats{Name: "/queue/DLQ.a", Messages: 1, Bytes: 1})
	wantBacklog(t, l, BacklogStats{Messages: 1, Bytes: 1, Unsettled: 1, Dropped: 1})
	fill(l, 4)
	wantLost(t, r, 1, 0, 1, 1) // the dead letter said so, and was not processed
}
