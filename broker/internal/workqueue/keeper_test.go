package workqueue

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// toldOf records what a keeper is told.
type toldOf []string

func (k *toldOf) keeper() Keeper[int] {
	return Keeper[int]{
		Gone: func(m, told int, dropped bool) {
			what := "done"
			if dropped {
				what = "dropped"
			}
			*k = append(*k, fmt.Sprint(what, " ", m, " ", told))
		},
		Attempted: func(m, attempts int) { *k = append(*k, fmt.Sprint("failed ", m, " ", attempts)) },
	}
}

func (k *toldOf) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*k, want) {
		t.Errorf("the keeper was told %q, want %q", *k, want)
	}
	*k = nil
}

// A keeper is told once of each message that leaves, why, and how many dropped
// ones its consumer was told of; and of failed deliveries.
func TestKeeperIsTold(t *testing.T) {
	s := New[int, *calls](Limits{Attempts: 2}, deadLetters)
	s.SetExpiry(Expiry[int]{Now: func() int64 { return 10 }})
	l := s.NewBacklog(Terms{Name: "/queue/x", Messages: 3, Expired: func() {}})
	var told toldOf
	l.Keep(told.keeper())
	fill(l, 1, 2, 3, 4, 5)
	told.want(t, "dropped 1 0", "dropped 2 0")
	r := &desk{room: plenty}
	k := attach(l, r, 0, false)
	r.got[0].Ack(&calls{})
	told.want(t, "done 3 2")
	r.got[1].Nack(&calls{})
	told.want(t, "failed 4 1")
	r.got[2].Nack(&calls{})
	r.got[4].AckThrough(&calls{}) // 5 again, and 4 before it
	told.want(t, "failed 5 1", "done 4 0", "done 5 0")
	l.Put(&calls{}, Put[int]{Message: 6, Size: 1, Expires: 9})
	told.want(t, "done 6 0")
	fill(l, 7)
	k.Close(&calls{})
	told.want(t, "failed 7 1")
	k = attach(l, r, 0, false)
	r.got[len(r.got)-1].Nack(&calls{})
	told.want(t, "failed 7 2", "done 7 0") // it is a dead letter
	k.Close(&calls{})
	attach(l, r, 0, true)
	fill(l, 8)
	told.want(t, "done 8 0")
	l.Remove()
	fill(l, 9)
	told.want(t, "done 9 0")
}

// A backlog that is restored goes on where the other one was.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New[int, *calls](Limits{Attempts: 10}, deadLetters)
		l := s.NewBacklog(Terms{Messages: 3, Age: time.Hour})
		var told toldOf
		l.Keep(told.keeper())
		var list []Restored[int]
		for i := range 4 {
			r := Restored[int]{Age: time.Duration(50-i) * time.Minute, Attempts: i, Redelivered: i%2 == 1}
			r.Message, r.Size = i, 1
			list = append(list, r)
		}
		l.Restore(list, 7, 2)
		told.want(t, "dropped 0 0")
		wantBacklog(t, l, BacklogStats{Messages: 3, Bytes: 3, Dropped: 8, Oldest: 49 * time.Minute})
		time.Sleep(11 * time.Minute)
		l.Sweep()
		told.want(t, "dropped 1 0")
		r := &desk{room: plenty}
		attach(l, r, 0, false)
		wantMessages(t, "the consumer", r, 2, 3)
		wantLost(t, r, 4, 0)
		for i, d := range r.got {
			if d.Attempt() != i+3 || !d.Redelivered() {
				t.Errorf("%d: attempt %d, redelivered %v", d.Message(), d.Attempt(), d.Redelivered())
			}
		}
	})
}
